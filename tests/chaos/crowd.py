"""The roles of people who decide together or are asked one after the other, and how they are asked.

Only the campaigns about them have these roles: each costs every worker several consumers.
"""

from __future__ import annotations

import os
from typing import Final, Literal, TypeAlias

import msgspec

from layby import Role

CROWDED: Final = "CHAOS_CROWDED"
"""Environment variable: set if the app has these roles."""
Colour: TypeAlias = Literal["red", "green", "blue"]
COLOURS: Final = ("red", "green", "blue")
MEMBERS: Final = {"finance": ("ada", "bob", "cleo", "gus"), "legal": ("dan", "eve", "ada")}
"""Who is in the roles that say so. Ada is in two of them."""
CREW: Final = "crew"
"""A role in which everybody is."""
DESK, FLOOR, LEAD = "desk", "floor", "lead"
"""A role with a rota, one without, and the one that both escalate to."""
NAMES: Final = frozenset({*MEMBERS, CREW, DESK, FLOOR, LEAD})


class Poll(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What it takes to decide a question."""

    role: str
    number: int = 0
    """Votes for one choice; 0: as many as the groups need."""
    groups: dict[str, int] = {}
    veto: bool = False
    exclude: list[str] = []
    colours: bool = False
    """Whether the choice is between three colours; else yes or no."""
    remind: list[float] = []
    """Seconds after which all who decide are reminded."""

    @property
    def roles(self) -> list[str]:
        """All that are asked."""
        return [self.role, *(role for role in self.groups if role != self.role)]

    @property
    def needed(self) -> int:
        """Votes for one choice."""
        return self.number or sum(self.groups.values())


class Climb(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who is asked, and what happens while nobody answers."""

    role: str
    remind: list[float] = []
    """Seconds after which it is reminded."""
    escalate: list[tuple[float, str]] = []
    """Seconds after which somebody is asked too, and who."""
    manner: str = "last"
    """How it is answered: see `Climbers`."""


def roles() -> tuple[Role, ...]:
    """The roles that the app of this process has besides its others."""
    if os.environ.get(CROWDED) != "1":
        return ()
    members = (Role(name, people=people) for name, people in MEMBERS.items())
    return (*members, Role(CREW), Role(DESK, rota=DESK), Role(FLOOR), Role(LEAD))
