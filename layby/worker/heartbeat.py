"""A worker's beat: it says every two seconds that it runs, and how busy it is."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from ..bus.errors import BusError
from ..bus.requests import Requests
from ..bus.wire import Wire
from ..runtime import clock
from ..runtime.release import release
from ..runtime.times import iso
from ..runtime.worker import Worker
from ..runtime.writer import writer
from ..views.workers import BEAT, EVERY, WORKER, Beat

_PAGE: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_STATM: Final = Path("/proc/self/statm")


class Heartbeat:
    """The beats of one worker. They are not stored, and a lost one is not repeated."""

    def __init__(
        self,
        worker: Worker,
        nc: Wire,
        requests: Requests,
        *,
        app: str,
        fingerprint: str,
        kind: str = WORKER,
    ) -> None:
        self._worker = worker
        self._nc = nc
        self._first = Beat(
            id=secrets.token_hex(4),
            app=app,
            host=socket.gethostname()[:200],
            pid=os.getpid(),
            fingerprint=fingerprint,
            started_at=iso(time.time()),
            writer=writer(),
            kind=kind,
            version=release(),
        )
        self._subject = requests.names.subject(f"{BEAT}.{self._first.id}")

    async def run(self) -> None:
        """Beat until cancelled; the last beat says that the worker stops."""
        try:
            while True:
                self._beat()
                await asyncio.sleep(EVERY)
        finally:
            self._beat(stopping=True)

    def _beat(self, *, stopping: bool = False) -> None:
        beat = msgspec.structs.replace(
            self._first,
            mailboxes=self._worker.mailboxes,
            busy=self._worker.busy,
            memory=_memory(),
            stopping=stopping,
            behind=round(clock.behind(), 3),
        )
        with suppress(BusError):  # there is no connection now
            self._nc.send(self._subject, msgspec.json.encode(beat))


def _memory() -> int:
    """Bytes that this process holds; 0 where the system does not say."""
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0
