"""What the handlers of the console share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from starlette.requests import Request

from ..bus.connection import Connection
from ..bus.requests import Requests
from ..client import Client
from ..runtime.channel import Desk
from ..views.workers import Workers
from .catalogue.catalogue import Catalogue
from .live import Live
from .login.entrance import Entrance
from .login.responder_tokens import ResponderTokens
from .metrics import ConsoleMetrics
from .options import ConsoleOptions
from .tally import Tally
from .vitals import Vitals
from .waterfall.watched import WatchedRuns


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """One running console.

    Attributes:
        options: How it was started.
        connection: Its own connection to NATS.
        requests: The requests over it.
        client: Acts over it.
        desk: Hands in over it what people say who have not signed in here.
        login: Says who a request is from.
        tokens: Says so of a request with the token of a responder; None: none is taken.
        catalogue: Runs and questions, for lists.
        live: Keeps open pages up to date.
        vitals: The state of streams, mailboxes and dead letters.
        metrics: The same, for Prometheus.
        tally: The counts in the rail.
        workers: The workers that are heard.
        watched: The logs of the runs that people look at.
        stopping: Set when it stops, so that open streams end.
    """

    options: ConsoleOptions
    connection: Connection
    requests: Requests
    client: Client
    desk: Desk
    login: Entrance
    tokens: ResponderTokens | None = None
    catalogue: Catalogue
    live: Live
    vitals: Vitals
    metrics: ConsoleMetrics
    workers: Workers = field(default_factory=Workers)
    tally: Tally = field(default_factory=Tally)
    watched: WatchedRuns = field(default_factory=WatchedRuns)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str) -> str:
        """The address of a path of the console, `/runs` for instance, behind its base path."""
        return f"{self.options.base_path}{path}"


def console_of(request: Request) -> Console:
    """The console that a request is to."""
    console: Console = request.app.state.console
    return console
