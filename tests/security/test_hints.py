"""What is planted in rows, or said on core subjects, stops nobody and is not obeyed unseen."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from layby import Step
from layby.runtime.hints import Hints
from tests.engine import Engine, app_of, until
from tests.security.house import Raw

pytestmark = pytest.mark.nats

JUNK = [b"x", b"\xff\xfe", b"{" * 2_000, b"{}", b"null", b'{"waits":[{"run":"*","frame":"w"}]}']
TIME = "2026-01-01T00:00:00.000Z"


async def asks(event: dict[str, Any], step: Step) -> str:
    del event
    return (await step.ask("developer", "Well?")).text


@pytest.mark.parametrize("word", ["cancel", "blocked"])
async def test_a_word_that_the_log_does_not_hold_is_not_obeyed(
    engine: Engine, clean_nats: str, word: str
) -> None:
    """A step was stopped and begun anew, again and again."""
    entered, go_on, times = asyncio.Event(), asyncio.Event(), list[int]()

    async def handle(event: dict[str, Any], step: Step) -> int:
        async def slow() -> int:
            times.append(1)
            entered.set()
            await go_on.wait()
            return 7

        del event
        return await step.run("slow", slow)

    async with engine.works(app_of(handle)) as worker, Raw.at(clean_nats) as raw:
        run = await engine.start()
        await entered.wait()
        looks: list[str] = []
        check_still_active = worker.host.check_still_active

        async def counted(each: str) -> None:
            looks.append(each)
            await check_still_active(each)

        worker._cancels = Hints(counted)
        for _ in range(500):
            raw.publish(f"layby.{word}.{run}".encode())
            raw.publish(f"layby.{word}.\xff".encode("latin-1"))
        assert not await raw.sent()
        await until(lambda: _seen(looks, word))
        go_on.set()
        assert await engine.result(run) == 7
    assert len(times) == 1
    assert len(looks) <= 3


async def _seen(looks: list[str], word: str) -> bool:
    return bool(looks) or word == "blocked"


async def test_a_run_that_is_cancelled_stops_at_once(engine: Engine) -> None:
    entered, stopped = asyncio.Event(), asyncio.Event()

    async def handle(event: dict[str, Any], step: Step) -> None:
        async def slow() -> None:
            entered.set()
            try:
                await asyncio.Event().wait()
            finally:
                stopped.set()

        del event
        await step.run("slow", slow)

    async with engine.works(app_of(handle)):
        run = await engine.start()
        await entered.wait()
        await engine.client.cancel(run)
        async with asyncio.timeout(10):
            await stopped.wait()


async def test_rows_that_cannot_be_read_stop_no_run_and_no_command(
    engine: Engine, clean_nats: str
) -> None:
    run = "0" * 20
    forged = {
        "runs": {"id": run, "workflow": "w", "ticket": "T1", "status": "completed", "pos": 1}
        | {"started_at": "yesterday", "updated_at": "tomorrow"},
        "questions": {"ticket": "\x00" * 300, "question": {"id": "q", "run": "*", "role": "r"}},
        "parked": {"ticket": "T1", "questions": [{"id": "q", "run": "x", "deadline": "never"}]},
        "blocked": {"run": "*", "workflow": "w", "pos": 1},
        "waits": {"waits": [{"run": "*", "frame": "w", "key": "k"}]},
    }

    async def waits(event: dict[str, Any], step: Step) -> Any:
        await step.wait_for_event("desk.said", match="ticket")
        return await asks(event, step)

    async with engine.works(app_of(waits, events=["desk.said"])), Raw.at(clean_nats) as raw:
        for bucket, row in forged.items():
            for key in ("junk", "T1", f"T1.{run}", "developer.T1.q", "*", ">", "a.b.c.d"):
                for body in [*JUNK, msgspec.json.encode(row)]:
                    raw.publish(f"$KV.{bucket}.{key}".encode(), body)
        for subject in ("developer.question.T1", "developer.receipt.T1", "due.x", "dead.x"):
            for body in JUNK:
                raw.publish(subject.encode(), body)
        await raw.sent()
        good = await engine.start("T1")
        await engine.told(good, "event.awaited")
        await engine.client.send("desk.said", {"ticket": "T1"})
        question = await engine.question(run=good)
        assert (await engine.answer(question_id=question.id)).outcome == "accepted"
        assert await engine.result(good) == "yes"
        await engine.client.doctor()
        await engine.client.migrate()
        await engine.client.questions()
        assert [each.id for each in await engine.client.runs() if each.id == good] == [good]

        async def purged() -> bool:
            return (await engine.client.purge(0)).runs == 1

        await until(purged)
    async with engine.works(app_of(waits, events=["desk.said"])):
        pass  # a worker starts all the same
