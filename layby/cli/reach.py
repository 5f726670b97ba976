"""How the worker processes that we start reach NATS: their options and environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .invocation import Invocation

if TYPE_CHECKING:
    from ..bus.server import EmbeddedServer
    from ..bus.settings import ConnectionSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """A server that workers are to use.

    Attributes:
        url: Its address, to be shown; it holds no credentials.
        before: What names it before a command of `layby` in this folder; empty where that finds it.
        named: What names it as an option.
        options: Options for `layby worker`.
        environ: A worker's environment.
    """

    url: str
    before: str = ""
    named: str = ""
    options: tuple[str, ...]
    environ: Mapping[str, str]


def embedded(server: EmbeddedServer, *, before: str = "") -> Reach:
    """A server of our own: its own login, no TLS, whatever the environment says about others."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("NATS_")}
    return Reach(
        url=server.address,
        before=before,
        options=(),
        environ={**environ, "NATS_URL": server.url},
    )


def as_told(call: Invocation, settings: ConnectionSettings) -> Reach:
    """The user's server: the worker is told what we were told and reads the rest as we did."""
    server = ("--server", call.server) if call.server else ()
    context = ("--context", call.context) if call.context else ()
    inbox = ("--inbox-prefix", call.inbox_prefix) if call.inbox_prefix else ()
    return Reach(
        url=settings.shown,
        named=f"-s {settings.shown} ",
        options=(*server, *context, *inbox),
        environ=dict(os.environ),
    )
