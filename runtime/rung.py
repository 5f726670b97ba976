"""What is to happen while a question stays open, as users declare it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

from .duration import InvalidDuration, seconds
from .errors import InvalidSetup
from .ladder import PERSON, ROLE

Time: TypeAlias = "str | float | timedelta"
Remind: TypeAlias = "Sequence[Time]"
"""After how long those who were asked are reminded."""
Escalate: TypeAlias = "Sequence[Rung]"
"""Who else is asked, and when."""
_TO = re.compile(r"role:[a-z][a-z0-9_-]{0,31}|person:[A-Za-z0-9_-]{1,200}")


@dataclass(frozen=True)
class Rung:
    """After a time without an answer, somebody else is asked too.

    Attributes:
        after: How long after the question was asked: `2h`, a timedelta, or seconds.
        to: Who is asked: `role:lead`, or `person:cto`, who answers for the role that was asked.
    """

    after: Time
    to: str

    def __post_init__(self) -> None:
        """Check both. Raises InvalidSetup, InvalidDuration."""
        seconds(self.after)
        to: Any = self.to
        if not isinstance(to, str) or not _TO.fullmatch(to):
            raise InvalidSetup(f"Rung(to={self.to!r}): write 'role:lead' or 'person:cto'")

    @property
    def role(self) -> str:
        """The role that is asked; empty if it is a person."""
        return self.to.removeprefix(ROLE) if self.to.startswith(ROLE) else ""


def checked_person(to: Any, whose: str) -> str:
    """The person that a question is for, `person:ada`; empty: anybody. Raises InvalidSetup."""
    if to is None:
        return ""
    if not isinstance(to, str) or not _TO.fullmatch(to) or not to.startswith(PERSON):
        raise InvalidSetup(
            f"{whose}: to={to!r}: write 'person:ada'; a role is asked by its name, without `to`"
        )
    return to


def checked_reminders(remind: Remind, whose: str) -> tuple[float, ...]:
    """Reminders in seconds, in order. Raises InvalidSetup."""
    if isinstance(remind, str):
        raise InvalidSetup(f"{whose}: remind={remind!r}: give a list, remind=[{remind!r}]")
    try:
        found = sorted(seconds(each) for each in remind)
    except InvalidDuration as error:
        raise InvalidSetup(f"{whose}: remind: {error}") from None
    if len(set(found)) < len(found):
        raise InvalidSetup(f"{whose}: remind has the same time twice")
    return tuple(found)


def checked_rungs(escalate: Escalate, whose: str) -> tuple[Rung, ...]:
    """Escalations in their order. Raises InvalidSetup."""
    given: Sequence[Any] = escalate
    if isinstance(given, str) or not all(isinstance(each, Rung) for each in given):
        raise InvalidSetup(
            f"{whose}: escalate={escalate!r}: give a list of Rung('2h', 'role:lead')"
        )
    found = sorted(escalate, key=lambda each: seconds(each.after))
    targets = [each.to for each in found]
    if twice := next((to for to in targets if targets.count(to) > 1), ""):
        raise InvalidSetup(f"{whose} escalates to {twice} twice: the first time asks them already")
    return tuple(found)
