"""Connect to the server that a command is about, do its work, disconnect."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from ..invocation import Invocation
from ..process.local_server import FILE, local_server_url
from ..screen.errors import CliError

if TYPE_CHECKING:
    from ...bus.keyring import KeyService
    from ...bus.settings import ConnectionSettings
    from ...client import Client

T = TypeVar("T")

_TIMEOUT = 0.8
"""Seconds to wait for a silent server: a person is waiting. NATS_TIMEOUT changes it."""
_DEFAULT_URL = "nats://127.0.0.1:4222"
_DEFAULT_SOURCE = "the default"
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
    """Connect, do `work`, disconnect; errors of all three reach the caller.

    `keys` is a file of public keys to check signed answers against. `keyring` opens encrypted
    data; None takes the one of the environment.
    """
    import asyncio

    from ...bus.errors import ServerUnavailable
    from ...client import Client

    settings = reachable_settings(call)
    roles = None
    if keys is not None:
        from ...client.key_file import read_keys

        roles = read_keys(keys)

    async def run() -> T:
        async with Client.connect(
            settings, prefix=call.app_prefix, keyring=keyring or call.keyring, keys=roles
        ) as client:
            return await work(client)

    try:
        return asyncio.run(run())
    except ServerUnavailable as error:
        if settings.source != _DEFAULT_SOURCE:
            raise
        raise CliError(
            f"no server is named, and none runs here (tried {settings.shown})",
            "name yours with --server or NATS_URL, or start one with `layby dev APP`",
            kind=type(error).__name__,
        ) from error


def named_settings(call: Invocation) -> ConnectionSettings:
    """The settings of the call; if it names no server, those of `layby dev` in this folder.

    Not configured if there is neither.
    """
    settings = call.settings()
    url = None if settings.is_configured else local_server_url()
    if url is None:
        return settings
    return replace(settings, servers=(url,), source=str(FILE), advice=_GONE)


def required_settings(call: Invocation, app: str) -> ConnectionSettings:
    """The settings of the call, or of `layby dev` in this folder.

    Raises:
        CliError: There is neither.
    """
    settings = named_settings(call)
    if not settings.is_configured:
        raise CliError(
            "no NATS server is named",
            f"set NATS_URL or pick a context of the nats CLI; or try `layby dev {app}`, which "
            "brings its own server",
            kind="NoServerNamed",
        )
    return settings


def reachable_settings(call: Invocation) -> ConnectionSettings:
    """The settings of the call, of `layby dev` in this folder, or of the default address."""
    settings = named_settings(call)
    if not settings.is_configured:
        settings = replace(settings, servers=(_DEFAULT_URL,), source=_DEFAULT_SOURCE)
    return settings if os.environ.get("NATS_TIMEOUT") else replace(settings, timeout=_TIMEOUT)
