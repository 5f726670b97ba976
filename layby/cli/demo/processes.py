"""The processes of the demo: a server and two workers, which stop with it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from ..process.child_connection import ChildConnection, embedded_connection
from ..process.children import WorkerProcess
from ..process.local_server import FILE, SERVER, advertised
from ..screen import shell
from ..screen.errors import CliError

APP: Final = "examples.support_agent:app"
WORKERS: Final = ("worker-1", "worker-2")
_TICKET_FILES = ("tickets.sqlite3", "tickets.sqlite3-wal", "tickets.sqlite3-shm")


@asynccontextmanager
async def demo_processes(data: Path, deadline: str) -> AsyncGenerator[DemoProcesses]:
    """A server with its data in `data`, and workers that are ready; all stop at the end."""
    from ...bus.server import EmbeddedServer

    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(EmbeddedServer(data / SERVER, private=True))
        other = stack.enter_context(advertised(server.url))
        file = server.url_file if other else FILE.absolute()
        workers = _workers(data, deadline, embedded_connection(server))
        stack.push_async_callback(_stop, workers)
        await asyncio.gather(*(worker.start() for worker in workers))
        await asyncio.gather(*(worker.ready() for worker in workers))
        yield DemoProcesses(
            server.url,
            workers,
            address=server.address,
            before=shell.server_in(file) if other else "",
            before_nats=shell.server_in(file),
        )


class DemoProcesses:
    """The server and the workers.

    Attributes:
        url: Address of the server, with its password.
        address: The same without the password, to be shown.
        before: What to put before a `layby` command in this folder so that it uses this server;
            empty if it does so anyway.
        before_nats: The same for the nats CLI.
    """

    def __init__(
        self,
        url: str,
        workers: Sequence[WorkerProcess],
        *,
        address: str,
        before: str,
        before_nats: str,
    ) -> None:
        self.url = url
        self.workers = workers
        self.address = address
        self.before = before
        self.before_nats = before_nats


def _workers(data: Path, deadline: str, connection: ChildConnection) -> list[WorkerProcess]:
    environ = {
        **connection.environ,
        "LAYBY_ASK_TIMEOUT": deadline,
        "LAYBY_DATA": str(data),
        "PYTHONPATH": os.pathsep.join(_python_path(connection.environ)),
    }
    return [
        WorkerProcess(APP, name=name, environ=environ, log=data / f"{name}.log") for name in WORKERS
    ]


async def _stop(workers: Sequence[WorkerProcess]) -> None:
    await asyncio.gather(*(worker.stop() for worker in workers))


def _python_path(environ: Mapping[str, str]) -> list[str]:
    before = environ.get("PYTHONPATH")
    return [str(examples_folder()), *([before] if before else [])]


def examples_folder() -> Path:
    """The folder that contains `examples/`: this one, or the checkout that Layby runs from.

    Raises:
        CliError: Neither does; the examples are not part of the installed package.
    """
    for folder in (Path.cwd(), Path(__file__).parents[3]):
        if (folder / "examples" / "support_agent").is_dir():
            return folder
    raise CliError(
        "the demo's example is missing",
        "run `layby demo` in a checkout of Layby: the example is examples/support_agent",
        kind="ExampleMissing",
    )


def forget(data: Path) -> None:
    """Delete the data of earlier demos in `data`, and nothing else in that folder.

    Raises:
        CliError: Another demo is using it.
    """
    server = data / SERVER
    if server.is_dir():
        with (server / "lock").open("a") as lock:
            _check_unused(lock.fileno(), data)
            for child in server.iterdir():
                if child.is_dir():
                    shutil.rmtree(child)
    for name in (*_TICKET_FILES, *(f"{worker}.log" for worker in WORKERS)):
        (data / name).unlink(missing_ok=True)


def _check_unused(lock: int, data: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise CliError(
            f"another demo is using {data}",
            "stop that one first, or choose another folder with --data",
            kind="DataFolderUnusable",
        ) from error
