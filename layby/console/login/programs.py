"""Programs that send their NATS login with each request, as the header `Authorization`.

A login's connection is kept while it is used, so that a program does not connect for each request.
Only a request with the same login gets it, and nothing else in a request says who it is from.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request

from ...bus.connection import Connection
from ..hosts import is_loopback
from .own_connection import Given, OwnConnection, SignInFailed, TooOften
from .own_sessions import OwnSessions
from .session import Session

PATHS: Final = "/api/v1/"
_MOST: Final = 50
"""How many logins of programs are connected at most."""
_IDLE: Final = 300.0
"""Seconds without a request after which a login's connection is closed."""
_LONGEST: Final = 16_384
CLEAR: Final = (
    "This password has crossed the network in the clear: change it. A login in a header is taken "
    "from this machine, or from a proxy that says `X-Forwarded-Proto: https`."
)
"""The answer to a program whose login others can have read on its way."""
Admit = Callable[[Request, Given], Awaitable[tuple[Session, OwnConnection]]]
"""Lets in the owner of this login. Raises SignInFailed."""


@dataclass(slots=True)
class _Program:
    key: str
    session: Session
    used: float


class Programs:
    """The sessions of programs, by a digest of their login.

    Args:
        admit: Connects with a login.
        connection: The console's own connection.
    """

    def __init__(self, admit: Admit, connection: Connection) -> None:
        self.sessions: Final = OwnSessions(connection, most=_MOST)
        self._admit = admit
        self._secret = secrets.token_bytes(32)
        self._known: dict[bytes, _Program] = {}
        """The least recently used one first."""
        self._coming: dict[bytes, asyncio.Task[Session]] = {}
        self._sweeping: asyncio.TimerHandle | None = None

    async def session(self, request: Request) -> Session:
        """The session of the login in a request. Raises HTTPException if it is not taken."""
        if not is_private(request):
            raise HTTPException(403, CLEAR)
        given = _given(request.headers.getlist("authorization"))
        digest = self._digest(given)
        known = self._known.pop(digest, None)
        if known is not None and self.sessions.get(known.key) is not None:
            known.used = asyncio.get_running_loop().time()
            self._known[digest] = known
            return known.session
        coming = self._coming.get(digest)
        if coming is None:
            coming = self._coming[digest] = asyncio.create_task(self._enter(request, given, digest))
            coming.add_done_callback(_seen)
        try:
            return await asyncio.shield(coming)  # others may wait for it too
        except TooOften as error:
            raise HTTPException(429, str(error), {"Retry-After": "5"}) from None
        except SignInFailed as error:
            raise HTTPException(401, str(error)) from None

    async def close(self) -> None:
        """End all of them."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        coming = [*self._coming.values()]
        for each in coming:
            each.cancel()
        await asyncio.gather(*coming, return_exceptions=True)
        await self.sessions.close()

    async def _enter(self, request: Request, given: Given, digest: bytes) -> Session:
        try:
            self._make_room()
            session, own = await self._admit(request, given)
            loop = asyncio.get_running_loop()
            key = self.sessions.add(session, own)
            self._known[digest] = _Program(key, session, loop.time())
            if self._sweeping is None:
                self._sweeping = loop.call_later(_IDLE, self._sweep)
            return session
        finally:
            del self._coming[digest]

    def _make_room(self) -> None:
        self._drop(lambda each: each.session.over.is_set())
        if len(self._known) + len(self._coming) <= _MOST:
            return
        idle = next((each for each in self._known.values() if not each.session.uses.count), None)
        if idle is None:
            raise HTTPException(503, "Too many programs are signed in. Try again later.")
        self._drop(lambda each: each is idle)

    def _sweep(self) -> None:
        """Close what was not used lately; a stream that is open is a use."""
        loop = asyncio.get_running_loop()
        self._sweeping = None
        self._drop(lambda each: not each.session.uses.count and each.used + _IDLE <= loop.time())
        if self._known:
            self._sweeping = loop.call_later(_IDLE, self._sweep)

    def _drop(self, which: Callable[[_Program], bool]) -> None:
        for digest, each in list(self._known.items()):
            if which(each):
                del self._known[digest]
                self.sessions.end(each.key)

    def _digest(self, given: Given) -> bytes:
        """What a login is known by: of no use to somebody who reads the memory of this process."""
        parts = f"{given.user}\0{given.password}\0{given.pasted}"
        return hmac.digest(self._secret, parts.encode(), hashlib.sha256)


def _seen(coming: asyncio.Task[Session]) -> None:
    """Everybody who waited has gone, so nobody needs what it raised."""
    if not coming.cancelled():
        coming.exception()


def is_private(request: Request) -> bool:
    """Whether nobody can have read along: TLS, to us or to a proxy, or this machine."""
    forwarded = request.headers.getlist("x-forwarded-proto")
    if forwarded:
        return all(each.strip() == "https" for line in forwarded for each in line.split(","))
    peer = request.client.host if request.client else ""
    return request.url.scheme == "https" or is_loopback(peer)


def _given(headers: list[str]) -> Given:
    """The login in a header: `Basic` with user and password, `Bearer` with credentials."""
    scheme, _, value = headers[0].partition(" ") if len(headers) == 1 else ("", "", "")
    value = value.strip()
    if len(value) <= _LONGEST:
        match scheme.lower():
            case "basic":
                user, colon, password = _decoded(value).partition(":")
                if user and colon and "\0" not in user + password:
                    return Given(user=user, password=password)
            case "bearer" if value:
                return Given(pasted=value if value.startswith("SU") else _decoded(value))
            case _:
                pass
    raise HTTPException(
        401,
        "Send `Authorization: Basic` with a NATS user and password, or `Bearer` with an nkey seed "
        "or the base64 of a credentials file.",
    )


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
