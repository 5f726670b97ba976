"""A request as marks: digests of its parts, so that each part is stored once. Pure.

Instructions and tools have one mark each, and all settings together. A conversation has a mark for
each item, and an item that contains a list of blocks (a message, as a rule) has one for itself and
one for each block: a request that has grown at its end, by a message or by a block, begins with the
marks of the one before it. A long text has one for each few paragraphs: some adapters write several
messages as one text, which grows.
"""

from __future__ import annotations

import hashlib
from binascii import b2a_base64
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, cast

import msgspec

CONVERSATIONS: Final = ("messages", "input")
"""Fields that grow from request to request."""
_WHOLE: Final = ("system", "instructions", "tools")
_REST: Final = ""
"""All other fields."""
VALUE: Final = "="
"""Before the digest of a field that is stored as a whole."""
ITEM: Final = "."
HEAD: Final = "<"
"""Before that of an item whose content follows."""
BLOCK: Final = ">"
TEXT: Final = "~"
"""Before that of a stretch of an item's text."""
_BYTES: Final = 15
_LONG: Final = 2048
"""Characters; a shorter text is stored with its item."""
_STRETCH: Final = 1024
_BLOCKS: Final = ("content", "parts")
Marks = dict[str, list[str]]
"""By field of the request."""


class Marked(NamedTuple):
    """A request as marks, with the parts that they stand for."""

    id: str
    marks: Marks
    parts: dict[str, msgspec.Raw]
    """By digest."""


class NotAsSent(ValueError):
    """The marks and parts at hand do not make the request that was sent."""


def mark(body: Mapping[str, Any]) -> Marked:
    """The marks of a request. Raises TypeError if it has no JSON form."""
    parts: dict[str, msgspec.Raw] = {}
    marks: Marks = {}
    rest: dict[str, Any] = {}
    for name, value in body.items():
        if name in CONVERSATIONS and isinstance(value, list):
            marks[name] = list(_marks(cast("Any", value), parts))
        elif name in _WHOLE or name in CONVERSATIONS:
            marks[name] = [VALUE + _put(value, parts)]
        else:
            rest[name] = value
    marks[_REST] = [VALUE + _put(rest, parts)]
    return Marked(id_of(marks), marks, parts)


def id_of(marks: Marks) -> str:
    """The digest of a whole request."""
    return _digest(msgspec.json.encode(marks, order="sorted"))


def digest_of(mark: str) -> str:
    """The digest in a mark."""
    return mark[1:]


def by_digest(parts: Iterable[Any]) -> dict[str, Any]:
    """Parts that were read from the log, by their digests."""
    return {_digest(msgspec.json.encode(part)): part for part in parts}


def unmark(marks: Marks, parts: Mapping[str, Any]) -> dict[str, Any]:
    """The request that marks stand for. Raises NotAsSent if a part is missing."""
    try:
        found = {name: _value(each, parts) for name, each in marks.items()}
        return {**found.pop(_REST, {}), **found}
    except (KeyError, TypeError, IndexError):
        raise NotAsSent("the log lacks a part of what was sent") from None


def whole_items(marks: list[str], kept: int) -> int:
    """How many items of a list the first `kept` of its marks make."""
    begun = sum(each[:1] in {ITEM, HEAD} for each in marks[:kept])
    unfinished = kept < len(marks) and marks[kept][:1] in {BLOCK, TEXT}
    return begun - 1 if begun and unfinished else begun


def _marks(items: list[Any], parts: dict[str, msgspec.Raw]) -> Iterable[str]:
    for item in items:
        name = _inner(item)
        if name:
            yield HEAD + _put({**item, name: []}, parts)
            for block in item[name]:
                yield BLOCK + _put(block, parts)
        elif _is_long(item):
            yield HEAD + _put({**item, "content": ""}, parts)
            for stretch in _stretches(item["content"]):
                yield TEXT + _put(stretch, parts)
        else:
            yield ITEM + _put(item, parts)


def _inner(item: Any) -> str:
    """The field of an item that is its list of blocks; empty: there is none."""
    if not isinstance(item, dict):
        return ""
    fields = cast("dict[str, Any]", item)
    for name in _BLOCKS:
        if isinstance(fields.get(name), list):
            return name
    return ""


def _is_long(item: Any) -> bool:
    content: Any = cast("Any", item).get("content") if isinstance(item, dict) else None
    return isinstance(content, str) and len(content) > _LONG


def _stretches(text: str) -> Iterable[str]:
    """A text in pieces that end with a paragraph; a text that begins with it has the same ones."""
    start = 0
    while start < len(text):
        end = text.find("\n\n", start + _STRETCH)
        end = len(text) if end < 0 else end + 2
        yield text[start:end]
        start = end


def _put(value: Any, parts: dict[str, msgspec.Raw]) -> str:
    data = msgspec.json.encode(value)
    digest = _digest(data)
    parts[digest] = msgspec.Raw(data)
    return digest


def _value(marks: list[str], parts: Mapping[str, Any]) -> Any:
    if len(marks) == 1 and marks[0].startswith(VALUE):
        return parts[digest_of(marks[0])]
    found: list[Any] = []
    for each in marks:
        part = parts[digest_of(each)]
        if each.startswith(HEAD):
            name = _inner(part)
            found.append({**part, name: []} if name else dict(part))
        elif each.startswith(BLOCK):
            found[-1][_inner(found[-1])].append(part)
        elif each.startswith(TEXT):
            found[-1]["content"] += part
        else:
            found.append(part)
    return found


def _digest(data: bytes) -> str:
    digest = hashlib.blake2b(data, digest_size=_BYTES).digest()
    return b2a_base64(digest, newline=False).decode()
