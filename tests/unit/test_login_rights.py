"""What each login may do, read from its permissions: the wall around the streams, without a server.

tests/security tries the same on a real server; this is what a change of one subject would break.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from layby import App
from layby.access import Bridge, Login, Person, Staff, Wall, outline
from layby.access.config import accounts, one_account
from layby.access.login import LAYBY, OUTSIDERS, TRAIL
from layby.bus.errors import InvalidSettings
from layby.bus.ownership import covers

STAFF = Staff(
    people=(Person("ada"), Person("bob", ("lead",))),
    bridges=(Bridge("slackbot", ("slack",)), Bridge("gate")),
    notifiers=("notifier",),
)
EVENT = "support.ticket.created"
REMOVES = ("STREAM.DELETE.RUNS", "STREAM.PURGE.ANSWERS", "STREAM.MSG.DELETE.RUNS")
MAKES = ("STREAM.CREATE.X", "STREAM.UPDATE.RUNS", "CONSUMER.CREATE.RUNS.x.to", "STREAM.RESTORE.X")
KEPT = ("to.0.log.0run.1", "timer.x", "$KV.parked.T1", "$KV.questions.developer.T1.q1")
"""What only those write whose word is believed."""
RUNNING = {"provisioner", "worker", "notifier"}


def wall(app: App | None = None, *, named_only: bool = False, own_trail: bool = True) -> Wall:
    app = app or App("support", roles=["developer", "lead"], events=[EVENT])
    return Wall(apps=(outline(app),), named_only=named_only, own_trail=own_trail)


def logins(around: Wall | None = None) -> dict[str, Login]:
    return {each.name: each for each in (around or wall()).logins(STAFF)}


def may(subjects: Iterable[str], subject: str) -> bool:
    return any(covers(each, subject) for each in subjects)


def says(login: Login, subject: str) -> bool:
    return may(login.publish, subject)


@pytest.mark.parametrize("own_trail", [True, False])
def test_nobody_outside_makes_or_removes_anything(*, own_trail: bool) -> None:
    for login in logins(wall(own_trail=own_trail)).values():
        if login.name in RUNNING:
            continue
        for verb in (*REMOVES, *MAKES):
            assert not says(login, f"$JS.API.{verb}"), (login.name, verb)
        for subject in KEPT:
            assert not says(login, subject), (login.name, subject)


@pytest.mark.parametrize("subject", KEPT)
def test_a_worker_writes_what_it_keeps(subject: str) -> None:
    assert says(logins()["worker"], subject)


def test_a_worker_makes_no_streams_and_gives_no_commands() -> None:
    worker = logins()["worker"]
    for subject in ("$JS.API.STREAM.CREATE.X", "$JS.API.STREAM.DELETE.RUNS", "layby.do.purge.ada"):
        assert not says(worker, subject)
    assert says(worker, "layby.done.ada.1")
    assert not says(worker, "$JS.API.STREAM.MSG.DELETE.RUNS")
    assert says(worker, "$JS.API.STREAM.MSG.DELETE.DEAD")


def test_a_worker_removes_what_people_command_it_to_and_never_the_events_or_the_trail() -> None:
    worker = logins()["worker"]
    purged = {each for each in worker.publish if each.startswith("$JS.API.STREAM.PURGE.")}
    names = {each.rpartition(".")[2] for each in purged}
    assert names >= {"RUNS", "BLOBS", "QUESTIONS", "TIMERS"}
    assert not names & {"EVENTS", "ANSWERS", "AUDIT", "DEAD", "*", ">"}


def test_the_provisioner_changes_every_stream_but_the_trail() -> None:
    provisioner = logins(wall(own_trail=False))["provisioner"]
    assert says(provisioner, "$JS.API.STREAM.UPDATE.RUNS")
    assert says(provisioner, "$JS.API.STREAM.CREATE.AUDIT")
    assert not says(provisioner, "$JS.API.STREAM.UPDATE.AUDIT")


def test_everybody_hears_their_own_replies_and_nobody_elses() -> None:
    everybody = logins()
    for login in everybody.values():
        assert login.inbox == f"_INBOX_{login.name}"
        for other in everybody.values():
            heard = may(login.receive, f"{other.inbox}.x")
            assert heard == (other.name == login.name), (login.name, other.name)


@pytest.mark.parametrize(
    ("login", "subject", "allowed"),
    [
        ("ada", "developer.response.T1.ada", True),
        ("ada", "developer.claim.T1.ada", True),
        ("ada", "developer.response.T1.bob", False),
        ("ada", "developer.response.T1.ada.via-slack", False),
        ("ada", "developer.question.T1", False),
        ("ada", "layby.do.cancel.ada", False),
        ("bob", "developer.response.T1.bob", False),
        ("bob", "lead.response.T1.bob", True),
        ("slackbot", "developer.response.T1.ada.via-slack", True),
        ("slackbot", "developer.response.T1.ada.via-proxy", False),
        ("slackbot", "developer.response.T1.slackbot", False),
        ("gate", "developer.pass.T1.ada.via-token", True),
        ("observer", "developer.response.T1.observer", False),
        ("observer", "layby.do.cancel.observer", False),
        ("operator", "layby.do.cancel.operator", True),
        ("operator", "layby.do.cancel.ada", False),
        ("operator", "layby.done.operator.1", False),
        ("helpdesk", "support.ticket.created", True),
        ("helpdesk", "support.ticket.closed", False),
        ("helpdesk", "developer.response.T1.helpdesk", False),
        ("notifier", "developer.response.T1.ada.via-link", True),
    ],
)
def test_each_speaks_in_their_own_name(login: str, subject: str, *, allowed: bool) -> None:
    assert says(logins()[login], subject) == allowed


@pytest.mark.parametrize("named_only", [True, False])
def test_the_bare_line_answers_unless_names_are_demanded(*, named_only: bool) -> None:
    around = wall(named_only=named_only)
    assert says(logins(around)["ada"], "developer.response.T1") != named_only
    people = next(each for each in around.accounts() if each.name == "PEOPLE")
    assert may((port.subject for port in people.ports), "developer.response.T1") != named_only


@pytest.mark.parametrize(
    ("login", "subject", "hears"),
    [
        ("ada", "developer.question.T1", True),
        ("ada", "developer.receipt.T1", True),
        ("ada", "to.0.log.0run.1", False),
        ("bob", "developer.question.T1", False),
        ("observer", "to.0.log.0run.1", True),
        ("observer", "developer.receipt.T1", True),
        ("observer", "layby.done.ada.1", True),
        ("helpdesk", "developer.question.T1", False),
        ("worker", "layby.cancel.3f9a", True),
        ("worker", "support.ticket.created", False),
        ("notifier", "developer.receipt.T1", True),
    ],
)
def test_each_hears_what_is_theirs(login: str, subject: str, *, hears: bool) -> None:
    assert may(logins()[login].receive, subject) == hears


@pytest.mark.parametrize("own_trail", [True, False])
def test_whatever_an_outsider_may_publish_crosses_to_the_account_of_the_workers(
    *, own_trail: bool
) -> None:
    """Permissions are checked before the border, and say nothing if it is closed there."""
    around = wall(own_trail=own_trail)
    open_to = {
        each.name: [port.requested for port in each.ports] + ["$SYS.REQ.USER.INFO"]
        for each in around.accounts()
    }
    for login in logins(around).values():
        if login.account not in OUTSIDERS:
            continue
        for subject in login.publish:
            if subject.startswith("$JS.API.DIRECT.GET.>"):
                continue  # wider than the border, which decides
            assert may(open_to[login.account], subject), (login.name, subject)


def test_accounts_come_after_those_that_they_import_from() -> None:
    seen = set[str]()
    for own_trail in (True, False):
        seen = set[str]()
        for account in wall(own_trail=own_trail).accounts():
            assert {port.account for port in account.ports} <= seen | {account.name}
            seen.add(account.name)
    assert (TRAIL in seen, LAYBY in seen) == (False, True)


@pytest.mark.parametrize("own_trail", [True, False])
def test_only_those_with_an_account_of_their_own_are_limited(*, own_trail: bool) -> None:
    around = wall(own_trail=own_trail)
    limited = {each.name for each in around.accounts() if each.limits is not None}
    assert limited == set(OUTSIDERS)
    stores = {each.name for each in around.accounts() if each.stores}
    assert stores == ({LAYBY, TRAIL} if own_trail else {LAYBY})


def test_events_may_be_larger_than_what_people_say() -> None:
    sizes = {each.name: each.limits for each in wall().accounts()}
    senders, people = sizes["SENDERS"], sizes["PEOPLE"]
    assert senders is not None
    assert people is not None
    assert senders.payload == 8 * people.payload
    assert (senders.connections, people.connections) == (500, 500)


def test_subjects_have_the_prefix_of_the_app_and_events_do_not() -> None:
    app = App("shop", prefix="shop", roles=["developer", "lead"])

    @app.workflow(on="order.placed", key="id")
    async def placed(event: dict[str, str]) -> None: ...

    found = logins(wall(app))
    assert says(found["ada"], "shop.developer.response.T1.ada")
    assert not says(found["ada"], "developer.response.T1.ada")
    assert says(found["helpdesk"], "order.placed")
    assert says(found["operator"], "shop.layby.do.cancel.operator")
    assert says(found["worker"], "$JS.API.STREAM.PURGE.SHOP_RUNS")


def test_nobody_answers_for_a_role_that_no_app_has() -> None:
    with pytest.raises(InvalidSettings, match="cannot answer for cto: the roles are developer"):
        wall().person(Person("ada", ("lead", "cto")))


def test_a_bridge_vouches_only_by_what_there_is() -> None:
    with pytest.raises(InvalidSettings, match="cannot vouch by fax: give some of"):
        wall().bridge(Bridge("gate", ("slack", "fax")))


@pytest.mark.parametrize("write", [accounts, one_account])
def test_the_configuration_has_each_login_once_with_a_password_of_its_own(
    write: Callable[[Wall, Staff, str], str],
) -> None:
    text = write(wall(), STAFF, "layby accounts config APP")
    for login in logins().values():
        if login.account == TRAIL:
            continue
        assert text.count(f"user: {login.name}, password: ${login.variable}\n") == 1
    assert text.count("{") == text.count("}")
    assert text.count("[") == text.count("]")
    assert "layby accounts config APP" in text.partition("accounts {")[0]
