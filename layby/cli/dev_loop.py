"""What `layby dev` does: a server, a worker, and the worker again after every save."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from . import shell
from .children import WorkerProcess
from .errors import CliError
from .handshake import DEV
from .invocation import Invocation
from .nearby import SERVER, beside
from .output import stderr, stdout
from .reach import Reach, as_told, embedded
from .saves import saves

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_LONG_START = 2.0
"""Seconds after which a start of the server is explained."""


async def develop(
    call: Invocation, app: str, data: Path, port: int | None, *, reload: bool
) -> None:
    """Run `app` until it is stopped.

    Raises:
        CliError: The app did not start the first time.
    """
    async with _server(call, data, port) as server, saves(Path.cwd(), enabled=reload) as saved:
        options = [*server.options, DEV, *(["--verbose"] if call.verbose else [])]
        worker = WorkerProcess(app, name="dev", options=options, environ=server.environ)
        try:
            await worker.start()
            await worker.ready()  # an app that does not start the first time is the user's to mend
            _introduce(app, server, worker.prefix)
            await _keep_running(worker, saved)
        finally:
            await worker.stop()


@asynccontextmanager
async def _server(call: Invocation, data: Path, port: int | None) -> AsyncGenerator[Reach]:
    """The server of the user's settings, else one of our own."""
    from ..bus.server import EmbeddedServer
    from ..bus.settings import without_credentials

    settings = call.settings()
    if settings.is_configured:
        yield as_told(call, settings)
        return
    patience = asyncio.get_running_loop().call_later(_LONG_START, _say_why_it_takes_long, data)
    server = EmbeddedServer(data / SERVER, port=port, private=True)
    try:
        await server.start()
        patience.cancel()
        with beside(server.url) as other:
            if other:
                _say_which_is_found(without_credentials(other), shell.server_in(server.url_file))
            yield embedded(server, before=shell.server_in(server.url_file) if other else "")
    finally:
        patience.cancel()
        await server.stop()


def _say_why_it_takes_long(data: Path) -> None:
    stderr().print(
        f"the server reads what is stored in {data}: seconds for each 100,000 runs after a crash",
        style="dim",
        soft_wrap=True,
    )


def _say_which_is_found(other: str, before: str) -> None:
    stderr().print(
        f"another server runs in this folder: commands reach {other}, and this one "
        f"with {before.strip()} before them",
        style="yellow",
        soft_wrap=True,
    )


def _introduce(app: str, server: Reach, prefix: str) -> None:
    console = stdout()
    console.print(f"\n  {app} works on {server.url}\n", style="bold", soft_wrap=True)
    if not (server.before or server.named):
        console.print("  In another terminal, in this folder:\n", style="dim")
    for line in _TRY:
        words = f"{server.before}{shell.layby()} {server.named}{_option(prefix)}{line}"
        console.print(f"  {words}", soft_wrap=True)
    console.print("\n  Ctrl-C stops it.\n", style="dim")


def _option(prefix: str) -> str:
    return f"--prefix {prefix} " if prefix else ""


_TRY = (
    """send SUBJECT '{"field": "value"}'""",
    "questions --watch",
    "answer TICKET TEXT",
    "runs",
)


async def _keep_running(worker: WorkerProcess, saved: asyncio.Queue[str]) -> None:
    """Start the worker again when a file is saved, and, with pauses, when it died by itself."""
    pause, alive = _FIRST_PAUSE, True
    while True:
        file = await _saved_or_dead(worker, saved) if alive else await saved.get()
        if file:
            pause = _FIRST_PAUSE
            stderr().print(f"{file} changed: the worker starts again", style="dim")
        else:
            stderr().print(f"the worker died; it starts again in {pause:g} s", style="yellow")
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        await worker.stop()
        alive = await _started(worker)


async def _saved_or_dead(worker: WorkerProcess, saved: asyncio.Queue[str]) -> str | None:
    """The file that was saved; None when the worker died first."""
    saving, dying = asyncio.ensure_future(saved.get()), asyncio.ensure_future(worker.exited())
    try:
        await asyncio.wait((saving, dying), return_when=asyncio.FIRST_COMPLETED)
        return saving.result() if saving.done() else None
    finally:
        saving.cancel()
        dying.cancel()


async def _started(worker: WorkerProcess) -> bool:
    """Start it; what keeps it from starting is on the screen, and the next save may mend it."""
    await worker.start()
    try:
        await worker.ready()
    except CliError:
        stderr().print("waiting for the next change", style="dim")
        return False
    return True
