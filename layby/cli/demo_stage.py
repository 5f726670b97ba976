"""What the demo runs on: a server and two workers, all gone when the demo is."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from . import shell
from .children import WorkerProcess
from .errors import CliError
from .nearby import FILE, SERVER, beside
from .reach import Reach, embedded

APP: Final = "examples.support_agent:app"
WORKERS: Final = ("worker-1", "worker-2")
_FORGET = ("tickets.sqlite3", "tickets.sqlite3-wal", "tickets.sqlite3-shm")


@asynccontextmanager
async def stage(data: Path, deadline: str) -> AsyncGenerator[Stage]:
    """A server with its data in `data`, and workers that take work; both stop at the end."""
    from ..bus.server import EmbeddedServer

    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(EmbeddedServer(data / SERVER, private=True))
        other = stack.enter_context(beside(server.url))
        file = server.url_file if other else FILE.absolute()
        workers = _workers(data, deadline, embedded(server))
        stack.push_async_callback(_stop, workers)
        await asyncio.gather(*(worker.start() for worker in workers))
        await asyncio.gather(*(worker.ready() for worker in workers))
        yield Stage(
            server.url,
            workers,
            address=server.address,
            before=shell.server_in(file) if other else "",
            before_nats=shell.server_in(file),
        )


class Stage:
    """The server and the workers beside it.

    Attributes:
        url: Where it is, with its password.
        address: The same without, to be shown.
        before: What names it before a command of `layby` in this folder; empty: nothing need.
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


def _workers(data: Path, deadline: str, reach: Reach) -> list[WorkerProcess]:
    environ = {
        **reach.environ,
        "LAYBY_ASK_TIMEOUT": deadline,
        "LAYBY_DATA": str(data),
        "PYTHONPATH": os.pathsep.join(_python_path(reach.environ)),
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
    """The folder that holds `examples/`: this one, or the checkout that Layby runs from.

    Raises:
        CliError: There is neither; the examples are not part of the installed package.
    """
    for folder in (Path.cwd(), Path(__file__).parents[2]):
        if (folder / "examples" / "support_agent").is_dir():
            return folder
    raise CliError(
        "the demo's example is not here",
        "run `layby demo` in a checkout of Layby: it is examples/support_agent",
        kind="ExampleMissing",
    )


def forget(data: Path) -> None:
    """Delete what earlier demos kept in `data`, and nothing else that may be in that folder.

    Raises:
        CliError: Another demo is using it.
    """
    server = data / SERVER
    if server.is_dir():
        with (server / "lock").open("a") as lock:
            _take(lock.fileno(), data)
            for child in server.iterdir():
                if child.is_dir():
                    shutil.rmtree(child)
    for name in (*_FORGET, *(f"{worker}.log" for worker in WORKERS)):
        (data / name).unlink(missing_ok=True)


def _take(lock: int, data: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise CliError(
            f"another demo is using {data}",
            "stop that one first, or give another folder with --data",
            kind="DataFolderUnusable",
        ) from error
