"""A worker that was taken for dead, and the one that has its mail: no record is made twice.

The mail of the first worker is given to the second by holding back what the first one sends, so
that nothing renews its ack-wait.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from layby import App, Step
from layby.bus.connection import ConnectionSettings
from layby.runtime import freshness
from layby.runtime.worker import Worker
from layby.worker import worker as working_module
from layby.worker.worker import working
from tests.engine import ON, Engine, app_of, until
from tests.fix_nats import eventually
from tests.fix_proxy import Proxy

pytestmark = pytest.mark.nats


class Bench:
    """Where the handlers of one mail are: `one 2` is the second try of step `one`."""

    def __init__(self, *shut: str) -> None:
        self.passed: Counter[str] = Counter()
        self.doors = {place: asyncio.Event() for place in shut}

    async def come(self, name: str) -> str:
        self.passed[name] += 1
        door = self.doors.get(f"{name} {self.passed[name]}")
        if door is not None:
            await door.wait()
        return name

    async def at(self, place: str) -> None:
        """Return when somebody is there."""
        name, _, number = place.rpartition(" ")

        async def come() -> bool:
            return self.passed[name] >= int(number)

        await until(come)

    def tries(self) -> tuple[int, int]:
        """How often each of the two steps was begun."""
        return self.passed["one"], self.passed["two"]


def app_with(bench: Bench) -> App:
    async def handle(event: dict[str, Any], step: Step) -> list[str]:
        del event
        await bench.come("before one")
        first = await step.run("one", bench.come, "one")
        await bench.come("before two")
        return [first, await step.run("two", bench.come, "two")]

    return app_of(handle, ack_wait=1.0)


class Cast:
    """Two workers of one app: `first` is cut off when told so, `second` comes then."""

    def __init__(self, engine: Engine, proxy: Proxy, app: App) -> None:
        self._engine, self._proxy, self._app = engine, proxy, app

    @asynccontextmanager
    async def first(self) -> AsyncGenerator[Worker]:
        async with self._engine.works(self._app):  # provisions
            pass
        settings = ConnectionSettings(servers=(self._proxy.url,))
        async with working(self._app, settings, listed_after=0.02) as worker:
            yield worker

    @asynccontextmanager
    async def second(self) -> AsyncGenerator[Worker]:
        """A second worker; until `back`, the server hears nothing of the first one."""
        self._proxy.hold(clients=True, server=False)
        async with self._engine.works(self._app) as worker:
            yield worker

    def back(self) -> None:
        self._proxy.release()


@pytest.fixture
async def heard(engine: Engine) -> list[bytes]:
    """The words of workers on what was delivered to them."""
    words: list[bytes] = []

    async def hear(msg: Any) -> None:
        words.append(msg.data)

    await engine.connection.nc.subscribe("$JS.ACK.>", cb=hear)
    await engine.connection.nc.flush()
    return words


async def _idle(worker: Worker) -> None:
    async def look() -> bool:
        return not worker.busy

    await until(look)


async def _recorded(engine: Engine, run: str) -> bool:
    """Whether the log has the result of step `one`."""
    state = await engine.state(run)
    return bool(state.frames) and "one" in state.root.slots


async def test_a_handler_that_was_held_up_reads_the_log_before_its_next_step(
    engine: Engine, proxy: Proxy
) -> None:
    """It has the mail first, and does not know that another has it too."""
    bench = Bench("before two 1")
    cast = Cast(engine, proxy, app_with(bench))
    async with cast.first() as first:
        run = await engine.start()
        await bench.at("before two 1")
        await until(lambda: _recorded(engine, run))
        async with cast.second():
            assert await engine.result(run) == ["one", "two"]
            cast.back()
            bench.doors["before two 1"].set()
            await _idle(first)
    assert bench.tries() == (1, 1)


@pytest.mark.parametrize("learns", [False, True])
async def test_a_handler_that_was_given_the_mail_of_another_looks_again_before_its_step(
    engine: Engine, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, *, learns: bool
) -> None:
    """It has read the log, and then the other one records the step.

    It may hear of the record before it comes to the step, from the list of runs for instance.
    """
    monkeypatch.setattr(freshness, "_RIVALRY", 0.0)
    bench = Bench("one 1", "before one 2", "two 1")
    cast = Cast(engine, proxy, app_with(bench))
    async with cast.first():
        run = await engine.start()
        await bench.at("one 1")
        async with cast.second() as second:
            await bench.at("before one 2")
            cast.back()
            bench.doors["one 1"].set()
            await bench.at("two 1")
            if learns:
                live = second.host.cache.warm(run)
                assert live is not None
                await live.catch_up()
            bench.doors["before one 2"].set()
            await _idle(second)
            assert bench.tries() == (1, 1)
            bench.doors["two 1"].set()
            assert await engine.result(run) == ["one", "two"]
    assert bench.tries() == (1, 1)


async def test_a_handler_that_is_behind_leaves_the_mail_to_the_one_that_is_ahead(
    engine: Engine, proxy: Proxy, heard: list[bytes]
) -> None:
    """Both have tried a step, which may be; handed back, the mail would be tried by a third."""
    bench = Bench("one 1", "one 2", "two 1")
    cast = Cast(engine, proxy, app_with(bench))
    async with cast.first():
        run = await engine.start()
        await bench.at("one 1")
        async with cast.second() as second:
            await bench.at("one 2")
            cast.back()
            bench.doors["one 1"].set()
            await bench.at("two 1")
            bench.doors["one 2"].set()
            await _idle(second)
            bench.doors["two 1"].set()
            assert await engine.result(run) == ["one", "two"]
    assert not [word for word in heard if word.startswith(b"-NAK")]
    assert bench.tries() == (2, 1)


async def test_an_event_that_another_worker_is_handling_is_not_acknowledged(
    engine: Engine, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker that is ahead stops amid its step; somebody must get the event again."""
    monkeypatch.setattr(working_module, "_GRACE", 0.05)
    bench = Bench("before one 2", "one 2")
    cast = Cast(engine, proxy, app_with(bench))
    async with cast.first() as first:
        assert await engine.result(await engine.start("T0")) == ["one", "two"]
        horizon = first.host._horizon
        await eventually(lambda: horizon.knows("EVENTS"))  # what comes now is known to be new
        await engine.wire.store(ON, msgspec.json.encode({"ticket": "T1"}))  # without an id
        await bench.at("before one 2")
        async with cast.second():
            await bench.at("one 2")
            cast.back()
            bench.doors["before one 2"].set()
            await _idle(first)
        run = await until(lambda: _run_of(engine, "T1"))
        assert await engine.result(run) == ["one", "two"]
    assert bench.tries() == (3, 2)


async def _run_of(engine: Engine, ticket: str) -> str:
    return next((run.id for run in await engine.client.runs(ticket=ticket)), "")
