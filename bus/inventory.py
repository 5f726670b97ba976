"""What there is on a server: the streams of an app, and the consumers of a stream."""

from __future__ import annotations

from typing import Any, Final, Protocol

from .api_subject import API
from .errors import StreamMissing
from .layout import BUCKETS
from .log_subject import STREAM as LOGS
from .names import EVENTS, Names
from .ownership import MARK, is_marked
from .requests import Requests

_BUCKETS: Final = (*BUCKETS, "rota", "keys", "waits")
"""With those that only some apps need."""


class Api(Protocol):
    """The JetStream API of an account."""

    names: Names

    async def api(self, verb: str, body: Any = None) -> dict[str, Any]:
        """Call it. Raises BusError with the server's reason."""
        ...


class DomainApi:
    """The JetStream API of the same account in another domain, reached through a leaf node."""

    def __init__(self, requests: Requests, domain: str) -> None:
        self.names = requests.names
        self.prefix = f"{API.split('.', 1)[0]}.{domain}.API"
        """What its subjects begin with."""
        self._requests = requests

    async def api(self, verb: str, body: Any = None) -> dict[str, Any]:
        """Call it. Raises BusError: it refuses, or nothing answers there."""
        return await self._requests.api_at(f"{self.prefix}.", verb, body)


async def info_of(requests: Api, stream: str) -> dict[str, Any] | None:
    """A stream's info; None if there is none. Raises BusError."""
    try:
        return await requests.api(f"STREAM.INFO.{stream}")
    except StreamMissing:
        return None


async def own_streams(requests: Api) -> list[dict[str, Any]]:
    """The infos of all streams that Layby created for the app with these names."""
    return [
        info for info in await _all(requests, "STREAM.LIST", "streams") if _is_own(info, requests)
    ]


async def consumers(requests: Api, stream: str) -> list[dict[str, Any]]:
    """The infos of all consumers of a stream. Raises StreamMissing."""
    return await _all(requests, f"CONSUMER.LIST.{stream}", "consumers")


async def _all(requests: Api, verb: str, field: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        page = await requests.api(verb, {"offset": len(found)})
        infos: list[dict[str, Any]] = page.get(field) or []
        found += infos
        if not infos or len(found) >= int(page.get("total", 0)):
            return found


def _is_own(info: dict[str, Any], requests: Api) -> bool:
    config: dict[str, Any] = info["config"]
    if is_marked(config, requests.names):
        return True
    # An earlier release left no mark.
    is_unmarked = MARK not in (config.get("metadata") or {})
    return is_unmarked and is_known(config["name"], requests.names)


def is_known(stream: str, names: Names) -> bool:
    """Whether a stream has the name of one that Layby creates."""
    buckets = {names.bucket_stream(bucket) for bucket in _BUCKETS}
    if stream.startswith("KV_"):
        return stream in buckets
    return stream == names.stream(EVENTS) or names.owns_stream(stream)


def is_log(stream: str, names: Names) -> bool:
    """Whether a stream holds logs of runs."""
    first = names.stream(LOGS)
    return stream == first or (stream.startswith(f"{first}_") and names.owns_stream(stream))
