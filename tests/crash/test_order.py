"""The order of effects when an acknowledgement is late or there is no room for a message."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from layby import Step
from layby.bus.errors import PublishUnconfirmed
from layby.bus.log import Log
from layby.runtime.entry import Ended, Raw, Record, Stepped
from layby.runtime.envelope import Envelope, decode, encode
from tests.engine import Engine, app_of, until

pytestmark = pytest.mark.nats


@pytest.mark.slow
@pytest.mark.parametrize("lost", [False, True])
async def test_a_step_done_by_another_worker_does_not_run_again(
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    *,
    lost: bool,
) -> None:
    ran: list[str] = []
    append = Log.append

    async def overtaken(self: Log, run: str, n: int, to: str, data: bytes) -> None:
        await append(self, run, n, to, data)
        envelope = decode(data)
        if "one" in [r.key for r in envelope.records if isinstance(r, Stepped)]:
            # The mail has come to another worker, which does the next step before we hear of it.
            other = Stepped(frame="w", key="two", result=Raw(b'"by another"'))
            mine = Envelope(op="other-1", at=0.0, cause=envelope.cause, records=[other])
            await append(self, run, n + 1, "log", encode(mine))
            monkeypatch.setattr(Log, "append", append)
            if lost:
                raise PublishUnconfirmed("no reply")
            monkeypatch.setattr("layby.runtime.pending._SLOW", 0.0)  # it took long

    monkeypatch.setattr(Log, "append", overtaken)

    async def effect(name: str) -> str:
        ran.append(name)
        return f"did {name}"

    async def handle(event: dict[str, Any], step: Step) -> list[str]:
        del event
        return [await step.run(name, effect, name) for name in ("one", "two", "three")]

    async with engine.works(app_of(handle)):
        run = await engine.start()
        assert await engine.result(run) == ["did one", "by another", "did three"]
    assert ran == ["one", "three"]


async def test_no_step_runs_after_another_worker_ended_the_run(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    append = Log.append

    async def overtaken(self: Log, run: str, n: int, to: str, data: bytes) -> None:
        await append(self, run, n, to, data)
        envelope = decode(data)
        if "one" in [r.key for r in envelope.records if isinstance(r, Stepped)]:
            monkeypatch.setattr(Log, "append", append)
            rest: list[Record] = [Ended(status="completed", result=Raw(b'"by another"'))]
            mine = Envelope(op="other-1", at=0.0, cause=envelope.cause, records=rest)
            await append(self, run, n + 1, "log", encode(mine))
            raise PublishUnconfirmed("no reply")

    monkeypatch.setattr(Log, "append", overtaken)

    async def effect(name: str) -> str:
        ran.append(name)
        return name

    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        return [await step.run(name, effect, name) for name in ("one", "two")][-1]

    async with engine.works(app_of(handle)):
        run = await engine.start()
        assert await engine.result(run) == "by another"
    assert ran == ["one"]


async def test_a_branch_waits_for_a_record_of_a_concurrent_branch(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    while_on_its_way: list[list[str]] = []
    append = Log.append

    async def slow(self: Log, run: str, n: int, to: str, data: bytes) -> None:
        if "before" in [r.key for r in decode(data).records if isinstance(r, Stepped)]:
            for _ in range(300):
                await asyncio.sleep(0)
            while_on_its_way.append(ran.copy())
        await append(self, run, n, to, data)

    monkeypatch.setattr(Log, "append", slow)

    async def effect(name: str) -> str:
        ran.append(name)
        return name

    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        await step.run("before", effect, "before")
        answer, _ = await step.gather(
            step.ask("developer", "go on?"), step.run("beside", effect, "beside")
        )
        return str(answer.text)

    async with engine.works(app_of(handle)):
        run = await engine.start()
        await engine.question()
        await engine.answer()
        assert await engine.result(run) == "yes"
    assert while_on_its_way == [["before"]]
    assert ran == ["before", "beside"]


async def test_an_answer_gets_its_receipt_once_there_is_room(
    engine: Engine,
) -> None:
    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        return (await step.ask("developer", "go on?")).text

    async with engine.works(app_of(handle)):
        run = await engine.start()
        await engine.question()
        before = await engine.wire.api("STREAM.INFO.QUESTIONS")
        held: int = before["state"]["messages"]
        full = {**before["config"], "max_msgs": held, "discard": "new"}
        await engine.wire.api("STREAM.UPDATE.QUESTIONS", full)
        answer = asyncio.create_task(engine.answer())
        await engine.result(run)
        await engine.wire.api("STREAM.UPDATE.QUESTIONS", before["config"])
        assert (await answer).outcome == "accepted"

        async def stored() -> bool:
            info = await engine.wire.api("STREAM.INFO.QUESTIONS")
            now: int = info["state"]["messages"]
            return now > held

        await until(stored)
