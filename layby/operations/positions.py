"""Takes the consumers of restored streams back to where they were when the backup began."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from ..bus.errors import BusError, PublishUnconfirmed
from ..bus.inventory import consumers
from ..bus.ownership import without_server
from ..bus.requests import Requests
from .backup_folder import Position

_NO_CONSUMER: Final = 10014
_TRIES: Final = 6
"""Times that a request of 5 seconds is sent: an election takes up to 10."""


async def take_back(requests: Requests, position: Position) -> bool:
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
    begin = {"deliver_policy": "by_start_sequence", "opt_start_seq": position.floor + 1}
    await _replace(requests, position.stream, position.consumer, position.config, begin)
    return True


async def begin_again(requests: Requests, stream: str, end: int, known: set[str]) -> int:
    """Let consumers that were made while the backup was begin again; return how many did.

    Args:
        requests: Where the stream is.
        stream: Its name.
        end: Its last sequence when the backup began. They had acknowledged nothing then.
        known: The consumers that were there when it began.
    """
    moved = 0
    for info in await consumers(requests, stream):
        config, name = info["config"], info["name"]
        if name in known or not config.get("durable_name") or not info["delivered"]["stream_seq"]:
            continue
        begin = {key: config[key] for key in _BEGIN if key in config}
        if begin["deliver_policy"] == "new":
            begin = {"deliver_policy": "by_start_sequence", "opt_start_seq": end + 1}
        await _replace(requests, stream, name, config, begin)
        moved += 1
    return moved


_BEGIN: Final = ("deliver_policy", "opt_start_seq", "opt_start_time")


async def _replace(
    requests: Requests, stream: str, consumer: str, config: dict[str, Any], begin: dict[str, Any]
) -> None:
    """Replace a consumer by one that begins elsewhere. Repeatable."""
    kept = {key: value for key, value in config.items() if key not in _BEGIN}
    kept["metadata"] = without_server(config.get("metadata"))
    body = {"stream_name": stream, "config": {**kept, **begin}}
    try:
        await _patiently(requests, f"CONSUMER.DELETE.{stream}.{consumer}")
    except BusError as error:
        if error.code != _NO_CONSUMER:  # an earlier try has removed it, and was not told
            raise
    await _patiently(requests, f"CONSUMER.CREATE.{stream}.{consumer}", body)


async def _patiently(requests: Requests, verb: str, body: Any = None) -> None:
    """Call the API, and again while nobody answers: copies that are new elect a leader first."""
    for _ in range(_TRIES - 1):
        with suppress(PublishUnconfirmed):
            await requests.api(verb, body)
            return
    await requests.api(verb, body)
