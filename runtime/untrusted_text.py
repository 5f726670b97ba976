"""Makes text from models, customers and strangers safe to show in a terminal.

Only this module decides what is safe. It escapes control characters (C0, C1, DEL), which a terminal
obeys, and invisible characters (bidi controls, tags, zero-width characters, fillers, variation
selectors), with which one text can pass for another. Those that scripts and emoji need stay.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_CANDIDATES: Final = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, except line breaks and tabs
    "\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2"
    "\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
    "]"
)
_VISIBLE: Final = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2")
"""Characters of the Arabic and Syriac scripts: format characters by category, but visible."""
_ZWNJ, _ZWJ, _TEXT, _EMOJI = "\u200c", "\u200d", "\ufe0e", "\ufe0f"
_JOINS: Final = re.compile("[\u0600-\u08ff\u0900-\u0dff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff]")
"""Scripts in which a zero-width joiner or non-joiner between two letters changes their shape."""
_KEYCAPS: Final = frozenset("0123456789#*")
_SKIN: Final = range(0x1F3FB, 0x1F400)
"""Skin tones, which come between a person and what it is joined to."""


def safe(text: str) -> str:
    r"""Replace what a terminal would obey or hide with an escape, such as `\x1b`.

    Line breaks and tabs stay. Escape sequences could otherwise repaint the screen, right-to-left
    overrides make one answer look like another, and tags and zero-width characters hide words.
    """
    return _CANDIDATES.sub(_shown, text)


def safe_json(document: bytes) -> bytes:
    r"""The same JSON, in which the characters that `safe` replaces are escapes such as `\u202e`.

    `document` is encoded JSON; a reader gets the same values from either.
    """
    if document.isascii() and b"\x7f" not in document:
        return document
    return _CANDIDATES.sub(_as_json, document.decode("utf-8", "surrogatepass")).encode()


def _shown(match: re.Match[str]) -> str:
    char = match[0]
    if _is_needed(char, match.string, match.start()):
        return char
    return char.encode("unicode_escape").decode()


def _as_json(match: re.Match[str]) -> str:
    char = match[0]
    if char < " ":  # between the values of a document: a carriage return, at most
        return char
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _is_needed(char: str, text: str, at: int) -> bool:
    """Whether a character is visible, or changes the shape of its neighbours."""
    if char in _VISIBLE:
        return True
    before = text[at - 1] if at else ""
    after = text[at + 1] if at + 1 < len(text) else ""
    if char in (_TEXT, _EMOJI):
        return _is_symbol(before) or (before in _KEYCAPS and after == "\u20e3")
    if char == _ZWJ and _is_emoji_part(before) and _is_symbol(after):
        return True
    if char in (_ZWJ, _ZWNJ):
        return bool(_JOINS.match(before) and _JOINS.match(after))
    return False


def _is_symbol(char: str) -> bool:
    return bool(char) and unicodedata.category(char) in ("So", "Sm") and char > "\x7f"


def _is_emoji_part(char: str) -> bool:
    return _is_symbol(char) or char == _EMOJI or (bool(char) and ord(char) in _SKIN)
