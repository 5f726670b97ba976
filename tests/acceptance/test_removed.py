"""A run is removed, retried and ended at the same time, and nobody takes one for the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from layby import App, NonRetriableError, Step
from layby.actors.workflows.children import ChildRuns
from layby.actors.workflows.event_waits import WaitActor, _without_run  # pyright: ignore[reportPrivateUsage]
from layby.bus.blobs import Blobs
from layby.bus.bucket import Bucket
from layby.bus.connection import ConnectionSettings
from layby.bus.log import Log
from layby.client import NotRetryable
from layby.runtime.entry import Cancelled
from layby.runtime.index import Index
from layby.runtime.run import LiveRun
from layby.runtime.state import RunState
from layby.runtime.unseen_records import Removed
from layby.runtime.worker import Worker
from layby.worker.worker import working
from tests.engine import ON, Engine, app_of, until
from tests.fix_proxy import Proxy

pytestmark = pytest.mark.nats


class Till:
    """A step that fails while it is out of order."""

    def __init__(self) -> None:
        self.broken = True

    async def pay(self) -> str:
        if self.broken:
            raise NonRetriableError("the till is out of order")
        return "paid"


def shop(till: Till) -> App:
    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        return await step.run("pay", till.pay)

    return app_of(handle)


async def _listed(engine: Engine, run: str, status: str) -> bool:
    return any(row.id == run for row in await engine.client.runs(status))


async def _entries(engine: Engine, run: str) -> int:
    return len(await engine.log.load(run))


async def test_a_run_that_is_being_removed_is_not_taken_up_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    till, purge, refused = Till(), Blobs.purge, list[str]()

    async def retried(blobs: Blobs, run: str) -> Any:
        with pytest.raises(NotRetryable) as caught:
            await engine.client.retry(run)
        refused.append(str(caught.value))
        return await purge(blobs, run)

    async with engine.works(shop(till)):
        run = await engine.start("T1")
        await engine.ended(run)
        await until(lambda: _listed(engine, run, "failed"))
        till.broken = False
        monkeypatch.setattr(Blobs, "purge", retried)
        await until(lambda: _purged(engine))
        assert refused == [f"run {run} is being removed: start a new run"]
        assert await _entries(engine, run) == 0


async def _purged(engine: Engine) -> bool:
    return (await engine.client.purge(0)).runs == 1


async def test_a_run_that_was_taken_up_again_is_not_removed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at its log and the removal."""
    till, at, looked = Till(), Log.at, list[str]()

    async def then_retried(log: Log, run: str, *positions: int) -> dict[int, bytes]:
        found = await at(log, run, *positions)
        if run not in looked:
            looked.append(run)
            await engine.client.retry(run)
        return found

    async with engine.works(shop(till)):
        run = await engine.start("T1")
        await engine.ended(run)
        await until(lambda: _listed(engine, run, "failed"))
        till.broken = False
        monkeypatch.setattr(Log, "at", then_retried)
        await until(lambda: _looked(engine, looked))
        assert await engine.result(run) == "paid"


async def _looked(engine: Engine, looked: list[str]) -> bool:
    assert (await engine.client.purge(0)).runs == 0
    return bool(looked)


async def test_a_removal_that_was_cut_short_is_finished(engine: Engine) -> None:
    async with engine.works(shop(Till())):
        run = await engine.start("T1")
        await engine.ended(run)
        await until(lambda: _listed(engine, run, "failed"))
        live = LiveRun(engine.log, RunState(id=run))
        await live.catch_up()
        await live.append([Removed()])
        with pytest.raises(NotRetryable, match="is being removed"):
            await engine.client.retry(run)
        await until(lambda: _purged(engine))
        assert await _entries(engine, run) == 0


# -- a worker that was away --------------------------------------------------------------------


@pytest.fixture
async def proxy(clean_nats: str) -> AsyncIterator[Proxy]:
    proxy = Proxy(clean_nats)
    await proxy.start()
    yield proxy
    await proxy.stop()


async def one_question(event: dict[str, Any], step: Step) -> str:
    del event
    return (await step.ask("developer", "Well?", timeout="1h")).text


async def _end_and_purge(engine: Engine, run: str) -> None:
    live = LiveRun(engine.log, RunState(id=run))
    await live.catch_up()
    await live.append([Cancelled(reason="by another worker")])
    await Index(Bucket(engine.wire, "runs")).write(live)
    await until(lambda: _purged(engine))


async def test_a_worker_that_missed_a_removal_starts_the_run_again(
    engine: Engine, proxy: Proxy
) -> None:
    app = app_of(one_question)
    settings = ConnectionSettings(servers=(proxy.url,))
    async with engine.works(app_of(one_question)):  # provisions, and takes commands
        pass
    async with working(app, settings, listed_after=0.02) as worker:
        config = (await engine.wire.api("STREAM.INFO.EVENTS"))["config"]
        await engine.wire.api("STREAM.UPDATE.EVENTS", {**config, "duplicate_window": 100_000_000})
        run = await engine.start("T1", event_id="once")
        await engine.question()
        await proxy.stop()
        async with engine.works(App("elsewhere", roles=["nobody"])):
            await _end_and_purge(engine, run)
        await proxy.start()
        await until(lambda: _back(worker))
        before = await engine.log.load(run)
        assert before == []
        assert (await engine.answer("T1", "to what is gone")).outcome == "unknown_ticket"
        assert await engine.log.load(run) == []

        async def sent() -> bool:
            return not (await engine.client.send(ON, {"ticket": "T1"}, event_id="once")).duplicate

        await until(sent)
        await until(lambda: _begun(engine, run))
        await engine.question(run=run)
        await engine.answer("T1", "anew")
        assert await engine.result(run) == "anew"


async def _back(worker: Worker) -> bool:
    return worker.host.interruptions > 0


async def _begun(engine: Engine, run: str) -> bool:
    return bool((await engine.state(run)).frames)


# -- children of a run that was taken up again --------------------------------------------------


async def test_a_late_end_of_a_run_does_not_end_the_child_of_the_run_taken_up_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker that ended the parent is slow to end its children; somebody has retried it."""
    till, end, late = Till(), ChildRuns.end, asyncio.Event()
    held: list[str] = []

    async def slow(children: ChildRuns, run: str, *rest: Any) -> None:
        if not held:
            held.append(run)
            await late.wait()
        await end(children, run, *rest)

    async def handle(event: dict[str, Any], step: Step) -> list[str]:
        async def pays() -> str:
            await step.wait_for_event("desk.pay", match={"ticket": event["ticket"]})
            return await step.run("pay", till.pay)

        return await step.gather(step.workflow("child", event), pays())

    app = app_of(handle, events=["desk.pay"])

    @app.workflow(on="desk.child", key="ticket", name="child")
    async def child(event: dict[str, Any], step: Step) -> str:
        return (await step.ask("developer", f"And {event['ticket']}?")).text

    async with engine.works(app):
        monkeypatch.setattr(ChildRuns, "end", slow)
        run = await engine.start("T1")
        asked = await engine.question()
        await engine.client.send("desk.pay", {"ticket": "T1"})
        await until(lambda: _held(held))
        till.broken = False
        await engine.client.retry(run)
        await engine.told(run, "step.done")
        late.set()
        with suppress(TimeoutError):
            await until(lambda: _is_over(engine, asked.run), within=2)
        assert (await engine.state(asked.run)).status == "waiting"
        assert (await engine.answer("T1", "fine")).outcome == "accepted"
        assert await engine.result(run) == ["fine", "paid"]


async def _held(held: list[str]) -> bool:
    return bool(held)


async def _is_over(engine: Engine, run: str) -> bool:
    return (await engine.state(run)).ended


async def test_a_late_end_of_a_run_forgets_no_wait_of_the_run_taken_up_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    till, change, late = Till(), WaitActor._change, asyncio.Event()
    held: list[str] = []

    async def slow(waits: WaitActor, key: str, empty: Any, update: Any) -> None:
        tidies = getattr(update, "func", None) is _without_run
        if tidies and not held:
            held.append(key)
            await late.wait()
        await change(waits, key, empty, update)
        if tidies and late.is_set():
            held.append("tidied")

    async def handle(event: dict[str, Any], step: Step) -> list[Any]:
        async def waits() -> Any:
            return await step.wait_for_event("desk.go", match={"ticket": event["ticket"]})

        async def pays() -> str:
            await step.ask("developer", "Pay?")
            return await step.run("pay", till.pay)

        return [bool(each) for each in await step.gather(waits(), pays())]

    async with engine.works(app_of(handle, events=["desk.go"])):
        monkeypatch.setattr(WaitActor, "_change", slow)
        run = await engine.start("T1")
        await engine.question()
        await engine.answer()
        await until(lambda: _held(held))
        till.broken = False
        await engine.client.retry(run)
        await engine.told(run, "step.done")
        late.set()
        await until(lambda: _tidied(held))
        await engine.client.send("desk.go", {"ticket": "T1"})
        assert await engine.result(run) == [True, True]


async def _tidied(held: list[str]) -> bool:
    return "tidied" in held
