"""Writes any name as one subject token: `#45 21` <-> `=2345=2021`.

A token is at once a subject token and a KV key. ASCII letters, digits, `-` and `_` stay as they
are; every other byte of the UTF-8 form is written `=XX` in upper-case hex. Each name has exactly
one token and each token exactly one name, so no id, however hostile, becomes a wildcard or two
tokens, and none can pass for another.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from .errors import InvalidTicket

LONGEST_TICKET: Final = 200
"""Characters in the longest ticket id."""
LONGEST_TOKEN: Final = LONGEST_TICKET * 4 * 3
"""Characters in the longest token: four bytes a character, each written as three."""

_KEY = re.compile(r"[A-Za-z0-9_=-]+(?:\.[A-Za-z0-9_=-]+)*")
_ODD = re.compile(rb"[^A-Za-z0-9_-]")
_ESCAPE = re.compile(rb"=([0-9A-F]{2})")
_SHOWN: Final = 60


def encode(ticket: str) -> str:
    """Write a ticket id as one subject token.

    Raises:
        InvalidTicket: if it is not text, is empty, has over 200 characters or is not valid Unicode.
    """
    _demand_text(ticket, "ticket id", LONGEST_TICKET)
    return _encode(ticket, "ticket id")


def decode(token: str) -> str:
    """Read the ticket id back out of a token.

    Raises:
        InvalidTicket: if `encode` would not have written this token.
    """
    _demand_text(token, "ticket token", LONGEST_TOKEN)
    raw = token.encode("utf-8", "surrogatepass")
    try:
        ticket = _ESCAPE.sub(lambda match: bytes.fromhex(match[1].decode()), raw).decode()
        canonical = encode(ticket) == token
    except (UnicodeDecodeError, InvalidTicket):
        raise _not_canonical(token) from None
    if not canonical:
        raise _not_canonical(token)
    return ticket


def is_word(text: str) -> bool:
    """Whether `text` may stand in a subject as it is: letters, digits, `-` and `_`."""
    raw = text.encode("utf-8", "surrogatepass")
    return bool(raw) and not _ODD.search(raw) and len(text) <= LONGEST_TICKET


def is_key(text: str) -> bool:
    """Whether `text` may be a key: words and tokens, joined by dots."""
    return bool(_KEY.fullmatch(text))


def check_ticket(ticket: str) -> None:
    """Refuse a text that cannot be a ticket's id. Raises ValueError."""
    try:
        encode(ticket)
    except InvalidTicket as error:
        raise ValueError(str(error)) from None


def check_words(*texts: str) -> None:
    """Refuse a text that is neither empty nor a word; see `is_word`. Raises ValueError."""
    for text in texts:
        if text and not is_word(text):
            raise ValueError(f"{text[:_SHOWN]!r} is not a word of letters, digits, - and _")


def slug(name: str) -> str:
    """Write the name of an agent, role or network as the subject token of its actor.

    Lower-case, with `-` for spaces and `_`: "Technical Support" -> `technical-support`. Not
    reversible: two names may share a slug, which must be refused where actors are registered.

    Raises:
        InvalidTicket: as `encode` does.
    """
    _demand_text(name, "actor name", LONGEST_TICKET)
    return _encode(re.sub(r"[ _]", "-", name.lower()), "actor name")


@lru_cache(maxsize=4_096)
def _encode(name: str, what: str) -> str:
    _demand_text(name, what, LONGEST_TICKET)
    try:
        raw = name.encode()
    except UnicodeEncodeError:
        reason = "holds half of a surrogate pair, so it has no UTF-8 form"
        raise _invalid(what, name, reason, "Repair its text before it is sent") from None
    return _ODD.sub(lambda match: b"=%02X" % match[0][0], raw).decode("ascii")


def _demand_text(name: object, what: str, longest: int) -> None:
    if not isinstance(name, str):
        reason = f"is {type(name).__name__}, not text"
        raise _invalid(what, name, reason, "Send it as a string")
    if not name:
        raise _invalid(what, name, "is empty", "Give it at least one character")
    if len(name) > longest:
        reason = f"has {len(name)} characters, more than {longest}"
        raise _invalid(what, name, reason, "Use a shorter id and keep the long one in the body")


def _not_canonical(token: str) -> InvalidTicket:
    advice = "Write ids with `layby.bus.token.encode`, which gives `=2E` for a dot"
    return _invalid("ticket token", token, "is not in the form that `encode` writes", advice)


def _invalid(what: str, name: object, reason: str, advice: str) -> InvalidTicket:
    shown = repr(name[: _SHOWN + 1] if isinstance(name, str) else name)
    if len(shown) > _SHOWN:
        shown = shown[: _SHOWN - 3] + "..."
    return InvalidTicket(f"The {what} {shown} {reason}. {advice}.")
