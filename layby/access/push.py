"""Push the tokens of accounts to a running server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from ..bus.errors import BusError
from ..bus.opened import opened
from ..bus.settings import ConnectionSettings
from .registry import Registry

_UPDATE = "$SYS.REQ.CLAIMS.UPDATE"


async def push(registry: Registry, settings: ConnectionSettings) -> int:
    """Update the accounts and revoked logins on the server; return how many accounts.

    Revoked logins are disconnected immediately.

    Args:
        registry: The folder with the keys.
        settings: Where the server is; the login is the folder's own.

    Raises:
        LoginRefused: the server belongs to other keys.
        BusError: it does not accept a token.
    """
    admin = replace(
        settings,
        user=None,
        password=None,
        token=None,
        nkey=None,
        creds=str(registry.admin),
        login_source=str(registry.admin),
        inbox_prefix="_INBOX_admin",
    )
    tokens = registry.tokens()
    async with opened(admin) as bus:
        for public, token in tokens.items():
            reply = await bus.requests.request(_UPDATE, token.encode())
            answer: dict[str, Any] = msgspec.json.decode(reply.data)
            if error := answer.get("error"):
                raise BusError(f"the server refuses account {public}: {error['description']}")
    return len(tokens)
