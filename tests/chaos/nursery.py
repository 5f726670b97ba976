"""Makes workers by forking, so that hundreds can be killed in a minute: imports are paid once.

`python -m tests.chaos.nursery` reads orders from stdin, one JSON object a line, and reports on
stdout: `{"ready": id}`, `{"exited": id, "code": code}`. When stdin closes, it kills what is left.
A console is made in the same way; it is ready with its address. So is a `layby notify`.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from layby.actors.people.channel_calls import ChannelCalls
from layby.console.options import ConsoleOptions
from layby.console.server import serving
from layby.runtime import crash
from layby.runtime.telemetry import configure
from layby.worker.notify import run_notify
from layby.worker.worker import run_worker

from .. import slow_disk
from . import board_channel, keys, logins, mutants, renamed
from .app import app


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Make one worker, or one console."""

    id: int
    url: str
    crash: str = ""
    """`point` or `point:k`, as LAYBY_CRASH."""
    mutant: str = ""
    renamed: bool = False
    """Whether it is of the release that has another name for a recorded step."""
    log: str = ""
    catalogue: str = ""
    """The file of a console's catalogue; empty: make a worker."""
    notifies: bool = False
    """Whether to be `layby notify`."""


def main() -> None:
    """Serve orders until stdin closes."""
    children: dict[int, int] = {}
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, _noticed)
    signal.set_wakeup_fd(woken)
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
    selector.register(wake, selectors.EVENT_READ)
    rest = b""
    try:
        while True:
            for key, _ in selector.select():
                if key.fd == wake:
                    os.read(wake, 4096)
                    continue
                data = os.read(key.fd, 65536)
                if not data:
                    return
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    order = msgspec.json.decode(line, type=Order)
                    children[_fork(order)] = order.id
            _reap(children)
    finally:
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _noticed(number: int, frame: object) -> None:
    """Nothing: the signal has woken the loop by its file."""


def _reap(children: dict[int, int]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        _say({"exited": children.pop(pid), "code": os.waitstatus_to_exitcode(status)})


def _say(word: dict[str, Any]) -> None:
    os.write(1, msgspec.json.encode(word) + b"\n")


def _fork(order: Order) -> int:
    pid = os.fork()
    if pid:
        _say({"made": order.id, "pid": pid})
        return pid
    code = 1
    try:
        _be_new(order)
        asyncio.run(_serve(order) if order.catalogue else _work(order))
        code = 0
    except BaseException as error:  # noqa: BLE001  a child must never run its parent's code
        sys.stderr.write(f"worker {order.id}: {error!r}\n")
        sys.stderr.flush()
    finally:
        os._exit(code)


def _be_new(order: Order) -> None:
    """Be as different from our siblings as a process that was started afresh."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if order.log:
        os.dup2(os.open(order.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), 2)
    if board_channel.BOARD in os.environ:
        ChannelCalls.__init__.__defaults__ = (board_channel.LIMIT,)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    configure(stream=sys.stderr)
    if order.crash:
        name, _, count = order.crash.partition(":")
        crash._NAME = name  # pyright: ignore[reportPrivateUsage]
        crash._left = int(count or "1")  # pyright: ignore[reportPrivateUsage]
    if order.id % 2:  # half of the workers store in batches, and the others must bear with it
        slow_disk.pretend()
    if order.mutant:
        mutants.apply(order.mutant)


async def _work(order: Order) -> None:
    ready = asyncio.Event()

    async def tell() -> None:
        await ready.wait()
        _say({"ready": order.id})

    telling = asyncio.create_task(tell())
    settings = logins.settings(order.url, logins.WORKER, f"w{order.id}")
    release = renamed.app if order.renamed else app
    run = run_notify if order.notifies else run_worker
    await run(release, settings, name=f"w{order.id}", ready=ready)
    telling.cancel()


async def _serve(order: Order) -> None:
    """Be `layby console --port 0 --catalogue FILE`."""
    settings = logins.settings(order.url, logins.OPERATOR, f"console{order.id}")
    options = ConsoleOptions(port=0, catalogue=Path(order.catalogue))
    async with serving(settings, options, keyring=keys.keyring()) as console:
        _say({"ready": order.id, "url": console.url, "entry": console.entry})
        await console.failed()


if __name__ == "__main__":
    main()
