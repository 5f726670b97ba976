"""The workers of a test, as processes that can be killed, stopped and continued."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec

from layby.bus.group_commit import SETTING

from . import crowd, logins
from .app import ACK_WAIT, LOG_STREAMS
from .board_channel import BOARD, UNHEARD
from .ledger import LEDGER
from .nursery import Order

ROOT = Path(__file__).parent.parent.parent
READY_WITHIN = 90.0


class Door(NamedTuple):
    """Where a console is: its address, and the one that signs in."""

    url: str
    entry: str


class Worker:
    """One worker process, one console, or one `layby notify`."""

    def __init__(self, number: int, *, renamed: bool = False, notifies: bool = False) -> None:
        self.number = number
        self.notifies = notifies
        """Whether it only shows questions on channels, and hears what people say there."""
        self.renamed = renamed
        """Whether it is of the release that has another name for a recorded step."""
        self.pid = 0
        self.ready = asyncio.Event()
        self.made = asyncio.Event()
        self.gone = asyncio.Event()
        self.code: int | None = None
        self.ready_at = 0.0
        """When it took work first, Unix seconds; 0: not yet."""
        self.died_at = 0.0
        self.door: Door | None = None
        """Of a console that is ready."""

    @property
    def lives(self) -> bool:
        """Whether the process has not exited."""
        return not self.gone.is_set()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal unless it has exited."""
        if self.lives and self.pid:
            with suppress(ProcessLookupError):  # dead, and its nursery has not said so yet
                os.kill(self.pid, number)

    async def kill(self) -> None:
        """Kill it as a crash would, and wait until it is gone."""
        await self.made.wait()
        self.signal(signal.SIGKILL)
        await self.gone.wait()


class Fleet:
    """Makes workers for the server at `url`; all die with the block."""

    def __init__(
        self,
        folder: Path,
        url: str,
        *,
        ack_wait: float = 1.5,
        ask_timeout: float = 20.0,
        log_streams: int = 0,
        crowded: str = "",
        board: str = "",
        front: Mapping[str, str] | None = None,
    ) -> None:
        """`crowded`: the campaign whose roles the app has; `board`: where its channels are.

        `front`: the environment that names Slack and a mail server.
        """
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.url = url
        self.workers: dict[int, Worker] = {}
        self.unexpected: list[str] = []
        self._environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            LEDGER: str(folder / "ledger.jsonl"),
            ACK_WAIT: str(ack_wait),
            **({LOG_STREAMS: str(log_streams)} if log_streams else {}),
            "CHAOS_ASK_TIMEOUT": str(ask_timeout),
            **({crowd.CROWDED: crowded} if crowded else {}),
            **({BOARD: board, UNHEARD: str(folder / "unheard")} if board else {}),
            **(front or {}),
        }
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._count = 0

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.chaos.nursery"),
            cwd=ROOT,
            env=self._environ,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        process.stdin.close()  # it kills what is left, although nobody may read its word
        await process.wait()
        if self._reader is not None:
            await self._reader

    @property
    def living(self) -> list[Worker]:
        """The workers that have not exited."""
        return [worker for worker in self.workers.values() if worker.lives]

    async def provision(self, url: str) -> None:
        """Create the streams of the app, as somebody who may."""
        login = logins.settings(url, logins.PROVISIONER)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "layby", "provision", "tests.chaos.app:app"),
            cwd=ROOT,
            env={
                **self._environ,
                SETTING: "1",  # the streams take batches
                "NATS_URL": url,
                "NATS_USER": login.user or "",
                "NATS_PASSWORD": login.password or "",
                "NATS_INBOX_PREFIX": login.inbox_prefix or "",
            },
            stdout=asyncio.subprocess.DEVNULL,
        )
        assert await process.wait() == 0, "the streams could not be created"

    async def start(
        self,
        *,
        crash: str = "",
        mutant: str = "",
        url: str = "",
        renamed: bool = False,
        catalogue: str = "",
        notifies: bool = False,
    ) -> Worker:
        """Start a worker, a console with a file for its catalogue, or a `layby notify`.

        Returns when it takes work (or has died on the way).
        """
        worker = self.order(
            crash=crash,
            mutant=mutant,
            url=url,
            renamed=renamed,
            catalogue=catalogue,
            notifies=notifies,
        )
        async with asyncio.timeout(READY_WITHIN):
            await _first(worker.ready.wait(), worker.gone.wait())
        return worker

    def order(
        self,
        *,
        crash: str = "",
        mutant: str = "",
        url: str = "",
        renamed: bool = False,
        catalogue: str = "",
        notifies: bool = False,
    ) -> Worker:
        """Start a worker without waiting for it."""
        self._count += 1
        worker = Worker(self._count, renamed=renamed, notifies=notifies)
        self.workers[self._count] = worker
        order = Order(
            id=self._count,
            url=url or self.url,
            crash=crash,
            mutant=mutant,
            renamed=renamed,
            log=str(self.folder / "workers.log"),
            catalogue=catalogue,
            notifies=notifies,
        )
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")
        return worker

    def log(self) -> str:
        """What the workers have logged."""
        path = self.folder / "workers.log"
        return path.read_text(errors="replace") if path.exists() else ""

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self._take(msgspec.json.decode(line))

    def _take(self, word: dict[str, Any]) -> None:
        if "made" in word:
            worker = self.workers[word["made"]]
            worker.pid = word["pid"]
            worker.made.set()
        elif "ready" in word:
            worker = self.workers[word["ready"]]
            if "url" in word:
                worker.door = Door(word["url"], word["entry"])
            worker.ready_at = time.time()
            worker.ready.set()
        else:
            worker = self.workers[word["exited"]]
            worker.code, worker.died_at = word["code"], time.time()
            worker.gone.set()
            if worker.code != -signal.SIGKILL:
                self.unexpected.append(f"worker {worker.number} exited with {worker.code}")


async def _first(*waits: Any) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
