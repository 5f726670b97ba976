"""The records of a question's ladder: what is to happen until it is answered, and what did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, Protocol

import msgspec

ASKED: Final = "asked"
REMINDER: Final = "reminder"
ESCALATION: Final = "escalation"
RungKind = Literal["asked", "reminder", "escalation"]
"""What a rung does: it finds out who is on duty, as soon as the question is asked; it reminds those
who were asked; or it asks somebody else too."""


class PlannedRung(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One rung as it was planned when the question was asked."""

    kind: RungKind
    at: float
    """When it is due, Unix seconds."""
    held: float = 0.0
    """When it would have been due but for quiet hours; 0: they did not hold it."""
    to: str = ""
    """Who is asked too: `role:lead` or `person:cto`; empty: those who were asked."""
    rota: str = ""
    """The rota that says who is told; empty: none."""


class Laddered(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    gc=False,
    tag_field="k",
    tag="laddered",
):
    """The question that is asked in the same message, or right after it, has a ladder."""

    id: str
    to: str = ""
    """The person it is meant for, `person:ada`; empty: everybody with the role."""
    urgent: bool = False
    """Whether quiet hours are ignored."""
    rungs: list[PlannedRung] = []


class Reached(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    gc=False,
    tag_field="k",
    tag="reached",
):
    """A rung was reached while the question was open. Mail to the actor of the role it tells."""

    id: str
    rung: int
    """Its place in the ladder, from 0."""
    told: list[str] = []
    """Who is told, by name; empty: everybody with the role."""
    absent: dict[str, str] = {}
    """By the name of somebody who is told: the absent person who named them as delegate."""
    nobody: bool = False
    """Whether the rota has nobody on duty, so that the next escalation is reached at once."""
    early: bool = False
    """Whether it was reached before its time, because nobody was on duty before it, or nobody who
    was asked would answer."""
    claimed: bool = False
    """Whether only the person who has claimed the question is told."""


class _Telling(Protocol):
    """A record that says who is told."""

    @property
    def told(self) -> list[str]: ...
    @property
    def absent(self) -> dict[str, str]: ...
    @property
    def nobody(self) -> bool: ...


def told(record: _Telling) -> str:
    """Who was told, in words; empty: everybody with the role."""
    if record.nobody:
        return "nobody is on duty"
    absent = record.absent
    names = [f"{each} for {absent[each]}" if each in absent else each for each in record.told]
    claimed = isinstance(record, Reached) and record.claimed
    return ", ".join(names) + (" only, who is on it" if claimed else "")


def named(told: list[str], kind: str, role: str, roles: Sequence[str]) -> list[str]:
    """The people whom a role sees named as told, at a rung of a question to `roles`; empty: all.

    A rota's people, and the person for whom the question is meant, are of the first role: the other
    roles see no names. An escalation names the same person to everybody.
    """
    return told if kind == ESCALATION or role not in roles[1:] else []
