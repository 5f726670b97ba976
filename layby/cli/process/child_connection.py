"""How worker processes that we start connect to NATS: their options and environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..invocation import Invocation
from .handshake import PRUNE

if TYPE_CHECKING:
    from ...bus.server import EmbeddedServer
    from ...bus.settings import ConnectionSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildConnection:
    """The server that workers are to use.

    Attributes:
        url: Its address, to be shown, without credentials.
        before: What to put before a `layby` command in this folder so that it uses this server;
            empty if it does so anyway.
        named: The option that selects it; may be empty.
        options: Options for `layby worker`.
        environ: A worker's environment.
    """

    url: str
    before: str = ""
    named: str = ""
    options: tuple[str, ...]
    environ: Mapping[str, str]


def embedded_connection(server: EmbeddedServer, *, before: str = "") -> ChildConnection:
    """A server of our own, with its own login and no TLS; NATS_* variables are ignored."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("NATS_")}
    return ChildConnection(
        url=server.address,
        before=before,
        options=(PRUNE,),
        environ={**environ, "NATS_URL": server.url},
    )


def inherited_connection(call: Invocation, settings: ConnectionSettings) -> ChildConnection:
    """The user's server: the worker gets the same options and reads the same environment."""
    server = ("--server", call.server) if call.server else ()
    context = ("--context", call.context) if call.context else ()
    inbox = ("--inbox-prefix", call.inbox_prefix) if call.inbox_prefix else ()
    return ChildConnection(
        url=settings.shown,
        named=f"-s {settings.shown} ",
        options=(*server, *context, *inbox),
        environ=dict(os.environ),
    )
