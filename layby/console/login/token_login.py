"""The login of a console on this machine: a random token in the printed address."""

from __future__ import annotations

import hmac
import secrets
from typing import Final
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from ...client import Client
from ..options import ConsoleOptions
from .cookie import cookie_name, set_cookie
from .session import VIEWER, Rights, Session
from .sessions import Sessions

TOKEN: Final = "token"  # noqa: S105  its name
"""The parameter of the printed address."""
_BEARER: Final = "Bearer "


class TokenLogin:
    """Everybody who has the token is the person who started the console."""

    def __init__(self, client: Client, name: str, options: ConsoleOptions) -> None:
        self.token: Final = secrets.token_urlsafe(24)
        self.cookie: Final = cookie_name(options.port)
        self.sessions: Final = Sessions()
        self.routes: list[BaseRoute] = []
        self._options = options
        self._client = client
        self._name = name
        self._program = self._new_session()

    async def session(self, request: Request) -> Session | None:
        """The session of a request: of its cookie, or of its header `Authorization`."""
        given = request.headers.get("authorization", "")
        if given.startswith(_BEARER) and self._is_token(given.removeprefix(_BEARER)):
            return self._program
        return self.sessions.get(request.cookies.get(self.cookie, ""))

    async def enter(self, request: Request) -> Response | None:
        """Take the token out of the address at once, so that it is in no history."""
        found = request.query_params.multi_items()
        tokens = [value for key, value in found if key == TOKEN]
        if request.method not in {"GET", "HEAD"} or not any(map(self._is_token, tokens)):
            return None
        left = urlencode([(key, value) for key, value in found if key != TOKEN])
        base = self._options.base_path
        where = f"{base}/{request.url.path.lstrip('/')}{'?' if left else ''}{left}"
        response = RedirectResponse(where, 303)
        if self.sessions.get(request.cookies.get(self.cookie, "")) is None:
            key = self.sessions.add(self._new_session())
            set_cookie(response, request, name=self.cookie, key=key, path=f"{base}/")
        return response

    def stranger(self, request: Request) -> Response:  # noqa: ARG002  others need it
        """Say how to come in. Raises HTTPException."""
        raise HTTPException(401, "Open the address that the console printed: it holds the key.")

    async def close(self) -> None:
        """End all sessions."""
        self.sessions.end_all()

    def _new_session(self) -> Session:
        rights = VIEWER if self._options.read_only else Rights()
        return Session(name=self._name, rights=rights, client=self._client)

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(errors="replace"), self.token.encode())
