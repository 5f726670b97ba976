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

from ..bus.files import open_private
from .errors import CliError
from .handshake import ALONE, GRACE, READY_FD

_TAIL = 12


class WorkerProcess:
    """One `layby worker` process.

    Its standard input is a pipe that we hold open and never write to: when we die, however hard,
    the pipe closes and the worker stops. It says that it is ready on another pipe.

    Args:
        app: The app as `module:attribute`.
        name: The worker's name.
        options: More options of `layby worker`.
        environ: Its environment.
        log: Where its output goes; None leaves it on our terminal.
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
        self.prefix = ""
        """The prefix of the app, once the worker is ready."""
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
        """Start the process; `ready` waits until it takes work."""
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
        """Wait until the worker takes work.

        Raises:
            CliError: It exited before that; the message holds what it said last.
        """
        said = b"" if self._ready is None else await self._ready.readline()
        if said or self._ready is None:
            self.prefix = said.decode().strip()
            return
        code = await self.exited()
        raise CliError(
            f"{self.name} did not start (exit code {code})",
            self.last_words(),
            kind="WorkerNotStarted",
        )

    async def exited(self) -> int:
        """Wait until the process has exited, and return its code."""
        return 0 if self._process is None else await self._process.wait()

    async def stop(self) -> None:
        """Let it finish what it does; kill it after `GRACE` seconds. Always reaps it."""
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

    def last_words(self) -> str:
        """The end of what it has logged since it was started."""
        if self._log is None:
            return ""
        with suppress(OSError):
            said = self._log.read_bytes()[self._log_from :].decode(errors="replace")
            return "\n".join(said.strip().splitlines()[-_TAIL:])
        return ""

    def _output(self) -> IO[bytes] | None:
        if self._log is None:
            return None
        log = open_private(self._log)
        self._log_from = log.tell()
        return log


async def _reader(fd: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    pipe = os.fdopen(fd, "rb", buffering=0)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    return reader
