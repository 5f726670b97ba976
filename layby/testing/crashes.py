"""Workers that are killed at a named point, and what they leave behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncGenerator

from ..actors.people.answer import Receipt
from ..bus.errors import LaybyError
from ..bus.requests import Requests
from ..bus.settings import ConnectionSettings
from ..bus.specs import Topology
from ..runtime.crash import POINTS
from ..runtime.state import Question
from ..runtime.times import iso
from ..views.rows import QuestionRow

_NANOS = 1_000_000_000
_NOTICED = 0.3
"""Seconds in which the server looks through what is unacknowledged, once ack-wait has changed."""
_READY = b"ready on"


class DoomedWorker:
    """A `layby worker` in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.stderr = ""
        """Its standard error so far."""
        self._ready = asyncio.Event()
        self._reader = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        assert self._process.stderr is not None  # noqa: S101  it was opened with a pipe
        async for line in self._process.stderr:
            self.stderr += line.decode(errors="replace")
            if line.startswith(_READY):
                self._ready.set()
        self._ready.set()

    async def ready(self) -> None:
        """Return when it takes work, or is dead already."""
        await self._ready.wait()

    async def dead(self, within: float) -> bool:
        """Whether it dies in time."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), within)
            return True
        return False

    async def kill(self) -> None:
        """Kill it if it is alive, and wait for its end."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._reader


@contextlib.asynccontextmanager
async def doomed_worker(
    target: str, settings: ConnectionSettings, point: str, after: int
) -> AsyncGenerator[DoomedWorker]:
    """A worker for "module:name" that is killed when it reaches `point` the `after`-th time."""
    if point not in POINTS:
        raise LaybyError(f"there is no crash point {point!r}; there are: {', '.join(POINTS)}")
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("NATS_")},
        "NATS_URL": settings.servers[0],
        "LAYBY_CRASH": f"{point}:{after}",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    worker = DoomedWorker(await _started(target, environ))
    try:
        await worker.ready()
        yield worker
    finally:
        await worker.kill()


async def _started(target: str, environ: dict[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "layby", "worker", target,
        env=environ, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


def owed(question: QuestionRow, taken: Question) -> Receipt:
    """The receipt for a recorded answer whose worker died before it issued one."""
    return Receipt(
        outcome="accepted",
        ticket=question.ticket,
        question=question.id,
        by=taken.by or None,
        at=iso(taken.at),
        seq=taken.seq,
    )


async def redeliver(requests: Requests, topology: Topology) -> None:
    """Have the server redeliver now what a dead worker did not acknowledge.

    It would do so by itself after each consumer's ack-wait. A shorter one makes it look at once;
    what it then finds stays on its list.
    """
    await _set_ack_wait(requests, topology, 0.05)
    await asyncio.sleep(_NOTICED)
    await _set_ack_wait(requests, topology, None)


async def _set_ack_wait(requests: Requests, topology: Topology, wait: float | None) -> None:
    for spec in topology.consumers:
        info = await requests.api(f"CONSUMER.INFO.{spec.stream}.{spec.name}")
        config = {**info["config"], "ack_wait": int((wait or spec.ack_wait) * _NANOS)}
        body = {"stream_name": spec.stream, "config": config, "action": "update"}
        await requests.api(spec.create, body)
