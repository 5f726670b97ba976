"""What people command: an entry of the trail that workers act on, once, whatever is killed."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

import msgspec
import pytest

from layby import App, NonRetriableError, Step
from layby.bus.dead import CannotRetry, DeadLetter, NoSuchLetter
from layby.bus.errors import StreamMissing
from layby.bus.reading import newest
from layby.bus.threads import ThreadLog
from layby.client import CommandRefused, NoSuchRun, NotDoneYet, RunOver
from layby.commands import CommandOutcome
from layby.history import nats_history
from layby.runtime.delivery_policy import PoisonMessage
from tests.engine import Engine, app_of, is_handled, until

pytestmark = pytest.mark.nats


async def asks(event: dict[str, Any], step: Step) -> str:
    del event
    return (await step.ask("developer", "Well?", timeout="1h")).text


async def command(engine: Engine, verb: str, body: bytes | dict[str, Any], by: str = "ada") -> int:
    """Command something as somebody who knows NATS alone; the command's number."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (await engine.wire.store(f"layby.do.{verb}.{by}", data)).seq


async def outcome(engine: Engine, seq: int) -> CommandOutcome:
    """What came of a command, once a worker has said so."""

    async def look() -> CommandOutcome | None:
        found = await newest(engine.wire, "AUDIT", [f"layby.done.*.{seq}"])
        return msgspec.json.decode(found[0].data, type=CommandOutcome) if found else None

    found = await until(look)
    assert found is not None
    return found


async def test_the_entry_is_the_command(engine: Engine) -> None:
    async with engine.works(app_of(asks)):
        run = await engine.start("T1")
        await engine.question(run=run)
        seq = await command(engine, "cancel", {"run": run, "why": "a mistake"}, by="ada=2Eb")
        came = await outcome(engine, seq)
    assert (came.outcome, came.verb, came.by, came.seq) == ("done", "cancel", "ada.b", seq)
    done = came.result
    assert (done["id"], done["ticket"], done["status"]) == (run, "T1", "cancelled")
    state = await engine.state(run)
    assert (state.status, state.error) == ("cancelled", "a mistake")
    last = (await engine.lines(run))[-1]
    assert (last.kind, last.actor, last.detail) == ("run.ended", "ada.b", "a mistake")


async def test_with_no_worker_up_a_command_waits_for_one(engine: Engine) -> None:
    async with engine.works(app_of(asks)):
        run = await engine.start("T1")
        await engine.question(run=run)
    with pytest.raises(NotDoneYet, match=r"stored as number 1, and no worker is up"):
        await engine.client.cancel(run, "enough", by="ada")
    assert (await engine.state(run)).status == "waiting"
    async with engine.works(app_of(asks)):
        assert (await outcome(engine, 1)).outcome == "done"
    assert (await engine.state(run)).status == "cancelled"


async def test_the_second_of_two_cancels_learns_that_the_run_is_over(engine: Engine) -> None:
    async with engine.works(app_of(asks)), engine.works(app_of(asks)):
        run = await engine.start("T1")
        await engine.question(run=run)
        told = await asyncio.gather(
            *(engine.client.cancel(run, by=name) for name in ("ada", "bob", "cy")),
            return_exceptions=True,
        )
    assert sorted(type(each).__name__ for each in told) == ["RunOver", "RunOver", "RunRow"]
    refused = next(each for each in told if isinstance(each, RunOver))
    assert "has ended already: it is cancelled" in str(refused)


@pytest.mark.parametrize(
    ("verb", "body", "by", "reason"),
    [
        ("cancel", b"no JSON", "ada", "the body is not a command"),
        ("cancel", b"\xff\xfe", "ada", "the body is not a command"),
        ("cancel", b"[" * 20_000, "ada", "the body is not a command"),
        ("cancel", b'{"run": 7}', "ada", "the body is not a command"),
        ("cancel", b"{}", "ada", "name the run by its id"),
        ("cancel", b'{"run": "T1"}', "ada", "name the run by its id"),
        ("cancel", b'{"run": "*"}', "ada", "name the run by its id"),
        ("explode", b"{}", "ada", "knows no command 'explode'"),
        ("cancel", b"{}", "=2e", "is not a name"),
    ],
)
async def test_a_command_that_cannot_be_understood_ends_with_an_outcome_that_says_so(
    engine: Engine, verb: str, body: bytes, by: str, reason: str
) -> None:
    async with engine.works(app_of(asks)):
        came = await outcome(engine, await command(engine, verb, body, by))
        assert came.outcome == "invalid"
        assert reason in came.reason
        run = await engine.start("T1")
        await engine.question(run=run)
        assert (await engine.client.cancel(run)).status == "cancelled"


async def test_an_unknown_run_is_refused(engine: Engine) -> None:
    async with engine.works(app_of(asks)):
        nothing = "0123456789abcdef0123"
        came = await outcome(engine, await command(engine, "cancel", {"run": nothing}))
        assert (came.outcome, came.error) == ("refused", "NoSuchRun")
        with pytest.raises(NoSuchRun):
            await engine.client.cancel(nothing)


async def test_an_outcome_never_changes(engine: Engine) -> None:
    async with engine.works(app_of(asks)) as worker:
        run = await engine.start("T1")
        await engine.question(run=run)
        await engine.client.cancel(run, by="ada")
        first = await outcome(engine, 1)
        del worker
    info = await engine.wire.api("CONSUMER.INFO.AUDIT.commands")
    await engine.wire.api("CONSUMER.DELETE.AUDIT.commands")  # all of it is delivered once more
    await engine.wire.api(
        "CONSUMER.CREATE.AUDIT.commands.layby.do.*.*",
        {"stream_name": "AUDIT", "config": info["config"]},
    )
    async with engine.works(app_of(asks)):
        await until(lambda: is_handled(engine.wire, "AUDIT.commands"))
    assert await outcome(engine, 1) == first
    assert (await engine.wire.api("STREAM.INFO.AUDIT"))["state"]["messages"] == 2


async def test_the_trail_tells_who_did_what_when_with_which_outcome(engine: Engine) -> None:
    async with engine.works(app_of(asks)):
        run = await engine.start("T1")
        await engine.question(run=run)
        await engine.client.cancel("T1", "a mistake", by="ada")
        with pytest.raises(RunOver):
            await engine.client.cancel(run, by="bob")
        await engine.client.purge(3600, by="cy", reason="spring")
        await outcome(engine, await command(engine, "explode", b"\xff", by="=2e"))
    with pytest.raises(NotDoneYet):
        await engine.client.drop_dead(7, by="ada")
    rows = await engine.client.audit()
    assert [(row.id, row.by, row.verb, row.what, row.why, row.outcome) for row in rows] == [
        (9, "ada", "dead-drop", "dead letter 7", "", "waiting"),
        (7, "?", "explode", "", "", "invalid"),
        (5, "cy", "purge", "runs that ended 1 h before", "spring", "done"),
        (3, "bob", "cancel", f"run {run}", "", "refused"),
        (1, "ada", "cancel", f"run {run}", "a mistake", "done"),
    ]
    assert "has ended already" in rows[3].reason
    assert rows[0].done_at is None
    assert rows[4].asked_at
    assert [row.id for row in await engine.client.audit(who="ada")] == [9, 1]
    assert [row.id for row in await engine.client.audit(verb="cancel", limit=1)] == [3]
    assert [row.id for row in await engine.client.audit(run="T1")] == [3, 1]
    assert [row.id for row in await engine.client.audit(since=3600)] == [9, 7, 5, 3, 1]
    assert await engine.client.audit(since=0) == []


async def test_many_runs_are_retried_by_one_command(engine: Engine) -> None:
    broken = True

    async def fails(event: dict[str, Any], step: Step) -> str:
        del event, step
        if broken:
            raise NonRetriableError("out of order")
        return "fine"

    async with engine.works(app_of(fails)):
        runs = [await engine.start(f"T{n}") for n in range(5)]
        for run in runs:
            await engine.ended(run)

        async def listed() -> bool:
            return len(await engine.client.retryable("handle", since=3600)) == len(runs)

        await until(listed)
        broken = False
        done = await engine.client.retry_all("handle", since=3600, by="ada", reason="mended")
        assert (done.retried, done.refused, done.again) == (5, {}, False)
        for run in runs:
            assert await engine.result(run) == "fine"
            [told] = [line for line in await engine.lines(run) if line.kind == "run.reopened"]
            assert told.data == {"by": "ada", "why": "mended"}
        nothing = await engine.client.retry_all("handle", since=3600)
        assert (nothing.retried, nothing.count) == (0, 0)
    [first] = (await engine.client.audit(who="ada"))[-1:]
    assert first.what == "all runs of handle of the last 1 h"


async def test_a_purge_counts_from_when_it_was_commanded(engine: Engine) -> None:
    async with engine.works(app_of(asks)):
        run = await engine.start("T1")
        await engine.question(run=run)
    with pytest.raises(NotDoneYet):
        await engine.client.purge(0)
    async with engine.works(app_of(asks)):
        assert (await outcome(engine, 1)).result["runs"] == 0
        await engine.client.cancel(run)
        with pytest.raises(CommandRefused, match="how many seconds"):
            await engine.client.purge(-1)
        assert (await engine.client.purge(0)).runs == 1


async def test_a_dead_letter_keeps_the_id_of_its_event(engine: Engine) -> None:
    """Retried, it starts the run that the event would have started, and no second one."""
    strict = True

    async def handle(event: dict[str, Any], step: Step) -> str:
        del step
        return str(event["text"])

    app = app_of(handle)
    opening = app.workflows["handle"].opening

    def refuses(event: Any) -> Any:
        if strict:
            raise PoisonMessage("not yet")
        return opening(event)

    app.workflows["handle"].opening = refuses  # type: ignore[method-assign]
    async with engine.works(app):
        run = await engine.start("T1", event_id="e1", text="one")
        [letter] = await until(engine.client.dead)
        strict = False
        await engine.client.retry_dead(letter.id, by="ada")
        assert await engine.result(run) == "one"
        with pytest.raises(NoSuchLetter):
            await engine.client.retry_dead(letter.id)
    assert await engine.client.dead() == []


@pytest.mark.parametrize(
    "subject", ["$JS.API.STREAM.DELETE.RUNS", "layby.do.cancel.ada", "to.0.log.0run.1", "_INBOX.x"]
)
async def test_a_planted_letter_is_published_nowhere_that_is_obeyed(
    engine: Engine, subject: str
) -> None:
    async with engine.works(app_of(asks)):
        planted = DeadLetter(
            reason="x", subject=subject, mailbox="x", seq=1, at=1.0, size=2, body="{}"
        )
        await engine.wire.store("dead.x", msgspec.json.encode(planted))
        with pytest.raises(CannotRetry):
            await engine.client.retry_dead(1)
        assert len(await engine.client.dead()) == 1


async def test_a_thread_is_left_to_the_workers_of_its_app(engine: Engine) -> None:
    other, keeps = App("other", roles=["legal"]), App("talks", history=nats_history())
    async with engine.works(keeps):
        await ThreadLog(engine.wire).append("T1", "k", b"[]")
    async with engine.works(other):
        seq = await command(engine, "erase", {"app": "talks", "thread": "T1"})

        async def refused() -> bool:
            info = await engine.wire.api("CONSUMER.INFO.AUDIT.commands")
            return bool(info["num_redelivered"] and info["num_ack_pending"])

        await until(refused)
        async with engine.works(keeps):
            done = await outcome(engine, seq)
    assert (done.outcome, done.result["entries"]) == ("done", 1)


async def test_a_server_provisioned_by_an_earlier_release_is_reported_as_one(
    engine: Engine,
) -> None:
    async with engine.works(app_of(asks)):
        run = await engine.start("T1")
        await engine.question(run=run)
    await engine.wire.api("STREAM.DELETE.AUDIT")
    with pytest.raises(StreamMissing, match="`layby provision APP` with this release"):
        await engine.client.cancel(run)
    assert await engine.client.audit() == []


async def test_the_trail_tells_nothing_that_a_log_keeps_to_itself(engine: Engine) -> None:
    """What a run failed of may be encrypted in its log; commands and outcomes are not."""

    async def fails(event: dict[str, Any], step: Step) -> None:
        del step
        raise NonRetriableError(f"canary {event['ticket']}")

    async with engine.works(app_of(fails)):
        run = await engine.start("T1")
        assert "canary" in (await engine.ended(run)).error
        await engine.client.retry(run)
        await until(partial(_retried, engine, run))
        with pytest.raises(RunOver):
            await engine.client.cancel(run)
        many = await engine.client.retry_all("handle", since=3600)
        assert many.count == 1
    found = await newest(engine.wire, "AUDIT", [">"])
    assert not [each.data for each in found if b"canary" in each.data]


async def _retried(engine: Engine, run: str) -> bool:
    state = await engine.state(run)
    rows = await engine.client.runs("failed")
    return bool(state.commands) and state.ended and rows[:1] != []
