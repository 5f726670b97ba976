"""Links that answer a question: what one says, and the keys that it takes to make one.

A link is the login for one act of one person on one question. It is a token in an address:
`<id of the key>.<what it says>.<HMAC-SHA256 of both>`, each part as base64url.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from ...runtime.errors import InvalidSetup, LaybyError

VARIABLE: Final = "LAYBY_LINK_KEY"
"""The variable with the secret keys, separated by spaces: the first signs, all of them check."""
LONGEST: Final = 8_192
"""Characters of a token."""
_SHORTEST: Final = 32
"""Characters of a key."""
_PURPOSE: Final = b"layby answer link 1\0"
_ID_PURPOSE: Final = b"layby answer link key\0"
_TOKEN: Final = re.compile(r"([\w-]{8})\.([\w-]+)\.([\w-]{43})", re.ASCII)

Act = Literal["approve", "reject", "choose", "open"]
"""What a link is for: `open` shows the question, with a form for any answer."""
Flaw = Literal["garbled", "forged", "old_key", "expired"]


class AnswerLink(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What one link says."""

    question: str
    """The question's id."""
    role: str
    """For which role the person answers."""
    ticket: str
    digest: str
    """The digest of a call to approve; empty: the question is not an approval."""
    person: str
    """Who answers."""
    act: Act
    choice: str = ""
    """For `choose`: the answer."""
    until: int
    """Unix seconds after which it shows nothing any more."""


class BadLink(LaybyError):
    """A link that is not accepted; `flaw` says why."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw)
        self.flaw: Flaw = flaw


class LinkKeys:
    """The secret keys of links.

    Args:
        keys: The first one signs, all of them check: to change keys, put a new one in front.

    Raises:
        InvalidSetup: there is none, or one is too short to be secret.
    """

    def __init__(self, *keys: str) -> None:
        if not keys:
            raise InvalidSetup(f"{VARIABLE} is empty: {_MAKE}")
        for key in keys:
            if len(key) < _SHORTEST:
                raise InvalidSetup(
                    f"{VARIABLE}: a key has {len(key)} characters, and needs {_SHORTEST}: {_MAKE}"
                )
        self._keys = {_id_of(key.encode()): key.encode() for key in keys}
        self._first = next(iter(self._keys))

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> LinkKeys | None:
        """The keys in the variable LAYBY_LINK_KEY; None: it is not set. Raises InvalidSetup."""
        text = environ.get(VARIABLE, "")
        return cls(*text.replace(",", " ").split()) if text else None

    def token(self, link: AnswerLink) -> str:
        """The token of a link."""
        said = _encoded(msgspec.json.encode(link))
        return f"{self._first}.{said}.{_mac(self._keys[self._first], self._first, said)}"

    def read(self, token: str, now: float) -> AnswerLink:
        """What a token says.

        Args:
            token: Any text.
            now: Unix seconds.

        Raises:
            BadLink: it was not made with one of these keys, or was changed, or has expired.
        """
        found = _TOKEN.fullmatch(token) if len(token) <= LONGEST else None
        if found is None:
            raise BadLink("garbled")
        id_, said, mac = found.groups()
        key = self._keys.get(id_)
        if key is None:
            raise BadLink("old_key")
        if not hmac.compare_digest(_mac(key, id_, said), mac):
            raise BadLink("forged")
        try:
            link = msgspec.json.decode(_decoded(said), type=AnswerLink)
        except (ValueError, msgspec.MsgspecError):
            raise BadLink("garbled") from None  # of a later release: nobody else has the key
        if now > link.until:
            raise BadLink("expired")
        return link


_MAKE: Final = "`openssl rand -base64 32` makes a key"


def _id_of(key: bytes) -> str:
    """It tells keys apart, and says nothing about them."""
    return _encoded(hmac.digest(key, _ID_PURPOSE, hashlib.sha256)[:6])


def _mac(key: bytes, id_: str, said: str) -> str:
    return _encoded(hmac.digest(key, _PURPOSE + f"{id_}.{said}".encode(), hashlib.sha256))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    padded = text + "=" * (-len(text) % 4)
    return base64.b64decode(padded, altchars=b"-_", validate=True)
