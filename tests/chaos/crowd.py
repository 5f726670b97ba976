"""The roles of people who decide together or are asked one after the other, and how they are asked.

Only the campaigns about them have these roles: each costs every worker several consumers.
"""

from __future__ import annotations

import importlib
import os
from typing import Final, Literal, TypeAlias, cast

import msgspec

from layby import AskBack, NonRetriableError, Role
from layby.channels import email, slack
from layby.runtime.quiet import Quiet

from .board_channel import BoardChannel
from .front_channel import FindingChannel, FrontChannel
from .naps import Naps

CROWDED: Final = "CHAOS_CROWDED"
"""Environment variable: the campaign whose roles the app has."""
WORKSPACE: Final = "CHAOS_SLACK"
"""Environment variable: where Slack is, for a campaign that has one."""
Colour: TypeAlias = Literal["red", "green", "blue"]
COLOURS: Final = ("red", "green", "blue")
MEMBERS: Final = {"finance": ("ada", "bob", "cleo", "gus"), "legal": ("dan", "eve", "ada")}
"""Who is in the roles that say so. Ada is in two of them."""
CREW: Final = "crew"
"""A role in which everybody is."""
DESK, FLOOR, LEAD = "desk", "floor", "lead"
"""A role with a rota, one without, and the one that both escalate to."""
SQUAD, BOSS = "squad", "boss"
"""A role whose people claim questions, and the one that it escalates to."""
NO_REPLY: Final = "nothing"
"""How a text begins to which code has no reply."""
GUIDE = "guide"
"""A role whose people reply to what the squad asks back. One person answers it, as `developer`."""
PEOPLE: Final = ("ada", "bob", "cleo")
"""Who is in the squad, and in the roles that are shown questions on channels."""
OPS, MUTE, NIGHT, CHIEF = "ops", "mute", "night", "chief"
"""Roles with channels: two that work, two that refuse some cards, one with quiet hours, and the
one that all of them escalate to."""
FRONT: Final = "front"
"""A role that is shown questions in Slack and by mail, by the channels that users have."""
CHANNELS: Final = {OPS: ("one", "two"), MUTE: ("one", "two"), NIGHT: ("one",), CHIEF: ("one",)}
"""The channels of each."""
NAMES: Final = frozenset({*MEMBERS, CREW, DESK, FLOOR, LEAD, SQUAD, BOSS, FRONT, *CHANNELS})


_IMPORTED: Final = ("aiosmtplib", "slack_sdk.web.async_client")


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
    explain: str = ""
    """Who replies to those who ask back: `code`, or a role."""
    stops: bool = False
    """Whether the clock stands while something asked back has no reply."""


def explained(asked: AskBack) -> str:
    """Reply to somebody who asks back; there is no reply to some texts."""
    if asked.text.startswith(NO_REPLY):
        raise NonRetriableError("nobody knows")
    return f"because {asked.text}"


def roles() -> tuple[Role, ...]:
    """The roles that the app of this process has besides its others."""
    match os.environ.get(CROWDED, ""):
        case "votes" | "ladders":
            return _voters()
        case "claims":
            return (Role(SQUAD, people=PEOPLE), Role(BOSS), Role(GUIDE))
        case "cards":
            return _shown()
        case _:
            return ()


def _voters() -> tuple[Role, ...]:
    members = (Role(name, people=people) for name, people in MEMBERS.items())
    return (*members, Role(CREW), Role(DESK, rota=DESK), Role(FLOOR), Role(LEAD))


def _shown() -> tuple[Role, ...]:
    made = {
        role: Role(role, people=PEOPLE, channels=[BoardChannel(name) for name in names])
        for role, names in CHANNELS.items()
    }
    made[NIGHT].quiet = cast("Quiet", Naps())
    return (*made.values(), *_fronted())


def _fronted() -> tuple[Role, ...]:
    if (url := os.environ.get(WORKSPACE)) is None:
        return ()
    for module in _IMPORTED:  # now, and not when a channel is first called
        importlib.import_module(module)
    people = {"ada": "ada@acme.example", "bob": "bob@acme.example"}
    chat = slack("#oncall", people={"U0ADA": "ada"}, base_url=url)
    channels = [FindingChannel(chat), FrontChannel(email(people=people))]
    return (Role(FRONT, people=PEOPLE, channels=channels),)
