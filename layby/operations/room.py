"""Whether the server has room for a backup, counting what is removed for it.

An account's limits are in what the server tells every user. Those of a single server are not: a
stream that reserves the space is made for a moment, and refused if there is none. In a cluster
that would say nothing, because its servers share the streams.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from ..bus.errors import LaybyError, StoreFull, StreamMissing
from ..bus.opened import Bus

PROBE: Final = "LAYBY_ROOM"
"""The stream that is made for a moment."""
_KB, _MB = 1e3, 1e6
_SMALLER: Final = (1, 4, 16, 64, 0)
"""Divisors of the streams' size limits, tried in turn; 0: no limits."""


class NoRoom(LaybyError):
    """The streams of a backup do not fit. Nothing was changed."""


class Sized(NamedTuple):
    """A stream, and how much it holds."""

    config: dict[str, Any]
    bytes: int

    @property
    def copies(self) -> int:
        """How many servers hold it."""
        return int(self.config.get("num_replicas") or 1)

    @property
    def stored(self) -> int:
        """Bytes that it takes of the account's limit."""
        return self.bytes * self.copies

    @property
    def reserved(self) -> int:
        """Bytes that it takes of the limit for what is reserved."""
        return max(0, int(self.config.get("max_bytes", -1))) * self.copies


async def fitted(bus: Bus, made: Iterable[Sized], removed: Iterable[Sized]) -> list[Sized]:
    """The streams to be made, sized to fit once others are removed.

    A stream with a size limit reserves all of it. If there is room for what the streams hold and
    not for their limits, the limits are made smaller, as `layby provision` does.

    Raises:
        NoRoom: they do not fit; its message has the figures.
        BusError: the server refuses to say.
    """
    made, removed = list(made), list(removed)
    info = await bus.requests.api("INFO")
    for part in _SMALLER:
        last = part == _SMALLER[-1]
        tried = [_limited(each, part) for each in made]
        try:
            check_account(info, tried, removed)
            if not bus.connection.is_clustered:
                await _check_server(bus, info, tried, removed)
        except NoRoom:
            if last:
                raise
        else:
            return tried
    return made


def _limited(stream: Sized, part: int) -> Sized:
    """A stream whose size limit is the given part of what it was; 0: it has none."""
    limit = int(stream.config.get("max_bytes", -1))
    if limit <= 0 or part == 1:
        return stream
    # What it holds must stay, and some more must fit.
    limit = min(limit, max(limit // part, 2 * stream.bytes)) if part else -1
    return stream._replace(config={**stream.config, "max_bytes": limit})


def check_account(info: dict[str, Any], made: Sequence[Sized], removed: Sequence[Sized]) -> None:
    """Compare with the account's limits in `info`. Raises NoRoom."""
    tiers: dict[str, dict[str, Any]] = info.get("tiers") or {}
    if not tiers:
        _check_tier(info, made, removed, 1, "the account")
    for name, tier in tiers.items():
        copies = int(name.removeprefix("R"))
        _check_tier(
            tier,
            [each for each in made if each.copies == copies],
            [each for each in removed if each.copies == copies],
            copies,
            f"the account, in streams with {copies} copies,",
        )


def _check_tier(
    info: dict[str, Any], made: Sequence[Sized], removed: Sequence[Sized], copies: int, where: str
) -> None:
    limits: dict[str, Any] = info.get("limits") or {}
    limit = int(limits.get("max_storage", -1)) * copies
    kept = max(0, int(info.get("storage", 0)) - sum(each.stored for each in removed))
    need = sum(each.stored for each in made)
    if 0 < limit < kept + need:
        raise _no_room(made, kept, f"{where} may store {_mb(limit)}", "max_file", kept + need)
    booked = int(info.get("reserved_storage", 0)) - sum(each.reserved for each in removed)
    if 0 < limit < max(0, booked) + sum(each.reserved for each in made):
        raise _no_room(made, kept, f"{where} may reserve {_mb(limit)}", "max_file", kept + need)
    most = int(limits.get("max_streams", -1))
    count = int(info.get("streams", 0)) - len(removed) + len(made)
    if 0 < most < count:
        raise NoRoom(
            f"the backup does not fit: there would be {count} streams, and {where} may have {most}."
            " Raise its limit (max_streams), or remove streams. Nothing was changed"
        )


async def _check_server(
    bus: Bus, info: dict[str, Any], made: Sequence[Sized], removed: Sequence[Sized]
) -> None:
    """Ask a single server whether it could store that much. Raises NoRoom."""
    named: dict[str, dict[str, Any]] = info.get("tiers") or {"": info}
    tiers = named.values()
    used = sum(int(tier.get("storage", 0)) for tier in tiers)
    booked = sum(int(tier.get("reserved_storage", 0)) for tier in tiers)
    kept = max(0, used - sum(each.stored for each in removed))
    need = sum(each.stored for each in made)
    asked = sum(each.reserved for each in made) - sum(each.reserved for each in removed)
    # The server compares what is reserved, and that of streams that are there is counted already.
    more = max(kept + need - booked, asked)
    if more <= 0:
        return
    try:
        await _reserve(bus, more)
    except StoreFull:
        where = "the server has not so much left"
        raise _no_room(made, kept, where, "max_file_store, and its disk,", kept + need) from None


async def _reserve(bus: Bus, size: int) -> None:
    """Have a stream that reserves `size` bytes, for a moment. Raises StoreFull."""
    api, name = bus.requests.api, bus.requests.names.stream(PROBE)
    with suppress(StreamMissing):
        await api(f"STREAM.DELETE.{name}")  # of a check whose process died
    config = {"name": name, "subjects": [name], "storage": "file", "max_bytes": size}
    await api(f"STREAM.CREATE.{name}", config)
    await api(f"STREAM.DELETE.{name}")


def _no_room(made: Sequence[Sized], kept: int, where: str, limit: str, least: int) -> NoRoom:
    need = sum(each.stored for each in made)
    fewer = ", or restore with --replicas 1" if any(each.copies > 1 for each in made) else ""
    return NoRoom(
        f"the backup does not fit: its {len(made)} streams take {_mb(need)} with all copies, "
        f"{_mb(kept)} are in streams that stay, and {where}. Raise {limit} to more than "
        f"{_mb(least)}, or make room{fewer}. Nothing was changed"
    )


def _mb(size: int) -> str:
    return f"{size / _MB:,.1f} MB" if size >= _MB else f"{size / _KB:,.1f} KB"
