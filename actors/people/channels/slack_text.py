"""Text of people and models for Slack: made visible, escaped, cut to a size. Pure."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ....runtime.untrusted_text import safe

_ESCAPES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_SPECIAL: Final = re.compile("[&<>]")
_REFERENCE: Final = re.compile(r"<([^<>|]*)(?:\|([^<>]*))?>")
_BACK: Final = {"&lt;": "<", "&gt;": ">", "&amp;": "&"}
_ENTITY: Final = re.compile("&(?:lt|gt|amp);")
NOTHING: Final = "(empty)"
"""Stands for an empty text, which Slack does not take."""


class Cut(NamedTuple):
    """A text that fits, and what did not."""

    text: str
    left_out: int = 0
    """Characters that were left out at the end."""


def cut(text: str, most: int) -> Cut:
    """Make a text visible and cut it so that Slack counts at most `most` characters of it.

    Slack counts as JavaScript does, and `&`, `<` and `>` as they are escaped.
    """
    text = safe(text)
    spent = 0
    for at, char in enumerate(text):
        spent += _size(char)
        if spent > most:
            return _shortened(text, at, spent - _size(char), most)
    return Cut(text if text.strip() else NOTHING)


def _shortened(text: str, at: int, spent: int, most: int) -> Cut:
    """The first `at` characters, with room for the sign that there are more."""
    while at and spent + 1 > most:
        at -= 1
        spent -= _size(text[at])
    return Cut(f"{text[:at]}…", len(text) - at)


def escaped(text: str) -> str:
    """Escape what Slack reads as the beginning of a mention or a link."""
    return _SPECIAL.sub(lambda found: _ESCAPES[found[0]], text)


def literal(text: str, most: int) -> str:
    """A text for a place where nothing is formatted: made visible, cut, escaped."""
    return escaped(cut(text, most).text)


def _size(char: str) -> int:
    """How many characters Slack counts for one."""
    if char in _ESCAPES:
        return len(_ESCAPES[char])
    return 2 if char > "\uffff" else 1


def written(text: str, names: dict[str, str]) -> str:
    """What a person wrote in Slack, as text: links as addresses, mentions as names.

    Args:
        text: The text of the message as Slack sends it.
        names: The people's names by their Slack ids.
    """
    shown = _REFERENCE.sub(lambda found: _referred(found[1], found[2] or "", names), text)
    return _ENTITY.sub(lambda found: _BACK[found[0]], shown).strip()


def _referred(target: str, label: str, names: dict[str, str]) -> str:
    """What a reference stands for: `@U1`, `#C1|general`, `!here`, `https://...|label`."""
    kind, rest = target[:1], target[1:]
    if kind == "@":
        return f"@{names.get(rest) or label or rest}"
    if kind == "#":
        return f"#{label or rest}"
    if kind == "!":
        return label or f"@{rest.partition('^')[0]}"
    return target.removeprefix("mailto:").removeprefix("tel:")
