"""What has to be done to the streams of a server before and while a backup is restored."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from ..bus.errors import LaybyError
from ..bus.inventory import consumers, info_of
from ..bus.ownership import is_being_restored, restored_of, taken_over_from
from ..bus.requests import Requests
from .backup_folder import BackupFolder, Manifest, Part
from .room import Sized


class RestoreRefused(LaybyError):
    """A backup is not restored, because something is in its way. Nothing was changed."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A stream that is on the server and in the backup."""

    stream: str
    messages: int


class Plan(NamedTuple):
    """What is to be done on the server."""

    parts: list[Part]
    """The streams to be made, in this order."""
    old: dict[str, Sized]
    """Streams that are there and have to go, by name."""
    held: list[Held]
    """Those among them that hold something which is not of the backup."""
    made: list[Sized]
    """The streams that will be there."""


async def plan_of(
    requests: Requests, folder: BackupFolder, manifest: Manifest, replicas: int | None
) -> Plan:
    """What is in the way of a backup, and what an interrupted restore has done already.

    Streams that take less room than the ones they replace come first, so that at no moment more is
    needed than before or after.

    Raises:
        RestoreRefused: workers are running, or a takeover was interrupted.
        BackupUnusable: a stream's description cannot be read.
    """
    found = {part.stream: await info_of(requests, part.stream) for part in manifest.parts}
    there = {name: info for name, info in found.items() if info is not None}
    for name, info in there.items():
        await _check(requests, name, info["config"])
    if len(there) == len(found) and _is_being_released(there, manifest.id):
        return Plan([], {}, [], [])
    old: dict[str, Sized] = {}
    held: list[Held] = []
    made: dict[str, Sized] = {}
    parts: list[Part] = []
    timers = requests.names.stream("TIMERS")
    for part in manifest.parts:
        config, state = folder.about(part)
        if replicas is not None:
            config["num_replicas"] = replicas
        if part.stream in there:
            info = there[part.stream]
            if _is_done(info, part, config, manifest.id, timers):
                continue
            messages = int(info["state"]["messages"])
            old[part.stream] = Sized(info["config"], int(info["state"]["bytes"]))
            if messages and not _is_only_restored(info, part, timers):
                held.append(Held(stream=part.stream, messages=messages))
        parts.append(part)
        made[part.stream] = Sized(config, int(state.get("bytes", 0)))

    def growth(part: Part) -> int:
        before = old.get(part.stream)
        return made[part.stream].stored - (before.stored if before is not None else 0)

    return Plan(sorted(parts, key=growth), old, held, list(made.values()))


async def _check(requests: Requests, stream: str, config: dict[str, Any]) -> None:
    if taken_over_from(config):
        raise RestoreRefused(
            f"stream {stream} belongs to an interrupted takeover, and may hold more than the "
            "backup: run `layby standby take-over` to its end; or restore into an account without "
            "these streams"
        )
    for each in await consumers(requests, stream):
        if each.get("num_waiting"):
            raise RestoreRefused(
                f"somebody waits for messages of consumer {each['name']} in stream {stream}: stop "
                "all workers, notifiers and consoles first"
            )


def _is_being_released(there: dict[str, dict[str, Any]], backup: str) -> bool:
    """Whether everything is restored, and some streams have lost their mark already.

    Before the first stream is made, all that are there get one.
    """
    configs = [info["config"] for info in there.values()]
    marked = [config for config in configs if is_being_restored(config)]
    return 0 < len(marked) < len(configs) and all(restored_of(each) == backup for each in marked)


def _is_done(
    info: dict[str, Any], part: Part, config: dict[str, Any], backup: str, timers: str
) -> bool:
    """Whether this backup's stream is there already, complete and configured as it should be."""
    found, state = info["config"], info["state"]
    may_shrink = bool(found.get("max_age")) or part.stream == timers
    return bool(
        restored_of(found) == backup
        and found["num_replicas"] == config.get("num_replicas")
        and _is_only_restored(info, part, timers)
        and int(state["last_seq"]) >= part.last_seq
        and (may_shrink or int(state["messages"]) == part.messages)
    )


def _is_only_restored(info: dict[str, Any], part: Part, timers: str) -> bool:
    """Whether a stream holds nothing but what an interrupted restore has put there.

    The server itself adds to TIMERS what has come due.
    """
    took_more = int(info["state"]["last_seq"]) > part.last_seq and part.stream != timers
    return bool(restored_of(info["config"])) and not took_more
