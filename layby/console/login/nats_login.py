"""People sign in with their own NATS login; the console keeps a connection of theirs."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from ...bus.connection import Connection
from ...bus.errors import LaybyError, LoginRefused
from ...bus.keyring import KeyService
from ...bus.opened import opened
from ...bus.settings import ConnectionSettings
from ...client import Client
from ..options import ConsoleOptions
from .cookie import cookie_name, delete_cookie, set_cookie
from .own_connection import Given, OwnConnection, TooOften, connected, without_login
from .own_sessions import OwnSessions
from .pace import Pace
from .programs import PATHS, Programs
from .session import Session

_AT_ONCE: Final = 4
"""How many connect at once."""


class NoLogins(LaybyError):
    """The server lets anybody in, so a login there proves nothing."""


class NatsLogin:
    """Everybody acts with a connection of their own, to the same servers.

    Args:
        settings: How the console connects; of them, only the servers and TLS are used.
        options: How it was started.
        connection: The console's own connection, which tells an outage from a lost login.
        prefix: The prefix of the app.
        keyring: The keys for what the app encrypts.
    """

    def __init__(
        self,
        settings: ConnectionSettings,
        options: ConsoleOptions,
        connection: Connection,
        *,
        prefix: str = "",
        keyring: KeyService | None = None,
    ) -> None:
        self.cookie: Final = cookie_name(options.port)
        self.people: Final = OwnSessions(connection)
        self.programs: Final = Programs(self._admitted, connection)
        self.routes: list[BaseRoute] = []
        self._options = options
        self._settings = without_login(settings)
        self._prefix = prefix
        self._keyring = keyring
        self._pace = Pace()
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def check(self) -> None:
        """Check that the server refuses a login that nobody has.

        Raises:
            NoLogins: it does not.
        """
        stranger: dict[str, Any] = {
            "user": f"layby-{secrets.token_hex(8)}",
            "password": secrets.token_urlsafe(24),
        }
        try:
            async with opened(replace(self._settings, **stranger)):
                pass
        except LoginRefused:
            return
        raise NoLogins(
            f"the server at {self._settings.shown} lets anybody in, so nobody can sign in "
            "with a login there: give it logins (`layby accounts config APP` writes them), or use "
            "--auth token or --auth proxy"
        )

    async def session(self, request: Request) -> Session | None:
        """The session of a request's cookie, as long as the server keeps its login.

        A program sends its login in a header instead, and then nothing else counts.

        Raises:
            HTTPException: a login in a header is not taken.
        """
        if "authorization" in request.headers and request.scope["path"].startswith(PATHS):
            return await self.programs.session(request)
        return self.people.get(request.cookies.get(self.cookie, ""))

    async def enter(self, request: Request) -> Response | None:  # noqa: ARG002  others need it
        """Nobody signs in by an address."""
        return None

    def stranger(self, request: Request) -> Response:
        """Lead people to the page that signs in. Raises HTTPException for everything else."""
        takes_pages = "text/html" in request.headers.get("accept", "")
        if request.method in {"GET", "HEAD"} and takes_pages:
            base, path = self._options.base_path, request.scope["path"]
            query = f"?{request.url.query}" if request.url.query else ""
            to = urlencode({"to": f"{path}{query}"} if path != "/" or query else {})
            return RedirectResponse(f"{base}/sign-in{'?' if to else ''}{to}", 303)
        raise HTTPException(401, "Sign in with your NATS login.")

    async def sign_in(self, request: Request, given: Given, response: Response) -> None:
        """Sign somebody in: `response` gets the cookie.

        Raises:
            SignInFailed: they cannot, and why.
        """
        session, own = await self._admitted(request, given)
        self.people.end(request.cookies.get(self.cookie, ""))
        key = self.people.add(session, own)
        path = f"{self._options.base_path}/"
        set_cookie(response, request, name=self.cookie, key=key, path=path)

    async def _admitted(self, request: Request, given: Given) -> tuple[Session, OwnConnection]:
        """Connect with somebody's login. Raises SignInFailed."""
        if not self._pace.take(request.client.host if request.client else ""):
            raise TooOften("That was too often. Wait a few seconds, and try again.")
        async with self._turn:
            own = await connected(self._settings, given, prefix=self._prefix, keyring=self._keyring)
        found, bus = own.granted, own.bus
        session = Session(
            name=found.name,
            rights=found.rights.without_changes() if self._options.read_only else found.rights,
            client=Client(bus.connection, bus.requests, self._options.signers),
            responder=found.responder,
        )
        return session, own

    def sign_out(self, request: Request, response: Response) -> None:
        """End the session of a request."""
        self.people.end(request.cookies.get(self.cookie, ""))
        delete_cookie(response, name=self.cookie, path=f"{self._options.base_path}/")

    async def close(self) -> None:
        """End all sessions, and close their connections."""
        await self.people.close()
        await self.programs.close()
