"""Forks the workers that `layby.testing` kills, as tests/command.py does with all commands.

tests/acceptance/test_testing.py starts them as users of `layby.testing` do.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import IO

import pytest

from layby.testing import crashes
from tests.command import Command


class Forked:
    """What `DoomedWorker` uses of an `asyncio.subprocess.Process`."""

    def __init__(self, command: Command, stderr: asyncio.StreamReader) -> None:
        self.stderr = stderr
        self._pid = command.pid
        self._exit = asyncio.ensure_future(asyncio.to_thread(command.wait))

    async def wait(self) -> int:
        return await asyncio.shield(self._exit)

    def kill(self) -> None:
        if not self._exit.done():
            os.kill(self._pid, signal.SIGKILL)


async def forked(target: str, environ: dict[str, str]) -> Forked:
    command = await asyncio.to_thread(
        Command, ["worker", target], folder=Path.cwd(), environ=environ
    )
    command.stdin.close()
    command.stdout.close()
    return Forked(command, await reader(command.stderr))


async def reader(pipe: IO[str]) -> asyncio.StreamReader:
    stream = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), pipe
    )
    return stream


@pytest.fixture(autouse=True)
def _forked_workers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "layby_running" in request.fixturenames and request.path.stem != "test_testing":
        monkeypatch.setattr(crashes, "_started", forked)
