"""Run one piece of asynchronous work with a client, the way most commands do."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from .errors import CliError
from .invocation import Invocation
from .nearby import FILE, nearby_url

if TYPE_CHECKING:
    from ..bus.keyring import KeyService
    from ..bus.settings import ConnectionSettings
    from ..client import Client

T = TypeVar("T")

_PATIENCE = 0.8
"""Seconds to wait for a server that says nothing: a person sits there. NATS_TIMEOUT changes it."""
_DEFAULT_URL = "nats://127.0.0.1:4222"
_BY_DEFAULT = "the default"
_GONE = (
    f"`layby dev` leaves {FILE} behind when it is killed: start it again, or name another server "
    "with --server or NATS_URL."
)


def with_client(
    call: Invocation,
    work: Callable[[Client], Awaitable[T]],
    *,
    keys: str | None = None,
    keyring: KeyService | None = None,
) -> T:
    """Connect, do `work`, disconnect; the errors of all three are the caller's.

    `keys` is a file of keys that signed answers are held against; `keyring` opens what is
    encrypted, None: that of the environment.
    """
    import asyncio

    from ..bus.errors import ServerUnavailable
    from ..client import Client

    settings = reachable(call)
    roles = None
    if keys is not None:
        from ..key_file import read_keys

        roles = read_keys(keys)

    async def run() -> T:
        async with Client.connect(
            settings, prefix=call.app_prefix, keyring=keyring or call.keyring, keys=roles
        ) as client:
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


def named(call: Invocation) -> ConnectionSettings:
    """The settings of the call; where it names no server, that of `layby dev` in this folder.

    Not configured where there is neither.
    """
    settings = call.settings()
    url = None if settings.is_configured else nearby_url()
    if url is None:
        return settings
    return replace(settings, servers=(url,), source=str(FILE), advice=_GONE)


def reachable(call: Invocation) -> ConnectionSettings:
    """The settings of the call; where it names no server, one nearby: see `nearby`."""
    settings = named(call)
    if not settings.is_configured:
        settings = replace(settings, servers=(_DEFAULT_URL,), source=_BY_DEFAULT)
    return settings if os.environ.get("NATS_TIMEOUT") else replace(settings, timeout=_PATIENCE)
