"""Run one piece of asynchronous work with a client, the way most commands do."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from .errors import CliError
from .invocation import Invocation
from .nearby import nearby_url

if TYPE_CHECKING:
    from ..bus.settings import ConnectionSettings
    from ..client import Client

T = TypeVar("T")

_PATIENCE = 0.8
"""Seconds to wait for a server that says nothing: a person sits there. NATS_TIMEOUT changes it."""
_DEFAULT_URL = "nats://127.0.0.1:4222"
_BY_DEFAULT = "the default"


def with_client(call: Invocation, work: Callable[[Client], Awaitable[T]]) -> T:
    """Connect, do `work`, disconnect; the errors of all three are the caller's."""
    import asyncio

    from ..bus.errors import ServerUnavailable
    from ..client import Client

    settings = reachable(call)

    async def run() -> T:
        async with Client.connect(settings) as client:
            return await work(client)

    try:
        return asyncio.run(run())
    except ServerUnavailable as error:
        if settings.source != _BY_DEFAULT:
            raise
        raise CliError(
            f"no server is named, and none runs here (tried {settings.shown})",
            "name yours with --server or NATS_URL, or start one with `layby dev APP`",
            kind=type(error).__name__,
        ) from error


def reachable(call: Invocation) -> ConnectionSettings:
    """The settings of the call; where it names no server, one nearby: see `nearby`."""
    settings = call.settings()
    if not settings.is_configured:
        url = nearby_url()
        settings = replace(
            settings,
            servers=(url or _DEFAULT_URL,),
            source="the server running in this folder" if url else _BY_DEFAULT,
        )
    return settings if os.environ.get("NATS_TIMEOUT") else replace(settings, timeout=_PATIENCE)
