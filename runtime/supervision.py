"""Keeps a worker's loops alive: restarts the ones that crash, and gives up after too many crashes.

One for one, as in Erlang/OTP: a child that dies is restarted on its own. More than `max_restarts`
deaths of one child within `within` seconds mean that restarting does not help; the supervisor then
gives up and the worker ends, so that its process manager starts a new one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger("layby.supervision")

Child = Callable[[], Awaitable[None]]
"""A loop that runs until it is cancelled; it must be able to restart."""


class Supervision:
    """Runs children, each in its own task."""

    def __init__(
        self,
        *,
        max_restarts: int = 5,
        within: float = 60.0,
        pause: float = 0.1,
        on_give_up: Callable[[str], None] | None = None,
    ) -> None:
        self._max_restarts = max_restarts
        self._within = within
        self._pause = pause
        self._on_give_up = on_give_up
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, name: str, child: Child) -> None:
        """Run `child`, and restart it when it dies."""
        task = asyncio.get_running_loop().create_task(self._watch(name, child), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """End all children."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _watch(self, name: str, child: Child) -> None:
        deaths: deque[float] = deque(maxlen=self._max_restarts + 1)
        loop = asyncio.get_running_loop()
        while True:
            try:
                await child()
            except Exception as error:
                deaths.append(loop.time())
                log.exception("child.died", child=name, deaths=len(deaths), error=repr(error))
            else:
                return
            if len(deaths) > self._max_restarts and deaths[-1] - deaths[0] <= self._within:
                log.error("child.given_up", child=name)
                if self._on_give_up is not None:
                    self._on_give_up(name)
                return
            await asyncio.sleep(self._pause * 2 ** min(len(deaths), 6))
