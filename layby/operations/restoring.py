"""Restores a backup: checks it, makes its streams, and takes its consumers back to where they were.

Each stream has a mark until all of them are there, with which no worker starts. So a restore that
broke off is recognized, and is repeated from its beginning.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from ..bus import snapshot
from ..bus.errors import BusError, LaybyError, PermissionDenied, StoreFull, StreamMissing
from ..bus.inventory import consumers
from ..bus.opened import opened
from ..bus.ownership import (
    being_restored,
    is_being_restored,
    restored,
    taken_over_from,
    without_server,
)
from ..bus.requests import Requests
from ..bus.settings import ConnectionSettings
from .backup_folder import BackupFolder, Manifest, Part, Position

_CHUNK: Final = 128 * 1024
_TRIES: Final = 5
_PAUSE: Final = 1.0
"""Seconds until a stream is tried again: a server of a cluster may learn too late of a restore."""
_QUICK: Final = 10.0


class RestoreRefused(LaybyError):
    """A backup is not restored, because something is in its way. Nothing was changed."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A stream that is on the server and in the backup."""

    stream: str
    messages: int


class RestoredBackup(msgspec.Struct, frozen=True, kw_only=True):
    """What was restored."""

    begun_at: str
    """When the backup was begun; empty if the nats CLI wrote it."""
    streams: tuple[str, ...]
    consumers: int
    """How many consumers were taken back to where they were when the backup began."""


class _Plan(NamedTuple):
    """What is to be done on the server before a backup is restored."""

    remove: list[str]
    """Streams that have to go."""
    held: list[Held]
    """Those among them that hold something."""


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
        BackupUnusable: the folder is not a whole backup. Nothing was changed.
        RestoreRefused: streams hold something, or workers run. Nothing was changed.
        BusError: it broke off. No worker starts until it is repeated and succeeds.
    """
    folder = BackupFolder(path)
    manifest = folder.read()
    for part in manifest.parts:
        folder.check(part)
    async with opened(settings, prefix=manifest.prefix) as bus:
        plan = await _plan(bus.requests, manifest)
        if plan.held and not may_replace(plan.held):
            names = ", ".join(held.stream for held in plan.held)
            raise RestoreRefused(
                f"there is something in {names}: a backup is restored into an account without "
                "these streams; or replace them with --replace"
            )
        for stream in plan.remove:
            await _delete(bus.requests, stream)
        work = _Restore(bus.requests, folder, replicas, report)
        for part in manifest.parts:
            await work.stream(part)
        moved = [await _take_back(bus.requests, each) for each in manifest.positions]
        for part in manifest.parts:
            await _release(bus.requests, part.stream)
    return RestoredBackup(
        begun_at=manifest.begun_at,
        streams=tuple(part.stream for part in manifest.parts),
        consumers=sum(moved),
    )


async def _plan(requests: Requests, manifest: Manifest) -> _Plan:
    """What is in the way of a backup. Raises RestoreRefused if a worker runs."""
    plan = _Plan([], [])
    timers = requests.names.stream("TIMERS")
    for part in manifest.parts:
        info = await _info(requests, part.stream)
        if info is None:
            continue
        config, state = info["config"], info["state"]
        if taken_over_from(config):
            raise RestoreRefused(
                f"stream {part.stream} belongs to a takeover that broke off, and may hold more "
                "than the backup: run `layby standby take-over` to its end; or restore into an "
                "account without these streams"
            )
        plan.remove.append(part.stream)
        messages = int(state["messages"])
        if messages and not _is_only_restored(config, state, part, timers):
            plan.held.append(Held(stream=part.stream, messages=messages))
        for each in await consumers(requests, part.stream):
            if each.get("num_waiting"):
                raise RestoreRefused(
                    f"somebody waits for messages of consumer {each['name']} in stream "
                    f"{part.stream}: stop all workers, notifiers and consoles first"
                )
    return plan


def _is_only_restored(
    config: dict[str, Any], state: dict[str, Any], part: Part, timers: str
) -> bool:
    """Whether a stream holds nothing but what a restore that broke off has put there.

    The server itself adds to TIMERS what has come due.
    """
    took_more = int(state["last_seq"]) > part.last_seq and part.stream != timers
    return is_being_restored(config) and not took_more


async def _info(requests: Requests, stream: str) -> dict[str, Any] | None:
    try:
        return await requests.api(f"STREAM.INFO.{stream}")
    except StreamMissing:
        return None


async def _delete(requests: Requests, stream: str) -> None:
    with suppress(StreamMissing):
        await requests.api(f"STREAM.DELETE.{stream}", timeout=_QUICK)


class _Restore:
    """Makes the streams of a backup, one after the other."""

    def __init__(
        self,
        requests: Requests,
        folder: BackupFolder,
        replicas: int | None,
        report: Callable[[int], None],
    ) -> None:
        self._requests = requests
        self._folder = folder
        self._replicas = replicas
        self._report = report
        self._done = 0

    async def stream(self, part: Part) -> None:
        """Make one stream. Raises BusError."""
        config, state = self._folder.about(part)
        config = being_restored(config)
        if self._replicas is not None:
            config["num_replicas"] = self._replicas
        before = self._done
        for attempt in range(1, _TRIES + 1):
            self._done = before
            try:
                await snapshot.restore(
                    self._requests, config, state, self._chunks(part), self._count
                )
            except (PermissionDenied, StoreFull):
                raise
            except BusError:
                # No reply says nothing: the stream may be there all the same.
                if await _info(self._requests, part.stream) is None:
                    if attempt == _TRIES:
                        raise
                    await asyncio.sleep(_PAUSE)
                    continue
            break
        await self._check(part)

    async def _check(self, part: Part) -> None:
        """Refuse a stream that lacks messages; old ones may have expired. Raises BusError."""
        info = await _info(self._requests, part.stream)
        last = -1 if info is None else int(info["state"]["last_seq"])
        if last < part.last_seq:
            raise BusError(
                f"stream {part.stream} ends at {last} and not at {part.last_seq} after its "
                "restore: run it again, with another copy of the backup"
            )

    def _count(self, size: int) -> None:
        self._done += size
        self._report(self._done)

    async def _chunks(self, part: Part) -> AsyncIterator[bytes]:
        for chunk in self._folder.chunks(part, _CHUNK):
            yield chunk


async def _take_back(requests: Requests, position: Position) -> bool:
    """Let a consumer deliver again what had not been acknowledged when the backup began."""
    name = f"{position.stream}.{position.consumer}"
    try:
        info = await requests.api(f"CONSUMER.INFO.{name}")
    except BusError as error:
        if error.code != _NO_CONSUMER:
            raise
        return False  # it was removed before its stream was saved
    at = {info[key]["stream_seq"] for key in ("ack_floor", "delivered")}
    if at == {position.floor}:
        return False  # it has not moved since
    await requests.api(f"CONSUMER.DELETE.{name}")
    config: dict[str, Any] = {
        **position.config,
        "deliver_policy": "by_start_sequence",
        "opt_start_seq": position.floor + 1,
    }
    config.pop("opt_start_time", None)
    config["metadata"] = without_server(config.get("metadata"))
    body = {"stream_name": position.stream, "config": config}
    await requests.api(f"CONSUMER.CREATE.{name}", body)
    return True


_NO_CONSUMER: Final = 10014


async def _release(requests: Requests, stream: str) -> None:
    """Take the mark away that keeps workers from a stream."""
    info = await requests.api(f"STREAM.INFO.{stream}")
    body = restored(info["config"])
    await requests.api(f"STREAM.UPDATE.{stream}", body, timeout=_QUICK)
