"""What the detail of a row is made of: texts that are cut to a size that a page can hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from .diff import Line

CUT = 64 * 1024
"""Characters of a value that the page shows."""


class Value(NamedTuple):
    """A text, cut if it is long."""

    text: str
    whole: str = ""
    """Where all of it is: the number of the record, `12.1`; empty: this is all of it."""


class Said(NamedTuple):
    """One message of a conversation, or a part of one."""

    who: str
    """The role, and what it is."""
    value: Value
    mark: str = ""
    """`new`: not part of the request before; `human`: a person said it."""


@dataclass(slots=True, kw_only=True)
class Section:
    """A part of the detail.

    Attributes:
        id: Its tab: `prompt`, `response`, `tools`, `state`, `output`, `error`, `entry`.
        title: Its heading.
        small: A few words next to the heading.
        before: Messages that were sent before; folded.
        said: Messages.
        values: Texts with their headings.
        lines: A comparison.
        note: A sentence instead, or below.
        fold: What is folded away, in a few words.
        first: Whether it is the first with its id.
    """

    id: str
    title: str
    small: str = ""
    before: list[Said] = field(default_factory=list[Said])
    said: list[Said] = field(default_factory=list[Said])
    values: list[tuple[str, Value]] = field(default_factory=list[tuple[str, Value]])
    lines: list[Line] = field(default_factory=list[Line])
    note: str = ""
    fold: str = ""
    first: bool = True


def text(value: str, whole: str) -> Value:
    """A text of the record `whole`."""
    return Value(value) if len(value) <= CUT else Value(value[:CUT], whole)


def json_text(raw: bytes | msgspec.Raw, whole: str) -> Value:
    """A recorded value as indented JSON; of a text, the text itself."""
    data = bytes(raw)
    if data.startswith(b'"'):
        return text(msgspec.json.decode(data, type=str), whole)
    if len(data) > CUT:
        return Value(data[:CUT].decode(errors="replace"), whole)
    return text(msgspec.json.format(data, indent=2).decode(), whole)


def value_text(value: Any, whole: str) -> Value:
    """The same of a value that is decoded."""
    return json_text(msgspec.json.encode(value), whole)


def maybe_json(content: str, whole: str) -> Value:
    """A text that may be JSON, indented if it is."""
    if content[:1] in {"{", "["} and len(content) <= CUT:
        try:
            return text(msgspec.json.format(content, indent=2), whole)
        except msgspec.MsgspecError:
            pass
    return text(content, whole)
