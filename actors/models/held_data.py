"""The data of attachments in requests, which the log holds in the input of the agent. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, cast

from .attachment import Attachment

_HELD: Final = "$held"
_SHORTEST: Final = 1024
"""Characters; shorter data is stored with its message."""


class HeldData:
    """The data of attachments that the log holds."""

    def __init__(self, attachments: Iterable[Attachment]) -> None:
        found = (each.base64 for each in attachments if each.data)
        self._digests = {data: digest(data) for data in found if len(data) >= _SHORTEST}

    def without(self, value: Any) -> Any:
        """A request with digests and sizes in place of that data."""
        return _replaced(value, self._mark) if self._digests else value

    def _mark(self, value: Any) -> Any:
        if not isinstance(value, str) or len(value) < _SHORTEST:
            return value
        for data, name in self._digests.items():
            if value.endswith(data):  # after `data:image/png;base64,` in some forms
                return {_HELD: name, "size": len(data), "before": value[: -len(data)]}
        return value


def digest(data: str) -> str:
    """The digest of data in base64."""
    return hashlib.sha256(data.encode()).hexdigest()


def held_in(value: Any) -> Iterator[str]:
    """The digests of the data that a recorded request leaves out."""
    for each in _walk(value):
        name = each.get(_HELD)
        if isinstance(name, str):
            yield name


def data_in(value: Any) -> Iterator[str]:
    """The data of the attachments in an agent's or network's recorded input."""
    for each in _walk(value):
        data = each.get("data")
        if each.get("type") in ("image", "document") and isinstance(data, str):
            yield data


def restored(value: Any, known: Mapping[str, str]) -> Any:
    """A recorded request with its data again; what is not `known` stays a digest and a size."""

    def restore(each: Any) -> Any:
        mark: dict[str, Any] = cast("Any", each) if isinstance(each, dict) else {}
        data = known.get(str(mark.get(_HELD)))
        return cast("Any", each) if data is None else f"{mark.get('before', '')}{data}"

    return _replaced(value, restore)


def _walk(value: Any) -> Iterator[dict[str, Any]]:
    """All objects in a value."""
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        yield fields
        for each in fields.values():
            yield from _walk(each)
    elif isinstance(value, list):
        for each in cast("Any", value):
            yield from _walk(each)


def _replaced(value: Any, replace: Any) -> Any:
    """A value with what `replace` makes of it and of everything in it."""
    value = replace(value)
    if isinstance(value, dict):
        return {name: _replaced(each, replace) for name, each in cast("Any", value).items()}
    if isinstance(value, list):
        return [_replaced(each, replace) for each in cast("Any", value)]
    return value
