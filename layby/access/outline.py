"""The part of an app that the rights of logins depend on; it is stored next to the keys."""

from __future__ import annotations

from typing import Final

import msgspec

from ..app import App
from ..bus.log_subject import shares
from ..bus.names import EVENTS, Names
from ..bus.timers import HELD

_SERVERS: Final = "$JS.EVENT."
"""Subjects that the server itself publishes on."""
_FIRED: Final = ("due.", "rung.", f"{HELD}.")
"""Subjects that the server publishes on when a timer is due."""
_COMMANDS: Final = "layby.do."
"""Subjects of people's commands, which no worker may give in their name."""


class Outline(msgspec.Struct, frozen=True, kw_only=True):
    """The names and subjects of one app."""

    prefix: str = ""
    roles: tuple[str, ...]
    events: tuple[str, ...]
    """The subjects of its events."""
    streams: tuple[str, ...]
    """All its streams that Layby creates, with their names on the server."""
    log_streams: tuple[str, ...]
    kept: tuple[str, ...]
    """The subjects of its streams that only workers write: logs, timers, records, questions."""

    @property
    def names(self) -> Names:
        """The names of its streams and subjects."""
        return Names(self.prefix)


def outline(app: App) -> Outline:
    """The outline of an app."""
    own = app.names.stream
    specs = app.topology().streams
    others = {own(EVENTS), own("ANSWERS")}
    not_theirs = (_SERVERS, *map(app.names.subject, (_COMMANDS, *_FIRED)))
    kept = [subject for spec in specs if spec.name not in others for subject in spec.subjects]
    return Outline(
        prefix=app.prefix,
        roles=app.roles,
        events=tuple(dict.fromkeys(app.kept())),
        streams=tuple(sorted({own(EVENTS), *(spec.name for spec in specs)})),
        log_streams=tuple(map(own, shares(app.log_streams))),
        kept=tuple(subject for subject in kept if not subject.startswith(not_theirs)),
    )
