"""A body in memory: an agent in a script, without a server and without durability."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from ..bus.log_subject import NOBODY
from . import clock
from .blockers import Blocker
from .entry import NULL, ROOT, Called, Failed, Raw, Record, Slept
from .errors import NeedsServer
from .ports import Ports, Timers, Values
from .recorder import Armed
from .state import Frame, RunState, Slot

Play = Callable[[Called], Awaitable[Raw]]
"""Runs the called actor in place; returns its result."""


class MemoryRecorder:
    """Keeps nothing, waits in place, and refuses what needs a server."""

    begins = True
    ticket = ""
    event = NULL
    redelivered = False

    def __init__(self, run_id: str, play: Play) -> None:
        self.state = RunState(id=run_id)
        self.frame = Frame(id=ROOT, actor="")
        self._play = play

    def reached(self, key: str) -> None:
        """Nothing is expected."""

    def changed(self, key: str) -> None:
        """Nothing is recorded that could have changed."""

    def owns(self, owner: int) -> bool:
        """No other handler exists."""
        del owner
        return True

    def enters_for_branch(self, key: str) -> bool:
        """No other handler exists."""
        del key
        return True

    def needs_server(self, what: str) -> None:
        """Raise NeedsServer."""
        raise NeedsServer(
            f"{what}: an agent alone in a script has no server to wait on; give it to a Network "
            "of an App, and run that on a server"
        )

    def propagates(self, error: Exception) -> bool:
        """An error about a missing server ends the turn, and is not passed to the model."""
        return isinstance(error, NeedsServer)

    def block(self, blocker: Blocker) -> None:
        """Nobody is there to fix it: the error is raised."""

    async def check_may_proceed(self) -> None:
        """No other handler exists."""

    async def before_effect(self, key: str) -> None:
        """No other handler exists."""

    async def before_retry(self, key: str) -> None:
        """No other handler exists."""

    def record(self, record: Record) -> None:
        """Nothing is kept."""

    async def flush(self, *, to: str = NOBODY, mail: Record | None = None) -> None:
        """Nothing is kept."""

    async def wait(self, record: Record, *, to: str = NOBODY, armed: Armed | None = None) -> Slot:
        """Wait in place."""
        del to, armed
        match record:
            case Slept(until=until) | Failed(retry_at=until):
                await asyncio.sleep(max(0.0, until - clock.now()))
                return Slot(kind="sleep", settled=1)
            case Called():
                return Slot(kind="call", settled=1, result=await self._play(record))
            case _:
                raise AssertionError(f"nothing in memory settles {record!r}")

    def branching(self, tasks: Sequence[Any]) -> AbstractContextManager[None]:
        """Branches are not counted."""
        del tasks
        return nullcontext()


class NoTimers:
    """Arms nothing: waits in memory sleep in place."""

    async def arm(self, name: str, at: float, body: bytes) -> None:
        """Nobody is woken."""


class WholeValues:
    """Values stay inline, whatever their size."""

    async def deflate(self, raw: Raw, run: str) -> Raw:
        """`raw` itself."""
        del run
        return raw

    async def inflate(self, raw: Raw) -> Raw:
        """`raw` itself."""
        return raw


@dataclass(kw_only=True)
class MemoryPorts(Ports):
    """The few ports that steps in memory need."""

    timers: Timers = field(default_factory=NoTimers)
    blobs: Values = field(default_factory=WholeValues)
    role_address: Callable[[str], str] = str

    def log_failure(
        self, run: str, key: str, error: Exception, attempt: int, pause: float | None
    ) -> None:
        """A script has no log: a permanent failure is raised, or passed to the model."""
