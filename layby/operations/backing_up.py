"""Saves the streams of an app while its workers run, so that nothing acknowledged before is lost.

A server saves one stream at a time, so a backup is as of several moments. Their order makes it
look like the streams of workers that all died at once (docs/disaster.md explains it):

1. how far each consumer has acknowledged. What was acknowledged has had all its consequences, so
   they are in whatever is saved later. The rest is delivered again after a restore.
2. AUDIT and TIMERS, where an outcome or a removed timer says that something has been done.
3. what follows from the logs: rows, questions, dead letters. What is missing is written again.
4. the logs.
5. what the logs refer to by content (big values, keys, threads) or by sequence (events, answers).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from ..bus import snapshot
from ..bus.errors import LaybyError
from ..bus.inventory import consumers, is_log, own_streams
from ..bus.names import EVENTS, Names
from ..bus.opened import Bus, opened
from ..bus.ownership import is_being_restored, taken_over_from
from ..bus.settings import ConnectionSettings
from ..runtime.release import release
from ..runtime.times import iso
from .backup_folder import BackupFolder, Manifest, Part, Position, room_in

_FIRST = ("AUDIT", "TIMERS")
_REFERRED_TO = ("BLOBS", "KV_keys", "THREADS", "ANSWERS", EVENTS)
_LOGS = 100


class NothingToSave(LaybyError):
    """The account holds no streams of an app with this prefix."""


async def back_up(
    settings: ConnectionSettings,
    path: Path,
    *,
    prefix: str = "",
    report: Callable[[int], None] = lambda _: None,
) -> Manifest:
    """Save all streams of an app, or of all apps with one prefix, to a new folder.

    Args:
        settings: Where and how to connect.
        path: The folder, which must not exist, or be empty.
        prefix: The prefix of the app's streams.
        report: Called with the number of bytes that were saved so far.

    Raises:
        NothingToSave: there are no such streams.
        BackupUnusable: the folder is not empty, or its disk is full.
        BusError: the server refuses or is gone. The folder is then not a backup.
    """
    with room_in(path):
        return await _back_up(settings, path, prefix, report)


async def _back_up(
    settings: ConnectionSettings, path: Path, prefix: str, report: Callable[[int], None]
) -> Manifest:
    async with opened(settings, prefix=prefix) as bus:
        names = bus.requests.names
        infos = await own_streams(bus.requests)
        _check(infos, names)
        folder = BackupFolder(path)
        folder.create()
        begun = iso(time.time())
        positions = await _positions(bus, [info["config"]["name"] for info in infos])
        manifest = Manifest(
            prefix=prefix,
            begun_at=begun,
            release=release(),
            server=bus.connection.server_version,
            positions=positions,
            ends={info["config"]["name"]: int(info["state"]["last_seq"]) for info in infos},
        )
        folder.write(manifest)
        streams = sorted((info["config"]["name"] for info in infos), key=order(names))
        parts = await _save(bus, folder, streams, report)
    manifest = msgspec.structs.replace(
        manifest, complete=True, ended_at=iso(time.time()), parts=tuple(parts)
    )
    folder.write(manifest)
    return manifest


def order(names: Names) -> Callable[[str], tuple[int, str]]:
    """The place of a stream among those of a backup."""
    first = {names.stream(name): place for place, name in enumerate(_FIRST)}
    last = {_full(name, names): _LOGS + 1 + at for at, name in enumerate(_REFERRED_TO)}

    def place(stream: str) -> tuple[int, str]:
        if is_log(stream, names):
            return _LOGS, stream
        # A question that is published and in no record would hold up answers on its ticket.
        derived = len(_FIRST) + (stream != names.stream("QUESTIONS"))
        return first.get(stream, last.get(stream, derived)), stream

    return place


def is_saved_first(stream: str, names: Names) -> bool:
    """Whether a stream is saved before all others, with its consumers as they are then."""
    return stream in {names.stream(name) for name in _FIRST}


def _full(name: str, names: Names) -> str:
    bucket = name.removeprefix("KV_")
    return names.bucket_stream(bucket) if bucket != name else names.stream(name)


def _check(infos: list[dict[str, Any]], names: Names) -> None:
    if not infos:
        whose = f"an app with the prefix {names.prefix!r}" if names.prefix else "an app"
        raise NothingToSave(
            f"the account of this login holds no streams of {whose}: check the login and --prefix"
        )
    for info in infos:
        if is_being_restored(info["config"]):
            raise NothingToSave(
                f"stream {info['config']['name']} is being restored, or that was interrupted: run "
                "`layby restore` to its end first"
            )
        if taken_over_from(info["config"]):
            raise NothingToSave(
                f"stream {info['config']['name']} is being taken over, or that was interrupted: "
                "run `layby standby take-over` to its end first"
            )


async def _positions(bus: Bus, streams: list[str]) -> tuple[Position, ...]:
    """Where the consumers of these streams are, those of the first streams excepted."""
    names = bus.requests.names
    return tuple(
        [
            Position(
                stream=stream,
                consumer=info["name"],
                floor=int(info["ack_floor"]["stream_seq"]),
                config=info["config"],
            )
            for stream in streams
            if not is_saved_first(stream, names)
            for info in await consumers(bus.requests, stream)
            if info["config"].get("durable_name")
        ]
    )


async def _save(
    bus: Bus, folder: BackupFolder, streams: list[str], report: Callable[[int], None]
) -> list[Part]:
    total = 0

    def count(size: int) -> None:
        nonlocal total
        total += size
        report(total)

    return [await _save_one(bus, folder, stream, count) for stream in streams]


async def _save_one(
    bus: Bus,
    folder: BackupFolder,
    stream: str,
    count: Callable[[int], None],
) -> Part:
    with folder.new_stream(stream) as file:
        saved = await snapshot.save(bus.connection, bus.requests, stream, file, count)
        file.flush()
        os.fsync(file.fileno())
    folder.finish_stream(stream, saved)
    return Part(
        stream=stream,
        messages=int(saved.state.get("messages", 0)),
        last_seq=int(saved.state.get("last_seq", 0)),
        size=saved.size,
        digest=saved.digest,
        saved_at=iso(time.time()),
    )
