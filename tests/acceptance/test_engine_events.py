"""What starts a run, what starts none, and which tickets there can be."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel

from layby import App, Step
from layby.bus.dead import DeadLetter
from layby.bus.errors import InvalidTicket, PayloadTooLarge, StreamMissing
from layby.bus.token import encode
from layby.runtime.ids import run_id
from layby.views.rows import QuestionRow
from tests.engine import ON, Engine, app_of, is_handled, until

pytestmark = pytest.mark.nats

TICKETS = [
    "T125",
    "ACME-1.2",
    "#45 21",
    "a/b\\c",
    "ünïcode-票",
    "🎫",
    "x" * 200,
    "票" * 200,
    " leading and trailing ",
    "new\nline",
    "tab\there",
    "nul\0byte",
    "*",
    ">",
    "..",
    ".",
    "T1.*",
    "T1.>",
    "=2E",
    "$JS.API.STREAM.DELETE.RUNS",
    "../../etc/passwd",
    "%2E%2E",
    "' OR 1=1 --",
    '{"ticket": "T1"}',
    "\u202egnp.exe",
    "e\u0301",
    "\u00e9",
]
"""Ids that help desks use, and ids that somebody might try."""


async def echo(event: dict[str, Any], step: Step) -> list[str]:
    answer = await step.ask("developer", f"What about {event['ticket']}?")
    return [step.ticket, answer.text]


# -- ticket ids --------------------------------------------------------------------------------


async def test_any_ticket_id_goes_all_the_way_and_meets_no_other(engine: Engine) -> None:
    async with engine.works(app_of(echo)):
        runs = {ticket: await engine.start(ticket) for ticket in TICKETS}
        asked = {q.ticket: q for q in await engine.questions(len(TICKETS))}
        assert set(asked) == set(TICKETS)
        receipts = await asyncio.gather(
            *(engine.answer(ticket, f"for {ticket!r}") for ticket in TICKETS)
        )
        assert [r.outcome for r in receipts] == ["accepted"] * len(TICKETS)
        assert [r.ticket for r in receipts] == TICKETS
        assert [r.question for r in receipts] == [asked[ticket].id for ticket in TICKETS]
        for ticket, run in runs.items():
            assert await engine.result(run) == [ticket, f"for {ticket!r}"]
        await _indexed(engine, "completed", len(TICKETS))
        for ticket, run in runs.items():
            assert (await engine.client.show(ticket)).id == run


async def _indexed(engine: Engine, status: str, count: int) -> None:
    async def look() -> bool:
        return len(await engine.client.runs(status, limit=1000)) == count

    await until(look)


async def test_a_ticket_may_be_a_number(engine: Engine) -> None:
    async with engine.works(app_of(echo)):
        await engine.client.send(ON, {"ticket": 4521}, event_id="e1")
        await engine.question()
        await engine.answer("4521", "yes")
        assert await engine.result(run_id("handle", "e1")) == ["4521", "yes"]


@pytest.mark.parametrize("ticket", ["", "x" * 201, "x" * 10_000, "\ud800"])
async def test_a_client_refuses_what_cannot_be_a_ticket(engine: Engine, ticket: str) -> None:
    with pytest.raises(InvalidTicket):
        await engine.client.answer(ticket, "yes")


@pytest.mark.parametrize("token", ["a=zz", "=2e", "T1=41", "ü"])
async def test_an_answer_on_a_subject_without_a_valid_ticket_is_refused(
    engine: Engine, token: str
) -> None:
    """Two spellings of one ticket would be two tickets, or one that passes for another."""
    async with engine.works(app_of(echo)):
        await engine.start("T1A")
        await engine.question()
        sub = await engine.connection.nc.subscribe(f"developer.receipt.{token}")
        await engine.connection.nc.flush()
        await engine.connection.nc.publish(f"developer.response.{token}", b"yes")
        receipt = msgspec.json.decode((await sub.next_msg(30)).data)
        assert receipt["outcome"] == "invalid"
        assert [q.ticket for q in await engine.client.questions()] == ["T1A"]


async def test_the_ticket_shows_as_one_token_of_its_subjects(engine: Engine) -> None:
    seen: list[str] = []

    async def take(msg: Any) -> None:
        seen.append(msg.subject)

    await engine.connection.nc.subscribe("developer.>", cb=take)
    await engine.connection.nc.flush()
    async with engine.works(app_of(echo)):
        await engine.start("a.b *")
        await engine.question()
        await engine.answer("a.b *", "yes")
    token = encode("a.b *")
    assert token == "a=2Eb=20=2A"  # noqa: S105
    assert seen == [f"developer.{word}.{token}" for word in ("question", "response", "receipt")]


# -- events that can start nothing -------------------------------------------------------------


class Typed(BaseModel):
    ticket: str
    priority: int


BROKEN: list[tuple[bytes, str]] = [
    (b"", "the event is not JSON"),
    (b"hello", "the event is not JSON"),
    (b'{"ticket": ', "the event is not JSON"),
    (b"\xff\xfe\x00", "the event is not JSON"),
    (b"[" * 100_000, "the event is not JSON"),
    (b'["T1"]', "the event is a JSON list, not an object"),
    (b'"T1"', "the event is a JSON str, not an object"),
    (b"null", "the event is a JSON NoneType, not an object"),
    (b"{}", "the event has no ticket id"),
    (b'{"ticketId": "T1", "other": 1}', "the event has the fields"),
    (b'{"ticket": null}', "the event has no ticket id"),
    (b'{"ticket": ""}', "the event has no ticket id"),
    (b'{"ticket": true}', "the event has no ticket id"),
    (b'{"ticket": 1.5}', "the event has no ticket id"),
    (b'{"ticket": ["T1"]}', "the event has no ticket id"),
    (json.dumps({"ticket": "x" * 10_000}).encode(), "more than 200"),
    (b'{"ticket": "\\ud800"}', "the event is not JSON"),
    (b'{"ticket": "T1", "note": NaN}', "not JSON"),
    (b'{"ticket": "T1", "priority": "' + b"x" * 1_000_000 + b'"}', "more than 524288"),
]


async def letters(engine: Engine, count: int) -> list[DeadLetter]:
    """The dead letters, once there are `count`."""

    async def look() -> list[DeadLetter]:
        body: dict[str, object] = {"seq": 1, "batch": 100, "next_by_subj": "dead.>"}
        found = [
            msgspec.json.decode(message.data, type=DeadLetter)
            for message in await engine.wire.direct_get("DEAD", body)
            if not message.status
        ]
        return found if len(found) >= count else []

    return await until(look)


async def test_broken_events_are_kept_with_their_reason_and_disturb_nobody(engine: Engine) -> None:
    async with engine.works(app_of(echo)):
        before = await engine.start("before")
        sent = [await engine.wire.store(ON, data) for data, _ in BROKEN]
        after = await engine.start("after")
        dead = {letter.seq: letter for letter in await letters(engine, len(BROKEN))}
        for ticket in ("before", "after"):
            await until(partial(_asks, engine, ticket))
            await engine.answer(ticket, "fine")
        assert await engine.result(before) == ["before", "fine"]
        assert await engine.result(after) == ["after", "fine"]
        assert len(await engine.client.runs()) == 2
        findings = await engine.client.doctor()
    assert len(dead) == len(BROKEN)
    for ack, (data, reason) in zip(sent, BROKEN, strict=True):
        letter = dead[ack.seq]
        assert reason in letter.reason, data[:60]
        assert (letter.subject, letter.size, letter.num_delivered) == (ON, len(data), 1)
        assert letter.body[:50] == data.decode("utf-8", "replace")[:50]
    shown = [f for f in findings if f.level == "warn"]
    assert any(f"{len(BROKEN)} messages could not be handled" in f.message for f in shown)
    assert any("more than 524288" in f.message for f in shown)


async def _asks(engine: Engine, ticket: str) -> list[QuestionRow]:
    return [q for q in await engine.client.questions() if q.ticket == ticket]


async def test_an_event_that_does_not_fit_its_type_is_kept_with_every_field_named(
    engine: Engine,
) -> None:
    app = App("desk")

    @app.workflow(on=ON, key="ticket", name="typed")
    async def typed(event: Typed) -> int:
        return event.priority

    async with engine.works(app):
        await engine.client.send(ON, {"ticket": "T1", "priority": "urgent"})
        await engine.client.send(ON, {"ticket": "T2"})
        await engine.client.send(ON, {"ticket": "T3", "priority": 3}, event_id="e3")
        dead = await letters(engine, 2)
        assert await engine.result(run_id("typed", "e3")) == 3
    assert all("does not fit workflow 'typed'" in letter.reason for letter in dead)
    assert all("priority" in letter.reason for letter in dead)


async def test_the_sender_learns_that_nobody_listens(engine: Engine) -> None:
    async with engine.works(app_of(echo)):
        with pytest.raises(StreamMissing, match=r"no stream covers .*desk\.closed"):
            await engine.client.send("desk.closed", {"ticket": "T1"})


async def test_an_event_over_the_servers_limit_is_refused_where_it_is_sent(
    engine: Engine,
) -> None:
    async with engine.works(app_of(echo)):
        with pytest.raises(PayloadTooLarge, match="max_payload"):
            await engine.client.send(ON, {"ticket": "T1", "bulk": "x" * 2_000_000})


# -- events that came before -------------------------------------------------------------------


async def test_an_event_sent_twice_starts_one_run(engine: Engine) -> None:
    async with engine.works(app_of(echo)):
        run = await engine.start("T1", event_id="once")
        again = await engine.client.send(ON, {"ticket": "T1"}, event_id="once")
        assert again.duplicate
        await engine.question(run=run)
        await engine.answer()
        await engine.result(run)
        assert len(await engine.client.runs()) == 1


async def short_window(engine: Engine) -> None:
    """Let the stream of events forget at once which ids it has seen."""
    info = await engine.wire.api("STREAM.INFO.EVENTS")
    await engine.wire.api(
        "STREAM.UPDATE.EVENTS", {**info["config"], "duplicate_window": 100_000_000}
    )


async def forgotten(engine: Engine, ticket: str, event_id: str) -> None:
    """Send an event again until the stream takes it for a new one."""

    async def send() -> bool:
        sent = await engine.client.send(ON, {"ticket": ticket}, event_id=event_id)
        return not sent.duplicate

    await until(send)


async def handled(engine: Engine) -> None:
    """Return when every event has been handled."""
    await until(lambda: is_handled(engine.wire, "EVENTS.on-handle"))


async def test_an_event_sent_again_long_after_starts_nothing(engine: Engine) -> None:
    ran: list[str] = []

    async def handle(event: dict[str, Any], step: Step) -> str:
        async def effect() -> None:
            ran.append("effect")

        await step.run("effect", effect)
        return (await step.ask("developer", str(event["ticket"]))).text

    async with engine.works(app_of(handle)):
        await short_window(engine)
        run = await engine.start("T1", event_id="once")
        await engine.question()
        await forgotten(engine, "T1", "once")  # while it waits
        await handled(engine)
        await engine.answer()
        await engine.result(run)
        await forgotten(engine, "T1", "once")  # and when it is over
        await handled(engine)
        assert len(await engine.client.runs()) == 1
    assert ran == ["effect"]


async def test_an_event_sent_again_while_its_run_is_busy_does_not_run_it_twice(
    engine: Engine,
) -> None:
    go_on = asyncio.Event()
    ran: list[str] = []

    async def handle(event: dict[str, Any], step: Step) -> None:
        del event

        async def effect() -> None:
            ran.append("effect")
            await go_on.wait()

        await step.run("effect", effect)

    app = app_of(handle)
    async with engine.works(app), engine.works(app):
        await short_window(engine)
        run = await engine.start("T1", event_id="once")
        await engine.told(run, "run.started")
        await forgotten(engine, "T1", "once")

        async def second_is_done() -> bool:
            info = await engine.wire.api("CONSUMER.INFO.EVENTS.on-handle")
            return bool(info["num_ack_pending"] == 1 or len(ran) > 1) and not info["num_pending"]

        await until(second_is_done)
        go_on.set()
        await engine.result(run)
    assert ran == ["effect"]


async def test_two_workflows_on_one_subject_each_get_the_event(engine: Engine) -> None:
    app = App("desk")

    @app.workflow(on=ON, key="ticket")
    async def one(event: dict[str, Any]) -> str:
        return f"one {event['ticket']}"

    @app.workflow(on=ON, key="ticket")
    async def two(event: dict[str, Any]) -> str:
        return f"two {event['ticket']}"

    async with engine.works(app):
        await engine.client.send(ON, {"ticket": "T1"}, event_id="e1")
        assert await engine.result(run_id("one", "e1")) == "one T1"
        assert await engine.result(run_id("two", "e1")) == "two T1"


async def test_events_sent_while_no_worker_runs_are_taken_up_when_one_starts(
    engine: Engine,
) -> None:
    async with engine.works(app_of(echo)):
        pass
    run = await engine.start("T1")
    async with engine.works(app_of(echo)):
        await engine.question(run=run)
