"""What people command: an entry of the trail that workers act on, once, whatever is killed."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from layby import Step
from layby.bus.reading import newest
from layby.client import NoSuchRun, NotDoneYet, RunOver
from layby.commands import Outcome
from tests.engine import Engine, app_of, until

pytestmark = pytest.mark.nats


async def asks(event: dict[str, Any], step: Step) -> str:
    del event
    return (await step.ask("developer", "Well?", timeout="1h")).text


async def command(engine: Engine, verb: str, body: bytes | dict[str, Any], by: str = "ada") -> int:
    """Command something as somebody who knows NATS alone; the command's number."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (await engine.wire.store(f"layby.do.{verb}.{by}", data)).seq


async def outcome(engine: Engine, seq: int) -> Outcome:
    """What came of a command, once a worker has said so."""

    async def look() -> Outcome | None:
        found = await newest(engine.wire, "AUDIT", [f"layby.done.*.{seq}"])
        return msgspec.json.decode(found[0].data, type=Outcome) if found else None

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


async def test_of_two_who_cancel_one_is_told_that_it_is_over(engine: Engine) -> None:
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
        ("cancel", b"no JSON", "ada", "the body is no command"),
        ("cancel", b"\xff\xfe", "ada", "the body is no command"),
        ("cancel", b"[" * 20_000, "ada", "the body is no command"),
        ("cancel", b'{"run": 7}', "ada", "the body is no command"),
        ("cancel", b"{}", "ada", "name the run by its id"),
        ("cancel", b'{"run": "T1"}', "ada", "name the run by its id"),
        ("cancel", b'{"run": "*"}', "ada", "name the run by its id"),
        ("explode", b"{}", "ada", "knows no command 'explode'"),
        ("cancel", b"{}", "=2e", "is nobody's name"),
    ],
)
async def test_what_cannot_be_understood_ends_with_an_outcome_that_says_so(
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

        async def done() -> bool:
            info = await engine.wire.api("CONSUMER.INFO.AUDIT.commands")
            return bool(info["num_pending"] == 0 == info["num_ack_pending"])

        await until(done)
    assert await outcome(engine, 1) == first
    assert (await engine.wire.api("STREAM.INFO.AUDIT"))["state"]["messages"] == 2
