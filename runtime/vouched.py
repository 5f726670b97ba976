"""Who can vouch for the name on an answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

Vouched: TypeAlias = Literal["nats", "signature", "slack", "link", "token", "proxy", "none"]
"""Who vouches for the name on an answer."""
Via: TypeAlias = Literal["slack", "link", "token", "proxy"]
"""How a bridge knows the person whose answer it passes on."""
NATS: Final = "nats"
"""The name is part of the subject, and the server can check it against the user."""
SIGNATURE: Final = "signature"
NONE: Final = "none"
"""Nobody: the name is only a claim."""
PROXY: Final = "proxy"
VIA: Final[tuple[Via, ...]] = ("slack", "link", "token", PROXY)
"""Who took the answer in for the person: Slack, a link that only they were sent, a token that only
they have, or a proxy that has signed them in. Only a bridge's login may publish such answers."""
VOUCHERS: Final = (NATS, SIGNATURE, *VIA, NONE)
_WEAKEST_FIRST: Final = (NONE, "proxy", "token", "link", "slack", NATS, SIGNATURE)
_WORDS: Final = {
    NATS: "the server",
    "slack": "Slack",
    "link": "a link that was sent to them",
    "token": "their token",
    "proxy": "the proxy of a console",
}


def word_of(vouched: str) -> str:
    """What vouches for an answer's author, in words; empty: nothing, or a signature."""
    return _WORDS.get(vouched, "")


def weakest(vouchers: Iterable[str]) -> str:
    """Of several vouchers, the one that promises least; `none` if one of them is unknown."""
    known = [each if each in _WEAKEST_FIRST else NONE for each in vouchers]
    return min(known, key=_WEAKEST_FIRST.index)
