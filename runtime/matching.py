"""Which event a wait matches: fields, found by dotted paths, and which values are equal.

A path names a field: `ticketId`, or `data.ticketId` for a nested field. A field whose own name
contains dots comes first: `data.ticketId` means `{"data.ticketId": ...}` if there is one.

Two values are equal when their JSON is. A whole number also equals its text, because a ticket that
one program calls 42 is "42" to another. The text must be exactly how the number is written: "042"
and "42.0" are other values. A boolean equals only itself. Inside lists and objects only JSON
equality counts, and values nested more than 64 levels deep equal nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final, cast

import msgspec

_WHOLE: Final = 2**53
"""From here on, floats do not represent every whole number exactly."""
_DEEPEST: Final = 64
"""Levels of lists and objects; input from outside must not exhaust the stack."""
_MISSING: Final = object()


def event_of(data: bytes) -> dict[str, Any] | None:
    """The fields of an event; None for what is not a JSON object."""
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def field(event: dict[str, Any], path: str, default: Any = None) -> Any:
    """The value at `path`, or `default`."""
    if path in event:
        return event[path]
    head, _, rest = path.partition(".")
    inner = event.get(head)
    if not rest or not isinstance(inner, dict):
        return default
    return field(cast("dict[str, Any]", inner), rest, default)


def fields(event: dict[str, Any], paths: Iterable[str]) -> dict[str, Any] | None:
    """The values at all `paths`; None if one is missing or nested too deeply to compare."""
    found = {path: field(event, path, _MISSING) for path in paths}
    usable = all(value is not _MISSING and _is_within(value) for value in found.values())
    return found if usable else None


def matches(data: bytes, match: dict[str, Any]) -> bool:
    """Whether an event has the fields of `match`, with equal values."""
    event = event_of(data)
    found = None if event is None else fields(event, match)
    return found is not None and canonical(found) == canonical(match)


def canonical(match: dict[str, Any]) -> str:
    """`match` as a text that is the same for all equal matches."""
    return written({path: _plain(value) for path, value in match.items()})


def written(match: dict[str, Any]) -> str:
    """`match` as JSON, the key by which runs wait that an earlier version of Layby parked."""
    return json.dumps(match, sort_keys=True, separators=(",", ":"))


def _is_within(value: Any, levels: int = _DEEPEST) -> bool:
    inner: list[Any] = []
    if isinstance(value, dict):
        inner = [*cast("dict[str, Any]", value).values()]
    elif isinstance(value, list):
        inner = [*cast("Iterable[Any]", value)]
    return levels > 0 and all(_is_within(each, levels - 1) for each in inner)


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < _WHOLE:
        return str(int(value))
    return str(value) if isinstance(value, int) else value
