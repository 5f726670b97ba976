"""Entries of logs that nobody of Layby's has written: they are passed over, and wedge nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from layby import Step
from layby.bus.log_subject import partition
from layby.runtime import leaving, mail
from layby.runtime.entry import Ended
from layby.runtime.envelope import Envelope
from layby.runtime.ids import run_id
from tests.engine import ON, WORKFLOW, Engine, app_of, until
from tests.security.house import Raw

pytestmark = pytest.mark.nats

ACK = b'{"stream":"EVENTS","seq":7}'
"""What a server says that has stored something: the body that a reply subject plants."""
RUBBISH = [b"", ACK, b"\xff\xfe", b"{" * 2_000, b'{"op":"x","at":1,"records":[{}]}', b"null"]


async def asks(event: dict[str, Any], step: Step) -> str:
    await step.run("before", lambda: event["ticket"])
    first = (await step.ask("developer", "Well?")).text
    await step.run("between", lambda: first)
    return first + (await step.ask("developer", "And?")).text


async def waiting(engine: Engine, ticket: str = "T1") -> tuple[str, int]:
    """A run that waits for an answer, and the last position of its log."""
    run = await engine.start(ticket)
    await engine.question(run=run)
    return run, (await engine.state(run)).tail


async def finished(engine: Engine, run: str, ticket: str = "T1") -> None:
    """Answer whatever a run asks: it completes, with what it was told."""
    for text in ("a", "b"):
        question = await engine.question(run=run)
        receipt = await engine.answer(ticket, text, question_id=question.id)
        assert receipt.outcome == "accepted"

        async def closed(ref: str = question.id) -> bool:
            return ref not in [each.id for each in await engine.client.questions()]

        await until(closed)
    assert await engine.result(run) == "ab"


@pytest.mark.parametrize("to", ["log", "workflow-handle", "human-developer", "nobody"])
async def test_rubbish_at_the_next_positions_wedges_no_run(
    engine: Engine, clean_nats: str, to: str
) -> None:
    async with engine.works(app_of(asks)), Raw.at(clean_nats) as raw:
        run, tail = await waiting(engine)
        for n, body in enumerate(RUBBISH, tail + 1):
            raw.publish(f"to.{partition(run)}.{to}.{run}.{n}".encode(), body)
        raw.publish(f"to.{partition(run)}.{to}.{run}.{tail + 9}".encode(), b"later")
        assert not await raw.sent()
        await finished(engine, run)
    letters = {letter.subject for letter in await engine.client.dead()}
    assert len(letters) == (7 if to in {"workflow-handle", "human-developer"} else 0)


async def test_rubbish_on_positions_that_are_taken_hides_no_entry(
    engine: Engine, clean_nats: str
) -> None:
    """The last message of a subject was believed, and a second one at a position ended the log."""
    async with engine.works(app_of(asks)):
        run, tail = await waiting(engine)
    async with Raw.at(clean_nats) as raw:
        for message in await engine.log.load(run):
            for to in (message.to, "log", "workflow-handle", "other"):
                raw.publish(f"to.{partition(run)}.{to}.{run}.{message.n}".encode(), ACK)
        for n in ("0", "00", "01", "x", "-1", "1e3", "\u0663", "9" * 40, str(tail) + ".1"):
            raw.publish(f"to.{partition(run)}.log.{run}.{n}".encode(), ACK)
        assert not await raw.sent()
    async with engine.works(app_of(asks)):
        await finished(engine, run)
        shown = await engine.client.show(run)
        assert [step.name for step in shown.steps if step.kind == "step.done"] == [
            "before",
            "between",
        ]


async def test_a_second_entry_at_a_position_changes_nothing(
    engine: Engine, clean_nats: str
) -> None:
    """It can be read, and says that the run has failed; what was stored first counts."""
    ended = Envelope(op="x", at=1.0, records=[Ended(status="failed", error="planted")])
    async with engine.works(app_of(asks)):
        run, _ = await waiting(engine)
    async with Raw.at(clean_nats) as raw:
        for message in await engine.log.load(run):
            for to in {"log", "other"} - {message.to}:
                place = f"to.{partition(run)}.{to}.{run}.{message.n}"
                raw.publish(place.encode(), msgspec.json.encode(ended))
        assert not await raw.sent()
    await engine.wire.api("STREAM.PURGE.KV_parked", {})  # nothing is known but by the log
    async with engine.works(app_of(asks)):
        assert (await engine.state(run)).status == "waiting"
        assert (await engine.client.show(run)).status == "waiting"


async def test_commands_go_on_where_logs_hold_rubbish(engine: Engine, clean_nats: str) -> None:
    async with engine.works(app_of(asks)), Raw.at(clean_nats) as raw:
        run, tail = await waiting(engine)
        raw.publish(f"to.{partition(run)}.log.{run}.{tail + 1}".encode(), b"\xff")
        raw.publish(f"to.{partition(run)}.log.{run}.junk".encode(), b"\xff")
        raw.publish(b"to.a.log.abc.1", b"\xff")
        raw.publish(b"to.x.*.>.1", b"\xff")
        raw.publish(b"dead.x", b"\xff")
        raw.publish(b"dead.\xff", b"{}")
        await raw.sent()
        assert (await engine.client.show(run)).status == "waiting"
        assert [each.id for each in await engine.client.runs()] == [run]
        assert await engine.client.dead() == []
        await engine.client.doctor()
        assert (await engine.client.cancel(run)).status == "cancelled"
        await engine.ended(run)

        async def purged() -> bool:
            return (await engine.client.purge(0)).runs == 1

        await until(purged)


async def test_a_log_that_begins_with_rubbish_gives_its_event_up(
    engine: Engine, clean_nats: str
) -> None:
    async with engine.works(app_of(asks)), Raw.at(clean_nats) as raw:
        run = run_id(WORKFLOW, "known")
        raw.publish(f"to.{partition(run)}.log.{run}.1".encode(), ACK)
        assert not await raw.sent()
        await engine.start(event_id="known")
        letter = (await until(engine.client.dead))[0]
        assert (letter.subject, "does not begin with" in letter.reason) == (ON, True)
        other, _ = await waiting(engine)
        await finished(engine, other)


async def test_mail_that_its_log_does_not_hold_ends_no_run(engine: Engine, clean_nats: str) -> None:
    """It named a question that nobody had asked, and the run failed of it."""
    asked = {"k": "asked", "frame": "w", "key": "k", "id": "q9", "role": "r", "question": "?"}
    body = msgspec.json.encode({"op": "x", "at": 1.0, "records": [{**asked, "deadline": 9.0}]})
    async with engine.works(app_of(asks)), Raw.at(clean_nats) as raw:
        run, tail = await waiting(engine)
        raw.publish(f"to.{partition(run)}.human-developer.{run}.{tail}".encode(), body)
        assert not await raw.sent()
        await until(engine.client.dead, within=30.0)
        await finished(engine, run)


async def test_an_entry_of_a_later_release_blocks_its_run(
    engine: Engine, clean_nats: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaving, "_RELEASES", 2)
    monkeypatch.setattr(mail, "_RELEASES", 2)
    body = msgspec.json.encode({"op": "x", "at": 1.0, "records": [{"k": "from-the-future"}]})
    async with engine.works(app_of(asks)), Raw.at(clean_nats) as raw:
        run, tail = await waiting(engine)
        raw.publish(f"to.{partition(run)}.workflow-handle.{run}.{tail + 1}".encode(), body)
        assert not await raw.sent()
        await engine.answer("T1", "a")
        assert "later release" in (await engine.blocked(run)).reason
        assert (await engine.client.cancel(run)).status == "cancelled"
        await engine.ended(run)
