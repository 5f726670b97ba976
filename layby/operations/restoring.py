"""Restores a backup: checks it, makes its streams, and takes its consumers back to where they were.

Each stream has a mark until all of them are there, with which no worker starts. Streams that are
replaced are removed one at a time, each right before its own from the backup is made: if that
is interrupted, the others are as they were. A repeated restore continues where it ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, Final

import msgspec

from ..bus import snapshot
from ..bus.errors import BusError, PermissionDenied, StoreFull, StreamMissing
from ..bus.inventory import info_of
from ..bus.opened import opened
from ..bus.ownership import being_restored, is_being_restored, restored, to_be_replaced
from ..bus.requests import Requests
from ..bus.settings import ConnectionSettings
from ..bus.subjects import overlaps
from .backing_up import is_saved_first
from .backup_folder import BackupFolder, BackupUnusable, Manifest, Part
from .positions import begin_again, take_back
from .rearming import look_after_timers
from .restore_plan import Held, Plan, RestoreRefused, plan_of
from .room import NoRoom, fitted

__all__ = ["Held", "NoRoom", "RestoreBroken", "RestoreRefused", "RestoredBackup", "restore"]

_CHUNK: Final = 128 * 1024
_TRIES: Final = 5
_PAUSE: Final = 1.0
"""Seconds until a stream is tried again: a server of a cluster may learn too late of a restore."""
_NAME_IN_USE: Final = 10130
_NAME_HELD: Final = 60.0
"""Seconds for which a cluster may hold a stream's name for a try that failed."""
_QUICK: Final = 10.0


class RestoreBroken(BusError):
    """A restore was interrupted. No worker starts until it is repeated and succeeds."""


class RestoredBackup(msgspec.Struct, frozen=True, kw_only=True):
    """What was restored."""

    begun_at: str
    """When the backup was begun; empty if the nats CLI wrote it."""
    streams: tuple[str, ...]
    consumers: int
    """How many consumers were taken back to where they were when the backup began."""
    smaller: tuple[str, ...] = ()
    """Streams whose size limit was made smaller, because the server cannot reserve what it was."""


async def restore(
    settings: ConnectionSettings,
    path: Path,
    *,
    replicas: int | None = None,
    may_replace: Callable[[list[Held]], bool] = lambda _: False,
    report: Callable[[int], None] = lambda _: None,
) -> RestoredBackup:
    """Restore all streams of a backup.

    Args:
        settings: Where and how to connect, as a user who may create and delete streams.
        path: The folder of the backup.
        replicas: How many copies each stream has. None: as many as it had.
        may_replace: Whether streams that hold something may be deleted. Called with these.
        report: Called with the number of bytes that were restored so far.

    Raises:
        BackupUnusable: the folder is not a complete backup. Nothing was changed.
        RestoreRefused: streams hold something, or workers run. Nothing was changed.
        NoRoom: the server or the account cannot store that much. Nothing was changed.
        RestoreBroken: it was interrupted; the message says which streams are there. Run again, it
            continues.
        BusError: the server refuses or is gone. Nothing was changed.
    """
    folder = BackupFolder(path)
    manifest = folder.read()
    for part in manifest.parts:
        folder.check(part)
    async with opened(settings, prefix=manifest.prefix) as bus:
        plan = await plan_of(bus.requests, folder, manifest, replicas)
        if plan.held and not may_replace(plan.held):
            names = ", ".join(held.stream for held in plan.held)
            raise RestoreRefused(
                f"there is something in {names}: a backup is restored into an account without "
                "these streams; or replace them with --replace"
            )
        made = await fitted(bus, plan.made, plan.old.values())
        smaller = [
            each.config["name"]
            for each, asked in zip(made, plan.made, strict=True)
            if each != asked
        ]
        plan = plan._replace(made=made)
        await _keep_workers_away(bus.requests, plan)
        work = _Restore(bus.requests, folder, manifest, plan, report)
        await work.all()
        await look_after_timers(bus.requests)
        for part in manifest.parts:
            await _release(bus.requests, part.stream)
    return RestoredBackup(
        begun_at=manifest.begun_at,
        streams=tuple(part.stream for part in manifest.parts),
        consumers=work.moved,
        smaller=tuple(smaller),
    )


async def _keep_workers_away(requests: Requests, plan: Plan) -> None:
    """Mark the streams that will be replaced; if that fails, none is. Raises BusError."""
    try:
        for old in plan.old.values():
            await _update(requests, to_be_replaced(old.config))
    except BusError:
        for old in plan.old.values():
            with suppress(BusError):
                await _update(requests, old.config)
        raise


class _Restore:
    """Makes the streams of a backup, one after the other."""

    def __init__(
        self,
        requests: Requests,
        folder: BackupFolder,
        manifest: Manifest,
        plan: Plan,
        report: Callable[[int], None],
    ) -> None:
        self._requests = requests
        self._folder = folder
        self._manifest = manifest
        self._parts = plan.parts
        self._configs = {each.config["name"]: each.config for each in plan.made}
        self._old = dict(plan.old)
        """Streams that are still there and have to go."""
        self._report = report
        self._bytes = 0
        self._gone: list[str] = []
        """Streams that were removed, and not made yet."""
        self._made = [part.stream for part in manifest.parts if part not in plan.parts]
        self.moved = 0
        """How many consumers were taken back."""

    async def all(self) -> None:
        """Make all streams that are missing. Raises RestoreBroken."""
        try:
            for part in self._parts:
                await self._stream(part)
        except (BusError, BackupUnusable, OSError) as error:
            raise RestoreBroken(f"{error}. {self._left()}", code=_code(error)) from error

    def _left(self) -> str:
        """What there is now, in words."""
        missing = {part.stream for part in self._parts} - set(self._made) - self._old.keys()
        said = [
            (self._made, "restored"),
            (self._old, "still as before"),
            (missing & set(self._gone), "removed and not restored"),
            (missing - set(self._gone), "not there yet"),
        ]
        listed = "; ".join(f"{what}: {', '.join(sorted(of))}" for of, what in said if of)
        return (
            f"The restore was interrupted ({listed}), and no worker starts. Fix the cause, and run "
            "the same command again: it continues from here"
        )

    async def _stream(self, part: Part) -> None:
        _, state = self._folder.about(part)
        config = being_restored(self._configs[part.stream])
        await self._make_way(part.stream, config.get("subjects") or ())
        await self._make(part, config, state)
        await self._check(part)
        await self._take_back(part.stream)
        info = await self._requests.api(f"STREAM.INFO.{part.stream}")
        await _update(self._requests, being_restored(info["config"], self._manifest.id))
        self._made.append(part.stream)

    async def _make_way(self, stream: str, subjects: Iterable[str]) -> None:
        """Remove what is there under the name of a stream, or has one of its subjects."""
        for name, old in list(self._old.items()):
            held: list[str] = old.config.get("subjects") or []
            if name == stream or any(overlaps(one, two) for one in held for two in subjects):
                with suppress(StreamMissing):
                    await self._requests.api(f"STREAM.DELETE.{name}", timeout=_QUICK)
                self._gone.append(name)
                del self._old[name]

    async def _make(self, part: Part, config: dict[str, Any], state: dict[str, Any]) -> None:
        before, clock = self._bytes, asyncio.get_running_loop().time
        patient = clock() + _NAME_HELD
        for attempt in count(1):
            self._bytes = before
            try:
                await snapshot.restore(
                    self._requests, config, state, self._chunks(part), self._count
                )
            except (PermissionDenied, StoreFull):
                raise
            except BusError as error:
                if await self._is_there(part):
                    return
                is_held = error.code == _NAME_IN_USE and clock() < patient
                if attempt >= _TRIES and not is_held:
                    raise
                await asyncio.sleep(_PAUSE)
            else:
                return

    async def _is_there(self, part: Part) -> bool:
        """Whether a failed try made the stream after all; a partial one is removed.

        No reply says nothing: the stream may be there all the same. A cluster gives up a restore
        that gets nothing more after some seconds, and then has the stream without its messages.
        """
        info = await info_of(self._requests, part.stream)
        if info is None:
            return False
        if int(info["state"]["last_seq"]) >= part.last_seq > 0:
            return True
        if is_being_restored(info["config"]):
            with suppress(StreamMissing):
                await self._requests.api(f"STREAM.DELETE.{part.stream}", timeout=_QUICK)
        return False

    async def _check(self, part: Part) -> None:
        """Refuse a stream that lacks messages; old ones may have expired. Raises BusError."""
        info = await info_of(self._requests, part.stream)
        last = -1 if info is None else int(info["state"]["last_seq"])
        if last < part.last_seq:
            raise BusError(
                f"stream {part.stream} ends at {last} and not at {part.last_seq} after its "
                "restore: take another copy of the backup"
            )

    async def _take_back(self, stream: str) -> None:
        """Let the stream's consumers deliver what was not acknowledged when the backup began."""
        known: set[str] = set()
        for position in self._manifest.positions:
            if position.stream == stream:
                known.add(position.consumer)
                self.moved += await take_back(self._requests, position)
        # The nats CLI notes neither positions nor ends, and the first streams need none.
        end = self._manifest.ends.get(stream)
        if end is not None and not is_saved_first(stream, self._requests.names):
            self.moved += await begin_again(self._requests, stream, end, known)

    def _count(self, size: int) -> None:
        self._bytes += size
        self._report(self._bytes)

    async def _chunks(self, part: Part) -> AsyncIterator[bytes]:
        for chunk in self._folder.chunks(part, _CHUNK):
            yield chunk


def _code(error: Exception) -> int:
    return error.code if isinstance(error, BusError) else 0


async def _release(requests: Requests, stream: str) -> None:
    """Remove the mark that keeps workers from a stream."""
    info = await requests.api(f"STREAM.INFO.{stream}")
    await _update(requests, restored(info["config"]))


async def _update(requests: Requests, config: dict[str, Any]) -> None:
    await requests.api(f"STREAM.UPDATE.{config['name']}", config, timeout=_QUICK)
