"""How the worker processes that we start reach NATS: their options and environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .invocation import Invocation

if TYPE_CHECKING:
    from ..bus.settings import ConnectionSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """A server that workers are to use.

    Attributes:
        url: Its address, to be shown; it holds no credentials.
        options: Options for `layby worker`.
        environ: A worker's environment.
    """

    url: str
    options: tuple[str, ...]
    environ: Mapping[str, str]


def embedded(url: str) -> Reach:
    """A server of our own: no user, no TLS, whatever the environment says about others."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("NATS_")}
    return Reach(url=url, options=(), environ={**environ, "NATS_URL": url})


def as_told(call: Invocation, settings: ConnectionSettings) -> Reach:
    """The user's server: the worker is told what we were told and reads the rest as we did."""
    server = ("--server", call.server) if call.server else ()
    context = ("--context", call.context) if call.context else ()
    inbox = ("--inbox-prefix", call.inbox_prefix) if call.inbox_prefix else ()
    return Reach(url=settings.shown, options=(*server, *context, *inbox), environ=dict(os.environ))
