"""What of an app the rights of logins depend on: small enough to be kept beside the keys."""

from __future__ import annotations

import msgspec

from ..app import App
from ..bus.log import shares
from ..bus.names import EVENTS, Names


class Outline(msgspec.Struct, frozen=True, kw_only=True):
    """The names and subjects of one app."""

    prefix: str = ""
    roles: tuple[str, ...]
    events: tuple[str, ...]
    """The subjects of the events that it takes."""
    streams: tuple[str, ...]
    """All streams of Layby's that it has, as they are called on the server."""
    log_streams: tuple[str, ...]
    waits: bool = False
    """Its runs wait for events."""
    removes: bool = False
    """Its workers remove runs that ended long ago."""

    @property
    def names(self) -> Names:
        """What its streams and subjects are called."""
        return Names(self.prefix)


def outline(app: App) -> Outline:
    """The outline of an app."""
    own = app.names.stream
    streams = {own(EVENTS), *(spec.name for spec in app.topology().streams)}
    return Outline(
        prefix=app.prefix,
        roles=app.roles,
        events=tuple(dict.fromkeys(app.kept())),
        streams=tuple(sorted(streams)),
        log_streams=tuple(map(own, shares(app.log_streams))),
        waits=app.watches,
        removes=bool(app.retentions()),
    )
