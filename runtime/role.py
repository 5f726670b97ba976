"""The people who may be asked, by what they are: a developer, an approver."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from .errors import InvalidSetup
from .nkey import INSTALL, can_verify, public_bytes

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_PERSON = re.compile(r"[A-Za-z0-9_-]{1,200}")


class Role:
    """A role of people who may be asked. `App(roles=["developer"])` means `Role("developer")`.

    With `keys` the role takes signed answers only: whoever answers signs with the private key of
    their nkey, and every worker, `layby show --keys` and `layby verify` hold the signature against
    the public keys declared here. Nobody without the private key can make an answer that counts.
    Give keys to a new role, or wait until the runs that ask this one have ended: an unsigned answer
    that is recorded already would not count any more, and its run would be blocked.

    Attributes:
        name: A lower-case letter, then letters, digits, `-` and `_`, 32 at most: the first word of
            subjects.
        keys: The public nkeys (`U...`) of each person by name. Empty: answers need no signature.
        retired: Unix seconds from when on a key counts no more; what was stored before stays.
    """

    def __init__(
        self,
        name: str,
        *,
        keys: Mapping[str, str | Sequence[str]] | None = None,
        retired: Mapping[str, str] | None = None,
    ) -> None:
        """Declare a role.

        Args:
            name: The role's name.
            keys: The public nkey of each person, or several: `{"ada": "UA..."}`. The names are
                words of subjects: letters, digits, `_` and `-`.
            retired: Keys that are not used any more, with the time from when on (ISO 8601 with an
                offset): `{"UA...": "2026-12-01T00:00:00Z"}`. They stay in `keys`. Answers that were
                stored before that time count still; a key that is left out of `keys` counts for
                nothing, what was recorded included.

        Raises:
            InvalidSetup: a key or name cannot be one, or the package `cryptography` is missing.
        """
        self.name = name
        if not _NAME.fullmatch(name):
            raise InvalidSetup(
                f"role {name!r}: use a lower-case letter, then letters, digits, - and _"
            )
        if keys is not None and not keys:
            raise InvalidSetup(f"role {name!r} has no keys: nobody could answer; leave `keys` out")
        self.keys = {person: self._keys_of(person, each) for person, each in (keys or {}).items()}
        if self.keys and not can_verify():
            raise InvalidSetup(
                f"role {name!r} has keys, which needs the package `cryptography`: {INSTALL}"
            )
        everyone = [key for each in self.keys.values() for key in each]
        for key in everyone:
            if everyone.count(key) > 1:
                raise InvalidSetup(f"role {name!r} has the key {key} twice")
        self.retired = {key: self._time(key, at) for key, at in (retired or {}).items()}
        for key in self.retired:
            if key not in everyone:
                raise InvalidSetup(
                    f"role {name!r}: the retired key {key[:6]}... must stay in `keys` as well"
                )

    def __repr__(self) -> str:
        return f"Role({self.name!r})"

    @property
    def signs(self) -> bool:
        """Whether its answers must be signed."""
        return bool(self.keys)

    def _keys_of(self, person: str, given: str | Sequence[str]) -> tuple[str, ...]:
        if not _PERSON.fullmatch(person):
            raise InvalidSetup(
                f"role {self.name!r}: {person!r} cannot be a name in subjects: use letters, "
                "digits, _ and -"
            )
        keys = (given,) if isinstance(given, str) else tuple(given)
        if not keys:
            raise InvalidSetup(f"role {self.name!r}: {person!r} has no key")
        for key in keys:
            try:
                public_bytes(key)
            except ValueError as error:
                raise InvalidSetup(f"role {self.name!r}, key of {person!r}: {error}") from None
        return keys

    def _time(self, key: str, text: Any) -> float:
        try:
            at = datetime.fromisoformat(text)
        except (TypeError, ValueError):
            at = None
        if at is None or at.tzinfo is None:
            raise InvalidSetup(
                f"role {self.name!r}: the key {key[:6]}... is retired at {text!r}: write "
                "2026-12-01T00:00:00Z"
            )
        return at.timestamp()
