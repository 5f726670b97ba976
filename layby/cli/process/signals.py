"""Run until done, or until a signal of the terminal, the shell or a supervisor."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from ..screen.errors import INTERRUPTED, SIGNALLED, CliError

T = TypeVar("T")

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_until_stopped(work: Coroutine[Any, Any, T]) -> T:
    """Run `work`; a signal cancels it, so that everything it has started is stopped in order.

    Raises:
        CliError: A signal ended it; the exit code is 128 plus the number of the signal.
    """
    received: list[signal.Signals] = []

    async def run() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)

        def stop(number: signal.Signals) -> None:
            received.append(number)
            task.cancel()

        for number in _STOPPING:
            loop.add_signal_handler(number, stop, number)
        return await task

    with suppress(asyncio.CancelledError):
        return asyncio.run(run())
    number = received[0] if received else signal.SIGINT
    raise CliError("stopped", code=SIGNALLED + number, kind=INTERRUPTED)
