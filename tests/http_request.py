"""A request as the console gets it, made without a server."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.requests import Request
from starlette.types import Message, Scope

Headers = Iterable[tuple[str, str]]


def request(
    path: str = "/",
    headers: Headers = (),
    *,
    method: str = "GET",
    query: str = "",
    body: Iterable[bytes] = (b"",),
    scheme: str = "http",
    peer: str | None = "127.0.0.1",
) -> Request:
    """A request from a peer, whose body arrives in these parts; `peer=None`: nobody knows whose."""
    parts = list(body)

    async def receive() -> Message:
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    scope: Scope = {
        "type": "http",
        "method": method,
        "scheme": scheme,
        "server": ("127.0.0.1", 7422),
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
        "client": None if peer is None else (peer, 50000),
        "state": {},
    }
    return Request(scope, receive)
