"""The workers that are running, by what they report about themselves every two seconds."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final, Self

import msgspec

from ..bus.connection import Connection
from ..bus.names import Names
from ..bus.token import is_word
from ..runtime.envelope import UNREADABLE
from ..runtime.times import check_times, iso

BEAT: Final = "layby.worker"
"""Subject prefix of the beats."""
EVERY: Final = 2.0
"""Seconds between two beats of a worker."""
WORKER: Final = "worker"
NOTIFIER: Final = "notifier"
"""What a process is that beats: `layby worker`, or `layby notify`."""
_LOST: Final = 3 * EVERY + 0.5
"""Seconds without a beat after which a worker is lost."""
_FORGOTTEN: Final = 600.0
_MOST: Final = 10_000
_FARTHEST: Final = 1e10


class Beat(msgspec.Struct, kw_only=True, frozen=True):
    """What a worker reports about itself; not stored.

    Attributes:
        id: Names the worker; a new one for each start.
        app: Its app.
        host: The machine or pod it runs on.
        pid: Its process id there.
        fingerprint: Of its release.
        started_at: When it was started.
        mailboxes: How many mailboxes it reads.
        busy: How many messages it is handling.
        memory: Bytes of memory that it holds.
        stopping: Whether this is its last beat.
        writer: Names its process in the logs of runs; empty: it does not say.
        kind: `worker`, or `notifier` for `layby notify`.
        version: The release of Layby that it runs; empty: it does not say.
        behind: Seconds that its clock is behind the server's; negative when it is ahead.
    """

    id: str
    app: str
    host: str
    pid: int
    fingerprint: str
    started_at: str
    mailboxes: int = 0
    busy: int = 0
    memory: int = 0
    stopping: bool = False
    writer: str = ""
    kind: str = WORKER
    version: str = ""
    behind: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be shown. Raises ValueError."""
        check_times(self.started_at)
        if not is_word(self.id) or max(map(len, self._texts())) > 200:  # noqa: PLR2004
            raise ValueError("it names no worker")
        if not abs(self.behind) <= _FARTHEST:
            raise ValueError("no clock is so wrong")

    def _texts(self) -> tuple[str, ...]:
        return self.app, self.host, self.fingerprint, self.writer, self.kind, self.version


class WorkerRow(Beat, kw_only=True, frozen=True):
    """A worker as people see it.

    Attributes:
        heard_at: When it was heard last.
        lost: Whether it has not been heard for three beats, and has not said that it stops.
    """

    heard_at: str
    lost: bool


_decode = msgspec.json.Decoder(Beat).decode


class Workers:
    """Listens to beats, and knows who was heard when."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._heard: dict[str, tuple[Beat, float]] = {}

    @classmethod
    @contextlib.asynccontextmanager
    async def listening(cls, connection: Connection, names: Names) -> AsyncGenerator[Self]:
        """Listens while the block is open."""
        workers = cls()

        async def hear(msg: Any) -> None:
            workers.hear(bytes(msg.data))

        sub = await connection.nc.subscribe(names.subject(f"{BEAT}.*"), cb=hear)
        try:
            yield workers
        finally:
            with contextlib.suppress(Exception):  # the connection may be gone
                await sub.unsubscribe()

    def hear(self, data: bytes) -> None:
        """Take a beat; anything else is skipped."""
        try:
            beat = _decode(data)
        except UNREADABLE:
            return
        known = beat.id in self._heard
        if beat.stopping:
            self._heard.pop(beat.id, None)
        elif known or len(self._heard) < _MOST:
            self._heard[beat.id] = (beat, self._clock())

    def of_writer(self, writer: str) -> Beat | None:
        """The worker whose process has a name in logs; None: it has not been heard lately."""
        found = (beat for beat, _ in self._heard.values() if beat.writer == writer)
        return next(found, None) if writer else None

    def rows(self) -> list[WorkerRow]:
        """The workers: those that run, and those that were lost in the last ten minutes."""
        now = self._clock()
        for id_, (_, at) in list(self._heard.items()):
            if now - at > _FORGOTTEN:
                del self._heard[id_]
        found = [
            WorkerRow(**msgspec.structs.asdict(beat), heard_at=iso(at), lost=now - at > _LOST)
            for beat, at in self._heard.values()
        ]
        return sorted(found, key=lambda row: (row.lost, row.app, row.started_at, row.id))
