"""Which runs are blocked, so that a worker finds them without reading every run.

A bucket derived from the logs, like the index: a stale key costs one read of the log, which removes
it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import structlog

from ..bus.bucket import Bucket
from ..bus.errors import BusError, Conflict, PermissionDenied, StreamMissing
from ..bus.token import check_words
from .run import LiveRun

log = structlog.get_logger("layby.blocked")

_TRIES = 20


class BlockedRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run that is blocked."""

    run: str
    workflow: str
    pos: int
    """The position of its log that this reflects."""

    def __post_init__(self) -> None:
        """Check the run's id, which becomes part of a subject. Raises ValueError."""
        check_words(self.run)


class BlockedRuns:
    """Keeps the bucket in step with the logs."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def reflect(self, live: LiveRun) -> None:
        """List a run while it is blocked, and remove it afterwards."""
        try:
            await self._reflect(live)
        except PermissionDenied as error:
            log.warning("blocked.not_noted", run=live.id, error=str(error))

    async def _reflect(self, live: LiveRun) -> None:
        for _ in range(_TRIES):
            known = await self._bucket.get_newest(live.id)
            state = live.state
            there = known.read(_decode) if known is not None else None
            if there is not None and there.pos >= state.tail:
                return
            if known is None and not state.blocked:
                return
            row = BlockedRow(run=live.id, workflow=state.workflow, pos=state.tail)
            value, ttl = (msgspec.json.encode(row), None) if state.blocked else (b"", 60.0)
            revision = known.revision if known is not None else None
            try:
                await self._bucket.put(live.id, value, revision=revision, ttl=ttl)
            except Conflict:
                continue
            return
        raise BusError(f"run {live.id}: its row in the bucket of blocked runs kept changing")

    async def rows(self) -> AsyncIterator[BlockedRow]:
        """Every run that is blocked, or was until a moment ago."""
        try:
            async for item in self._bucket.items():
                row = item.read(_decode)
                if row is not None and row.run == item.key:
                    yield row
        except StreamMissing:
            return  # provisioned by an older release


_decode = msgspec.json.Decoder(BlockedRow).decode
