"""Answers that a bridge takes in: nobody else can make one, and a bridge can do nothing else."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from layby import App, Step
from layby.access import Bridge, Staff, Wall, outline
from layby.access.registry import Registry
from layby.bus.errors import InvalidSettings
from layby.bus.opened import opened
from layby.console.options import ProxyOptions
from layby.runtime.vouched import VIA
from layby.worker.notify import notifying
from tests.acceptance.test_console_guard import Visitor
from tests.engine import until
from tests.fix_browser import console_on
from tests.notify_app import PORTS, line_of
from tests.notify_app import app as called
from tests.security.house import WITHIN, House, desk, started, wall
from tests.security.test_reply_subjects import held

pytestmark = pytest.mark.nats

OTHERS = ("helpdesk", "ada", "observer", "operator", "worker", "provisioner")
NAMES = ("ada", "bob", "slackbot", "*")
FORGED = [
    b"developer.response.T1.%b.via-%b" % (name.encode(), via.encode())
    for name in NAMES
    for via in (*VIA, "nats", "signature", "none", "")
]
OTHER_VIA = [b"developer.response.T1.ada.via-%b" % via.encode() for via in VIA if via != "slack"]
NOT_A_BRIDGES = [
    *(b"developer.response.T1", b"developer.response.T1.ada", b"developer.response.T1.slackbot"),
    *(b"developer.response.T1.ada.via-slack.x", b"developer.response.T1.ada.slack"),
    *(b"developer.receipt.T1", b"developer.question.T1", b"layby.do.cancel.slackbot"),
    *(b"support.ticket.created", b"lead.response.T1.ada.via-slack", b"$JS.API.STREAM.PURGE.RUNS"),
]


async def refused(house: House, login: str, subjects: list[bytes]) -> None:
    """Each of them is refused, and none is stored."""
    before = await held(house, "ANSWERS", "developer.response.>")
    async with house.raw(login) as raw:
        for subject in subjects:
            raw.publish(subject, b'{"answer": "forged"}')
        errors = await raw.sent()
        assert len([e for e in errors if "Permissions Violation" in e]) == len(subjects), errors
    assert await held(house, "ANSWERS", "developer.response.>") == before


@pytest.mark.parametrize("login", OTHERS)
async def test_nobody_but_a_bridge_says_who_vouches(house: House, login: str) -> None:
    async with house.working():
        await house.question("T1")
        await refused(house, login, FORGED)


async def test_a_bridge_publishes_its_own_kind_of_answer_only(house: House) -> None:
    async with house.working():
        run = await house.question("T1")
        await refused(house, "slackbot", [*OTHER_VIA, *NOT_A_BRIDGES])
        async with house.raw("slackbot") as raw:
            raw.publish(b"developer.response.T1.ada.via-slack", b"hello")
            assert not await raw.sent()
        assert (await house.ended(run)).result == "ada: hello"


async def test_a_notifier_takes_in_answers_of_each_kind(house: House) -> None:
    async with house.working():
        for number, via in enumerate(VIA):
            run = await house.question(f"T{number}")
            async with house.raw("notifier") as raw:
                raw.publish(b"developer.response.T%d.bob.via-%b" % (number, via.encode()), b"hi")
                assert not await raw.sent()
            assert (await house.ended(run)).result == "bob: hi"
        await refused(house, "notifier", [b"developer.response.T9", b"developer.response.T9.ada"])


def picky() -> App:
    """Asks for an answer that comes through Slack."""
    app = App("support")

    @app.workflow(on="support.ticket.created", key="ticketId", name="support_ticket")
    async def support_ticket(event: dict[str, str], step: Step) -> str:
        answer = await step.ask("developer", f"And {event['ticketId']}?", accept="slack")
        return f"{answer.by} {answer.vouched}"

    return app


@pytest.mark.parametrize("kind", ["accounts", "jwt", "one account"])
async def test_what_a_question_does_not_accept_gets_a_receipt(kind: str, tmp_path: Path) -> None:
    async with started(kind, tmp_path) as house, house.working(picky()):
        run = await house.question("T1")
        async with house.client("ada") as ada:
            receipt = await ada.answer("T1", "yes", responder="ada", timeout=WITHIN)
        assert receipt.outcome == "invalid"
        assert "accepts only answers through slack" in (receipt.reason or "")
        async with house.raw("slackbot") as raw:
            raw.publish(b"developer.response.T1.ada.via-slack", b"yes")
            assert not await raw.sent()
        assert (await house.ended(run)).result == "ada slack"


def test_a_bridge_of_an_unknown_kind_is_refused() -> None:
    around = Wall(apps=(outline(desk()),), own_trail=True)
    with pytest.raises(InvalidSettings, match="give some of slack, link, token, proxy"):
        around.bridge(Bridge("x", ("nats",)))


def test_an_older_folder_gets_the_bridges_account(tmp_path: Path) -> None:
    folder = tmp_path / "logins"
    Registry.init(folder, wall(desk()), Staff(), str(tmp_path / "jwt"))
    (folder / "keys" / "BRIDGES.nk").unlink()  # as an earlier release left it
    registry = Registry(folder)
    registry.add("bridge", "slackbot", via=("slack",))
    assert "developer.response.*.*.via-slack" in str(registry.wall.accounts())
    again = Registry(folder)
    assert again.logins["slackbot"] == ("BRIDGES", ("slack",))
    assert len(again.tokens()) == len(registry.tokens()) == 8


@pytest.mark.parametrize("kind", ["accounts", "jwt"])
async def test_a_console_vouches_by_its_proxy_if_its_login_is_a_bridges(
    kind: str, tmp_path: Path
) -> None:
    proxy = ProxyOptions(
        header="X-User", trusted=("127.0.0.0/8",), responders=(("bob", ("developer",)),)
    )
    sent = {"X_User": "bob", "Content_Type": "application/json", "Layby_Console": "1"}
    async with started(kind, tmp_path) as house, house.working():
        for login, takes in (("observer", False), ("slackbot", False), ("gate", True)):
            run = await house.question(f"of-{login}")
            async with house.client("observer") as observer:
                [row] = await observer.questions(ticket=f"of-{login}")
            async with console_on(house.settings(login), auth="proxy", proxy=proxy) as serving:
                path = f"/api/v1/questions/{row.id}/answer"
                reply = await Visitor(serving).ask("POST", path, b'{"answer": "hi"}', **sent)
            assert (reply.status == 200) == takes, reply.body
            if takes:
                assert (await house.ended(run)).result == "bob: hi"
        assert await held(house, "ANSWERS", "developer.response.*.bob.via-proxy") == 1


@pytest.fixture
def ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the channel says how to call it, and what it was sent."""
    monkeypatch.setenv(PORTS, str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("login", "only"), [("notifier", None), ("phone", "listen"), ("worker", "send")]
)
@pytest.mark.parametrize("kind", ["accounts", "one account"])
async def test_notify_works_with_the_login_that_is_made_for_it(
    kind: str, login: str, only: Any, ports: Path, caplog: pytest.LogCaptureFixture
) -> None:
    staff = Staff(bridges=(Bridge("phone", ("token",)),), notifiers=("notifier",))
    async with (
        started(kind, ports, called, staff) as house,
        house.working(called),
        opened(house.settings(login), patient=True) as bus,
        notifying(called, bus, only=only, on_give_up=lambda: None),
    ):
        async with house.client("helpdesk") as helpdesk:
            await helpdesk.send("called.asked", {"ticket": "T1"})
        run = await house.listed("T1")
        async with house.client("observer") as observer:
            [row] = await observer.questions(ticket="T1")
        if only == "send":
            assert await until(partial(_sent, ports), WITHIN)
        else:
            outcome = await _said(ports, ticket="T1", question=row.id, role=row.role)
            assert outcome["outcome"] == "accepted"
            assert (await house.ended(run)).result == ["yes", "ada", "token"]
    assert "permission_denied" not in caplog.text


async def _sent(folder: Path) -> str:
    file = folder / "sent"
    return file.read_text() if file.exists() else ""


def _port(folder: Path) -> str:
    return "".join(each.read_text() for each in folder.glob("*.port"))


async def _said(folder: Path, **fields: str) -> dict[str, Any]:
    """What becomes of something that ada says on the phone."""

    async def port() -> str:
        return await asyncio.to_thread(_port, folder)

    reader, writer = await asyncio.open_connection("127.0.0.1", int(await until(port, WITHIN)))
    writer.write(line_of({**fields, "person": "ada", "answer": "yes"}))
    async with asyncio.timeout(WITHIN):
        outcome: dict[str, Any] = json.loads(await reader.readline())
    writer.close()
    return outcome
