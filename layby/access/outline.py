"""What of an app the rights of logins depend on: small enough to be kept beside the keys."""

from __future__ import annotations

from typing import Final

import msgspec

from ..app import App
from ..bus.log import shares
from ..bus.names import EVENTS, Names

_SERVERS: Final = "$JS.EVENT."
"""What the server itself publishes."""
_DUE: Final = "due."
"""What the server publishes when a timer is due."""
_COMMANDS: Final = "layby.do."
"""What people command, which no worker may do in their name."""


class Outline(msgspec.Struct, frozen=True, kw_only=True):
    """The names and subjects of one app."""

    prefix: str = ""
    roles: tuple[str, ...]
    events: tuple[str, ...]
    """The subjects of the events that it takes."""
    streams: tuple[str, ...]
    """All streams of Layby's that it has, as they are called on the server."""
    log_streams: tuple[str, ...]
    kept: tuple[str, ...]
    """The subjects of its streams that only workers write: logs, timers, records, questions."""

    @property
    def names(self) -> Names:
        """What its streams and subjects are called."""
        return Names(self.prefix)


def outline(app: App) -> Outline:
    """The outline of an app."""
    own = app.names.stream
    specs = app.topology().streams
    others = {own(EVENTS), own("ANSWERS")}
    not_theirs = (_SERVERS, app.names.subject(_COMMANDS), app.names.subject(_DUE))
    kept = [subject for spec in specs if spec.name not in others for subject in spec.subjects]
    return Outline(
        prefix=app.prefix,
        roles=app.roles,
        events=tuple(dict.fromkeys(app.kept())),
        streams=tuple(sorted({own(EVENTS), *(spec.name for spec in specs)})),
        log_streams=tuple(map(own, shares(app.log_streams))),
        kept=tuple(subject for subject in kept if not subject.startswith(not_theirs)),
    )
