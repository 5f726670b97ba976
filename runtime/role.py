"""Roles of the people who may be asked: a developer, an approver."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from .channel import Channel, checked_channels
from .errors import InvalidSetup
from .nkey import INSTALL, can_verify, public_bytes
from .quiet import quiet_hours
from .rung import Escalate, Remind, checked_reminders, checked_rungs

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_PERSON = re.compile(r"[A-Za-z0-9_-]{1,200}")


class Role:
    """A role of people who may be asked. `App(roles=["developer"])` means `Role("developer")`.

    With `keys` the role takes signed answers only: people sign with the private key of their nkey,
    and every worker, `layby show --keys` and `layby verify` check the signature against the public
    keys declared here. Nobody without the private key can make an answer that counts. Give keys to
    a new role, or wait until the runs that ask this role have ended: an unsigned answer that is
    already recorded would no longer count, and its run would be blocked.

    While a question stays open, the role may be reminded and others may be asked too:
    docs/people.md.

    Attributes:
        name: A lower-case letter, then letters, digits, `-` and `_`, 32 at most: the first word of
            subjects.
        keys: The public nkeys (`U...`) of each person, by name. Empty: answers need no signature.
        retired: When a key stops counting, Unix seconds; answers stored before that still count.
        remind: Seconds after which it is reminded of a question.
                escalate: Who else is asked, and when.
        rota: The rota that says who is on duty; empty: none.
        quiet: The hours in which it is not reminded; None: none.
        people: Who is in it, for questions that several people decide. Empty: not declared.
        channels: Where its questions are shown.
        clock_stops: Whether deadlines wait while something that was asked back has no reply.
    """

    def __init__(
        self,
        name: str,
        *,
        keys: Mapping[str, str | Sequence[str]] | None = None,
        retired: Mapping[str, str] | None = None,
        remind: Remind = (),
        escalate: Escalate = (),
        rota: str = "",
        quiet: str = "",
        people: Sequence[str] | None = None,
        channels: Sequence[Channel] = (),
        clock_stops: bool = False,
    ) -> None:
        """Declare a role.

        Args:
            name: The role's name.
            keys: The public nkey of each person, or several: `{"ada": "UA..."}`. The names become
                parts of subjects: letters, digits, `_` and `-`.
            retired: Keys that are no longer used, with the time when they were retired (ISO 8601
                with an offset): `{"UA...": "2026-12-01T00:00:00Z"}`. They stay in `keys`. Answers
                that were stored before that time still count; with a key that is missing from
                `keys`, no answer counts, recorded ones included.
            remind: After how long an open question is published again: `["1h", "3h"]`.
            escalate: Who else is asked, and after how long: `[Rung("2h", to="role:lead")]`.
            rota: The name of the rota that says who is on duty: see `layby rota`.
            quiet: The hours in which nobody is reminded: `22:00-07:00 Europe/Berlin`. What falls
                into them is held until they end, unless the deadline comes first.
            people: The names of those who are in the role, by which they answer in subjects:
                letters, digits, `_` and `-`. If several people decide a question (docs/people.md),
                only they have a vote. Default: those with keys; without keys, everybody whom the
                server lets answer for the role.
            channels: Where its questions are shown: `[slack("#oncall")]`, see docs/channels.md.
            clock_stops: Whether the deadlines of its questions wait while something that was asked
                back has no reply.

        Raises:
            InvalidSetup: a key or name is not valid, the package `cryptography` is missing, or a
                rung, the rota's name or the quiet hours are not valid.
        """
        self.name = name
        if not _NAME.fullmatch(name):
            raise InvalidSetup(
                f"role {name!r}: use a lower-case letter, then letters, digits, - and _"
            )
        if keys is not None and not keys:
            raise InvalidSetup(f"role {name!r} has no keys: nobody could answer; leave `keys` out")
        self.keys = {person: self._keys_of(person, each) for person, each in (keys or {}).items()}
        self.people = self._people(people)
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
        whose = f"role {name!r}"
        self.remind = checked_reminders(remind, whose)
        self.escalate = checked_rungs(escalate, whose)
        self.rota = rota
        if rota and not _NAME.fullmatch(rota):
            raise InvalidSetup(
                f"{whose}: rota {rota!r}: use a lower-case letter, then letters, digits, - and _"
            )
        self.quiet = quiet_hours(quiet, whose) if quiet else None
        self.channels = checked_channels(channels, whose)
        self.clock_stops = clock_stops

    def __repr__(self) -> str:
        return f"Role({self.name!r})"

    @property
    def signs(self) -> bool:
        """Whether its answers must be signed."""
        return bool(self.keys)

    def _people(self, given: Sequence[str] | None) -> tuple[str, ...]:
        if given is None:
            return tuple(self.keys)
        people = tuple(given)
        if isinstance(given, str) or not people:
            raise InvalidSetup(
                f"role {self.name!r}: people={given!r}: give a list of names, or leave it out"
            )
        for person in people:
            self._check_name(person)
        if len(set(people)) < len(people):
            raise InvalidSetup(f"role {self.name!r} names somebody twice: {', '.join(people)}")
        if self.keys and set(people) != self.keys.keys():
            raise InvalidSetup(
                f"role {self.name!r}: its `people` and the people with `keys` differ: leave "
                "`people` out, those with keys are its people"
            )
        return people

    def _check_name(self, person: Any) -> None:
        if not isinstance(person, str) or not _PERSON.fullmatch(person):
            raise InvalidSetup(
                f"role {self.name!r}: {person!r} cannot be a name in subjects: use letters, "
                "digits, _ and -"
            )

    def _keys_of(self, person: str, given: str | Sequence[str]) -> tuple[str, ...]:
        self._check_name(person)
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
