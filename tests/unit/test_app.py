"""What an app declares, what it needs on a server, and what cannot work."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, cast

import pytest

from layby import Agent, App, Network, Step
from layby.bus.layout import bucket, streams
from layby.runtime.duration import InvalidDuration
from layby.runtime.errors import InvalidSetup


async def handle(event: dict[str, Any], step: Step) -> None:
    del event, step


def app(**options: Any) -> App:
    return App("desk", **options)


def declare(
    fn: Callable[..., Awaitable[Any]] = handle, *, to: App | None = None, **options: Any
) -> App:
    found = to or app()
    given: dict[str, Any] = {"on": "desk.opened", "key": "ticket", "name": "w", **options}
    found.workflow(**given)(fn)
    return found


# -- workflows ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "subject",
    [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "a.*",
        "a.>",
        "a*b.c",
        ">",
        "a b",
        "a.b\n",
        "a.\tb",
        " a.b",
        "to.somebody",
        "timer.x",
        "due.x",
        "dead.x",
        "blob.x",
        "layby.x",
        "$JS.API.x",
        "$KV.runs.x",
        "_INBOX.x",
    ],
)
def test_a_subject_that_no_event_can_be_sent_to_is_refused(subject: str) -> None:
    with pytest.raises(InvalidSetup):
        declare(on=subject)


@pytest.mark.parametrize("subject", ["a", "a.b", "support.ticket.created", "Ünï.x", "today.x"])
def test_other_subjects_are_taken(subject: str) -> None:
    assert declare(on=subject).workflows["w"].on == subject


def test_a_workflow_must_be_async() -> None:
    def sync(event: dict[str, Any], step: Step) -> None:
        del event, step

    with pytest.raises(InvalidSetup, match="'sync' must be declared with `async def`"):
        declare(sync)  # type: ignore[arg-type]


def test_a_workflow_takes_an_event_and_a_step_or_an_event_alone() -> None:
    async def nothing() -> None: ...

    async def much(event: dict[str, Any], step: Step, more: int) -> None: ...

    async def event_alone(event: dict[str, Any]) -> None: ...

    for fn in (nothing, much):
        with pytest.raises(InvalidSetup, match=r"must take \(event, step\) or \(event\)"):
            declare(fn)
    declare(event_alone)


def test_a_type_that_cannot_be_found_is_named() -> None:
    async def typed(event: Nowhere, step: Step) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    lost: Any = typed  # pyright: ignore[reportUnknownVariableType]
    with pytest.raises(InvalidSetup, match="'typed': name 'Nowhere' is not defined"):
        declare(lost)


def test_two_workflows_cannot_share_a_name_or_a_mailbox() -> None:
    found = declare()
    with pytest.raises(InvalidSetup, match="two workflows named 'w'"):
        declare(to=found)
    declare(to=found, name="Two Words")
    with pytest.raises(InvalidSetup, match="share the mailbox 'workflow-two-words'"):
        declare(to=found, name="two words")


def test_two_workflows_may_share_a_subject() -> None:
    found = declare(to=declare(), name="other")
    [events] = [s for s in found.topology().streams if s.name == "EVENTS"]
    assert events.subjects == ("desk.opened",)


def test_the_version_is_that_of_the_source_unless_it_is_given() -> None:
    def one() -> Callable[..., Awaitable[None]]:
        async def body(event: dict[str, Any]) -> None:
            del event

        return body

    def two() -> Callable[..., Awaitable[None]]:
        async def body(event: dict[str, Any]) -> None:
            print(event)  # noqa: T201

        return body

    versions = [declare(fn).workflows["w"].version for fn in (one(), one(), two())]
    assert versions[0] == versions[1] != versions[2]
    assert declare(version="v7").workflows["w"].version == "v7"


# -- roles, networks, times --------------------------------------------------------------------


@pytest.mark.parametrize(
    "role", ["", "Developer", "on call", "dev.ops", "*", ">", "9lives", "x" * 33, "ünïcode"]
)
def test_a_role_is_one_plain_word(role: str) -> None:
    with pytest.raises(InvalidSetup, match="role"):
        app(roles=[role])


@pytest.mark.parametrize("role", ["to", "timer", "due", "dead", "blob", "layby"])
def test_a_role_cannot_have_a_word_of_ours(role: str) -> None:
    with pytest.raises(InvalidSetup, match=role):
        app(roles=[role])


def test_a_role_is_declared_once() -> None:
    with pytest.raises(InvalidSetup, match="developer"):
        app(roles=["developer", "developer"])


def test_an_event_cannot_be_sent_where_people_are_asked() -> None:
    with pytest.raises(InvalidSetup, match="developer"):
        declare(on="developer.question.T1").topology()


def test_networks_and_agents_cannot_share_mailboxes() -> None:
    one, other = Network("n", agents=[Agent("A")]), Network("n", agents=[Agent("B")])
    with pytest.raises(InvalidSetup):
        app(networks=[one, other])
    with pytest.raises(InvalidSetup):
        app(
            networks=[
                Network("My Net", agents=[Agent("A")]),
                Network("my net", agents=[Agent("B")]),
            ]
        )
    with pytest.raises(InvalidSetup, match="share the mailbox 'agent-a-b'"):
        app(networks=[Network("n", agents=[Agent("A b")]), Network("m", agents=[Agent("a B")])])


def test_one_agent_may_be_in_two_networks() -> None:
    agent = Agent("A")
    found = app(networks=[Network("n", agents=[agent]), Network("m", agents=[agent])])
    assert list(found.agents.values()) == [agent]


@pytest.mark.parametrize("wrong", ["4", "soon", -1, 0, "200y"])
def test_times_are_lengths_of_time(wrong: Any) -> None:
    for name in ("ask_timeout", "keep"):
        with pytest.raises(InvalidDuration):
            app(**{name: wrong})


def test_times_may_be_given_in_every_form() -> None:
    assert app(ask_timeout="90m").ask_timeout == 5400
    assert app(ask_timeout=timedelta(hours=1)).ask_timeout == 3600
    assert app(keep=60).keep == 60


# -- what it needs on a server -----------------------------------------------------------------


def test_every_actor_has_a_consumer_of_its_own() -> None:
    network = Network("Support Desk", agents=[Agent("Technical Support"), Agent("Billing")])
    found = declare(to=app(networks=[network], roles=["developer", "legal"]))
    consumers = {(c.stream, c.name): " ".join(c.filters) for c in found.topology().consumers}
    assert consumers == {
        ("TIMERS", "due"): "due.>",
        ("TIMERS", "rungs"): "rung.>",
        ("EVENTS", "on-w"): "desk.opened",
        ("RUNS", "workflow-w"): "to.*.workflow-w.>",
        ("RUNS", "network-support-desk"): "to.*.network-support-desk.>",
        ("RUNS", "agent-technical-support"): "to.*.agent-technical-support.>",
        ("RUNS", "agent-billing"): "to.*.agent-billing.>",
        ("RUNS", "human-developer"): "to.*.human-developer.>",
        ("RUNS", "human-legal"): "to.*.human-legal.>",
        ("AUDIT", "commands"): "layby.do.*.*",
        ("ANSWERS", "answers-developer"): "developer.response.>",
        ("ANSWERS", "answers-legal"): "legal.response.>",
        **{
            ("ANSWERS", f"acts-{role}"): " ".join(
                f"{role}.{verb}.>" for verb in ("claim", "pass", "decline", "ask-back", "opened")
            )
            for role in ("developer", "legal")
        },
        ("ANSWERS", "look-developer"): "developer.response.>",
        ("ANSWERS", "look-legal"): "legal.response.>",
    }


def test_streams_hold_what_the_design_says() -> None:
    found = {spec.name: spec for spec in streams(["a.b", "a.b", "c"], ["developer", "legal"])}
    assert found["EVENTS"].subjects == ("a.b", "c")
    assert found["RUNS"].subjects == ("to.>",)
    assert found["QUESTIONS"].subjects == (
        "developer.question.*",
        "developer.receipt.*",
        "legal.question.*",
        "legal.receipt.*",
    )
    assert found["ANSWERS"].subjects == tuple(
        f"{role}.{noun}.>"
        for noun in ("response", "claim", "pass", "decline", "ask-back", "opened")
        for role in ("developer", "legal")
    )
    assert found["TIMERS"].config["retention"] == "workqueue"
    assert found["TIMERS"].config["allow_msg_schedules"] is True
    assert {"KV_parked", "KV_runs"} <= set(found)
    assert all(spec.config["allow_direct"] for spec in found.values())


def test_answers_can_neither_be_removed_nor_played_with() -> None:
    [answers] = [spec for spec in streams([], ["developer"]) if spec.name == "ANSWERS"]
    config = answers.config
    assert config["deny_delete"] is config["deny_purge"] is True
    for open_door in ("allow_rollup_hdrs", "allow_msg_ttl", "allow_msg_schedules"):
        assert not config.get(open_door, False)
    assert config["discard"] == "new"
    assert 0 < config["max_msg_size"] <= 64 * 1024


def test_nothing_is_kept_of_a_run_for_less_time_than_it_may_wait() -> None:
    """Runs, deadlines and records are removed by Layby alone, never by age or number."""
    for spec in streams(["a"], ["developer"]):
        if spec.name in {"RUNS", "TIMERS", "KV_parked", "KV_runs"}:
            assert "max_age" not in spec.config
            assert "max_msgs" not in spec.config


def test_a_bucket_is_safe_against_revived_deletes() -> None:
    spec = bucket("things")
    assert (spec.name, spec.subjects) == ("KV_things", ("$KV.things.>",))
    assert spec.config["max_msgs_per_subject"] > 1
    assert spec.config["allow_rollup_hdrs"] is True


def test_a_partial_function_is_no_workflow_by_accident() -> None:
    bound: Any = functools.partial(handle, step=cast("Any", None))
    with pytest.raises((InvalidSetup, AttributeError)):
        declare(bound, name="")
