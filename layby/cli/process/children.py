"""Worker processes of our own: they report when they are ready and never outlive us."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

from ...bus.files import open_private
from ..screen.errors import CliError
from .handshake import ALONE, GRACE, READY_FD
from .readiness import Ready

_TAIL = 12
_LONGEST = 4 * 1024 * 1024
"""Bytes that a worker may send when it is ready: the keys of many people."""


class WorkerProcess:
    """One `layby worker` process.

    Its standard input is a pipe that we keep open and never write to: if we die, even by SIGKILL,
    the pipe closes and the worker stops. It reports on another pipe that it is ready.

    Args:
        app: The app as `module:attribute`.
        name: The worker's name.
        options: More options for `layby worker`.
        environ: Its environment.
        log: File for its output; None leaves it on our terminal.
    """

    def __init__(
        self,
        app: str,
        *,
        name: str,
        options: Sequence[str] = (),
        environ: Mapping[str, str],
        log: Path | None = None,
    ) -> None:
        self.name = name
        self.said = Ready()
        """What the worker reported about its app when it was ready."""
        self._app = app
        self._options = tuple(options)
        self._environ = environ
        self._log = log
        self._log_from = 0
        self._process: asyncio.subprocess.Process | None = None
        self._ready: asyncio.StreamReader | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process and self.running else None

    @property
    def running(self) -> bool:
        """Whether it has been started and has not exited."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start the process; `ready` waits until it is ready."""
        receive, send = os.pipe()
        output = self._output()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "layby", "worker", self._app, "--name", self.name),
                *(*self._options, ALONE, READY_FD, str(send)),
                env=dict(self._environ),
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
                pass_fds=(send,),
                start_new_session=True,  # keeps the terminal's Ctrl-C away: we stop it ourselves
            )
        except BaseException:
            os.close(receive)
            raise
        finally:
            os.close(send)
            if output is not None:
                output.close()
        self._ready = await _reader(receive)

    async def ready(self) -> None:
        """Wait until the worker is ready for work.

        Raises:
            CliError: It exited before that; the advice is the end of its log.
        """
        line = b"" if self._ready is None else await self._ready.readline()
        if line or self._ready is None:
            self.said = msgspec.json.decode(line or b"{}", type=Ready)
            return
        code = await self.exited()
        raise CliError(
            f"{self.name} did not start (exit code {code})",
            self.log_tail() or "the reason is printed above",
            kind="WorkerNotStarted",
        )

    async def exited(self) -> int:
        """Wait until the process has exited, and return its code."""
        return 0 if self._process is None else await self._process.wait()

    async def stop(self) -> None:
        """Let it finish its current steps; kill it after `GRACE` seconds. Always reaps it."""
        process = self._process
        if process is None:
            return
        try:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(GRACE):
                await process.wait()
        except TimeoutError:
            pass
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def log_tail(self) -> str:
        """The last lines it has logged since it was started."""
        if self._log is None:
            return ""
        with suppress(OSError):
            text = self._log.read_bytes()[self._log_from :].decode(errors="replace")
            return "\n".join(text.strip().splitlines()[-_TAIL:])
        return ""

    def _output(self) -> IO[bytes] | None:
        if self._log is None:
            return None
        log = open_private(self._log)
        self._log_from = log.tell()
        return log


async def _reader(fd: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=_LONGEST)
    pipe = os.fdopen(fd, "rb", buffering=0)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    return reader
