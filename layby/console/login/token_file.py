"""The file with the tokens of responders: a digest, a name and roles in each line, and no token.

A token has 256 random bits, so its bare SHA-256 says nothing about it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from ...bus.errors import InvalidSettings
from ...bus.files import write_private
from ...bus.token import is_word

PREFIX: Final = "lbt_"
"""What each token begins with."""
_LARGEST: Final = 1 << 20
_LINE: Final = re.compile(r"(\S+)\s+(\S+)\s+sha256:([0-9a-f]{64})")
_ROLE: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
log = structlog.get_logger("layby.console")


@dataclass(frozen=True, slots=True)
class Responder:
    """Who has a token.

    Attributes:
        name: Their name in subjects.
        roles: The roles for which they answer.
        digest: The SHA-256 of the token, in hex.
    """

    name: str
    roles: frozenset[str]
    digest: str


class TokenFile:
    """The tokens in a file, as it is now: a person removed from it is out at once.

    Raises:
        InvalidSettings: it cannot be read, or a line is not one of a token.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, ...] = ()
        self._known: dict[str, Responder] = {}
        self._read()

    def find(self, token: str) -> Responder | None:
        """Whose token it is; None: nobody's."""
        self._look_again()
        return self._known.get(_digest(token))

    def has(self, responder: Responder) -> bool:
        """Whether somebody still has the token of that line."""
        self._look_again()
        return self._known.get(responder.digest) == responder

    def _look_again(self) -> None:
        """Read it again if it has changed; a file that cannot be read lets nobody in."""
        try:
            if self._seen != self._stamp():
                self._read()
        except (InvalidSettings, OSError) as error:
            if self._known:
                log.warning("console.tokens_unreadable", error=str(error))
            self._seen, self._known = (), {}

    def _stamp(self) -> tuple[int, ...]:
        found = self._path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> None:
        try:
            self._seen = self._stamp()
            text = self._path.read_text("utf-8")
        except (OSError, ValueError) as error:
            raise InvalidSettings(f"cannot read the tokens in {self._path}: {error}") from None
        self._known = {each.digest: each for each in parsed(text, str(self._path))}


def parsed(text: str, where: str) -> list[Responder]:
    """The lines of a file of tokens. Raises InvalidSettings."""
    if len(text) > _LARGEST:
        raise InvalidSettings(f"{where} is larger than a file of tokens can be")
    found: list[Responder] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        roles = frozenset(match[2].split("+")) if match else frozenset[str]()
        if match is None or not is_word(match[1]) or not all(map(_ROLE.fullmatch, roles)):
            raise InvalidSettings(
                f"{where}, line {number}: write `ada developer+lead sha256:...`, as "
                "`layby token ada --role developer,lead --tokens FILE` does"
            )
        found.append(Responder(match[1], roles, match[3]))
    return found


def add_token(path: Path, name: str, roles: tuple[str, ...]) -> str:
    """Add a new token to a file, and return it: it is nowhere else.

    Raises:
        InvalidSettings: the name or a role cannot be one, or the file is not one of tokens.
        OSError: it cannot be written.
    """
    token = f"{PREFIX}{secrets.token_urlsafe(32)}"
    line = f"{name} {'+'.join(roles)} sha256:{_digest(token)}"
    if not roles or not is_word(name) or not all(map(_ROLE.fullmatch, roles)):
        raise InvalidSettings(
            f"{name!r} with the roles {', '.join(roles) or '(none)'}: use letters, digits, - and _"
        )
    before = path.read_text("utf-8") if path.exists() else ""
    parsed(before, str(path))
    end = "\n" if before and not before.endswith("\n") else ""
    write_private(path, f"{before}{end}{line}\n".encode())
    return token


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
