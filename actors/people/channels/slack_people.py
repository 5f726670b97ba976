"""Who is who: people's names by their Slack user ids. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from ....bus.token import is_word
from ....runtime.errors import InvalidSetup

_USER: Final = re.compile(r"(?:(T[A-Z0-9]{2,})/)?([UW][A-Z0-9]{2,})")


class User(NamedTuple):
    """A person in Slack. Ids of users are only unique within a workspace."""

    team: str
    """Their workspace."""
    id: str


class People:
    """The people of a channel."""

    def __init__(self, names: Mapping[tuple[str, str], str]) -> None:
        self._names = dict(names)
        """By workspace and user id; the workspace is empty for that of the app."""
        self.users: dict[str, str] = {}
        """Slack ids by name, to mention people."""
        self.by_id = {user: name for (_, user), name in names.items()}
        """Names by Slack id, to read mentions. They vouch for nothing."""
        for (_, user), name in names.items():
            self.users.setdefault(name, user)

    @classmethod
    def of(cls, given: Mapping[str, str], whose: str) -> People:
        """The people that an app declares. Raises InvalidSetup."""
        names: dict[tuple[str, str], str] = {}
        for user, name in given.items():
            found = _USER.fullmatch(user)
            if found is None:
                raise InvalidSetup(
                    f"{whose}: {user!r} is not a Slack user id: write U0123456789, or "
                    "T0123456789/U0123456789 for a user of another workspace"
                )
            if not is_word(name):
                raise InvalidSetup(
                    f"{whose}: {name!r} cannot be a name in subjects: use letters, digits, _ and -"
                )
            names[found[1] or "", found[2]] = name
        return cls(names)

    def name_of(self, user: User, own: str) -> str:
        """A person's name in subjects; empty: nobody knows who that is.

        Args:
            user: Who it is in Slack.
            own: The workspace of the app.
        """
        if not user.team:
            return ""
        found = self._names.get((user.team, user.id), "")
        return found or (self._names.get(("", user.id), "") if user.team == own else "")
