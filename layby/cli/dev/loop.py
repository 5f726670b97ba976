"""The loop of `layby dev`: a server, and a worker that restarts after every save."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..invocation import Invocation
from ..process.child_connection import ChildConnection, embedded_connection, inherited_connection
from ..process.children import WorkerProcess
from ..process.handshake import DEV
from ..process.local_console import local_console
from ..process.local_server import SERVER, advertised
from ..screen import shell
from ..screen.errors import CliError
from ..screen.output import stderr, stdout
from .source_watch import saved_files

if TYPE_CHECKING:
    from ...bus.settings import ConnectionSettings
    from ...console.server import Serving

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_SLOW_START = 2.0
"""Seconds after which a start of the server is explained."""


async def develop(
    call: Invocation,
    app: str,
    data: Path,
    port: int | None,
    *,
    reload: bool,
    console: bool = True,
    console_port: int | None = None,
) -> None:
    """Run `app` until it is stopped.

    Args:
        call: The global options.
        app: The app as `module:attribute`.
        data: The folder of the embedded server's data.
        port: The embedded server's port; None: a free one.
        reload: Whether to restart the worker when a file is saved.
        console: Whether to serve the console.
        console_port: Its port; None: the usual one if it is free.

    Raises:
        CliError: The app did not start the first time.
        PortTaken: Another program listens on `console_port`.
    """
    async with (
        _server(call, data, port) as server,
        saved_files(Path.cwd(), enabled=reload) as saved,
    ):
        options = [*server.options, DEV, *(["--verbose"] if call.verbose else [])]
        worker = WorkerProcess(app, name="dev", options=options, environ=server.environ)
        try:
            await worker.start()
            await worker.ready()  # the first start must work: the user has to fix it
            async with local_console(
                _settings(call, server),
                wanted=console,
                port=console_port,
                prefix=worker.said.prefix,
                keyring=call.keyring,
                signers=worker.said.signers,
            ) as shown:
                _introduce(app, server, worker.said.prefix, shown)
                await _keep_running(worker, saved)
        finally:
            await worker.stop()


@asynccontextmanager
async def _server(
    call: Invocation, data: Path, port: int | None
) -> AsyncGenerator[ChildConnection]:
    """The server that the user's settings name, else one of our own."""
    from ...bus.server import EmbeddedServer
    from ...bus.settings import without_credentials

    settings = call.settings()
    if settings.is_configured:
        yield inherited_connection(call, settings)
        return
    slow_start = asyncio.get_running_loop().call_later(_SLOW_START, _explain_slow_start, data)
    server = EmbeddedServer(data / SERVER, port=port, private=True)
    try:
        await server.start()
        slow_start.cancel()
        with advertised(server.url) as other:
            if other:
                _name_other_server(without_credentials(other), shell.server_in(server.url_file))
            yield embedded_connection(
                server, before=shell.server_in(server.url_file) if other else ""
            )
    finally:
        slow_start.cancel()
        await server.stop()


def _explain_slow_start(data: Path) -> None:
    stderr().print(
        f"the server reads its data in {data}: after a crash, seconds for each 100,000 runs",
        style="dim",
        soft_wrap=True,
    )


def _name_other_server(other: str, before: str) -> None:
    stderr().print(
        f"another server runs in this folder: commands use {other}; to use this one, put "
        f"{before.strip()} before them",
        style="yellow",
        soft_wrap=True,
    )


def _settings(call: Invocation, server: ChildConnection) -> ConnectionSettings:
    """How the console connects: as the worker does."""
    from ...bus.settings import ConnectionSettings

    settings = call.settings()
    if settings.is_configured:
        return settings
    return ConnectionSettings(servers=(server.environ["NATS_URL"],))


def _introduce(
    app: str, server: ChildConnection, prefix: str, shown: Serving | None = None
) -> None:
    console = stdout()
    console.print(f"\n  {app} runs on {server.url}", style="bold", soft_wrap=True)
    if shown is not None:
        console.print(f"  Console: {shown.entry}", style="bold", soft_wrap=True)
    console.print()
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
    """Restart the worker when a file is saved and, after a pause, when it exits by itself."""
    pause, alive = _FIRST_PAUSE, True
    while True:
        file = await _saved_or_exited(worker, saved) if alive else await saved.get()
        if file:
            pause = _FIRST_PAUSE
            stderr().print(f"{file} changed: restarting the worker", style="dim")
        else:
            stderr().print(f"the worker exited; restarting it in {pause:g} s", style="yellow")
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        await worker.stop()
        alive = await _started(worker)


async def _saved_or_exited(worker: WorkerProcess, saved: asyncio.Queue[str]) -> str | None:
    """The file that was saved; None if the worker exited first."""
    saving, dying = asyncio.ensure_future(saved.get()), asyncio.ensure_future(worker.exited())
    try:
        await asyncio.wait((saving, dying), return_when=asyncio.FIRST_COMPLETED)
        return saving.result() if saving.done() else None
    finally:
        saving.cancel()
        dying.cancel()


async def _started(worker: WorkerProcess) -> bool:
    """Start it and return whether it is ready; if not, its error is on the screen."""
    await worker.start()
    try:
        await worker.ready()
    except CliError:
        stderr().print("waiting for the next change", style="dim")
        return False
    return True
