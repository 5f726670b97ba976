"""What every request must pass: host, origin, login and size; and the headers of every response."""

from __future__ import annotations

import contextlib
import hmac
import logging
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..bus.errors import NoLeader, NotConnected
from .console import Console
from .elsewhere import is_from_elsewhere, reloading_page
from .hosts import Hosts
from .options import LINKS
from .posted import FORM, Posted, again, body, fields
from .problems import http_problem, problem

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "same-origin",  # with less, browsers post forms from nowhere: Origin: null
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_AWAY: Final = (NotConnected, NoLeader)
"""Errors of a request that the server has not taken: the page works once it is back."""
_SAFE: Final = frozenset({"GET", "HEAD"})
_PROBES: Final = frozenset({"/api/v1/healthz", "/api/v1/readyz"})
FORM_TOKEN: Final = "form_token"  # noqa: S105  its name
"""The field that every form carries."""
HEADER: Final = "layby-console"
"""The header that every other request carries that changes something."""
_log: Final = logging.getLogger(__name__)


class Guard:
    """Middleware around all routes."""

    def __init__(self, app: ASGIApp, console: Console) -> None:
        self._app = app
        self._console = console
        self._hosts = Hosts(console.options.host, console.options.allow_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            raise HTTPException(400)
        started = streams = False

        async def sending(message: Message) -> None:
            nonlocal started, streams
            if streams and _is_over(scope):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                raise ClientDisconnect
            if message["type"] == "http.response.start":
                started, streams = True, "content-length" not in Headers(raw=message["headers"])
                _add_headers(message, scope)
            await send(message)

        self._strip_base_path(scope)
        scope.setdefault("state", {})["session"] = None
        request = Request(scope, receive)
        try:
            await self._serve(request, scope, receive, sending)
        except HTTPException as error:
            await (await http_problem(request, error))(scope, receive, sending)
        except ClientDisconnect:
            return
        except Exception as error:
            is_away = isinstance(error, _AWAY)
            if not is_away:
                _log.exception("console.page_failed path=%r", _logged(scope["path"]))
            if started:
                raise
            await (_away if is_away else _failed)(request)(scope, receive, sending)

    async def _serve(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        self._check_source(request)
        response = await self._login(request)
        if response is None and request.method not in _SAFE:
            data = await body(request)
            _check_form(request, data)
            receive = again(data, receive)
        session = request.state.session
        with session.uses.one() if session is not None else contextlib.nullcontext():
            await (response or self._app)(scope, receive, send)

    def _strip_base_path(self, scope: Scope) -> None:
        """A proxy may pass the base path on, or not: both work."""
        base = self._console.options.base_path
        path: str = scope["path"]
        if base and (path == base or path.startswith(f"{base}/")):
            scope["path"] = path.removeprefix(base) or "/"

    def _check_source(self, request: Request) -> None:
        """Refuse what comes under a name that is not ours, or from another site."""
        host = request.headers.get("host", "")
        if not self._hosts.knows(host):
            raise HTTPException(
                403, "The console does not know that name as its own: see --allow-host."
            )
        if request.method in _SAFE:
            return
        site = request.headers.get("sec-fetch-site", "same-origin")
        origin = request.headers.get("origin")
        # A page that sends no referrer posts from nowhere. A link needs no more: its address is the
        # login, and who knows it can post it themselves.
        is_own = origin is None or self._hosts.is_own(origin, host)
        is_own = is_own or (origin == "null" and _is_link(request.scope["path"]))
        if site != "same-origin" or not is_own:
            raise HTTPException(403, "Another site may not do that.")

    async def _login(self, request: Request) -> Response | None:
        if _is_link(request.scope["path"]):
            return None  # the link itself is the login, for one act
        tokens = self._console.tokens
        if tokens is not None and (session := tokens.session(request)) is not None:
            request.state.session = session
            return None
        login = self._console.login
        if (response := await login.enter(request)) is not None:
            return response
        session = await login.session(request)
        request.state.session = session
        if session is None and not self._is_public(request.scope["path"]):
            return (
                reloading_page(request) if is_from_elsewhere(request) else login.stranger(request)
            )
        return None

    def _is_public(self, path: str) -> bool:
        return path.startswith(("/static/", "/sign-")) or path in _PROBES


def _is_link(path: str) -> bool:
    return path.startswith(LINKS)


def _logged(path: str) -> str:
    """A path as it may be logged: a link is a login."""
    return f"{LINKS}..." if _is_link(path) else path


def _is_over(scope: Scope) -> bool:
    """Whether the session of an open stream has ended."""
    session = scope["state"]["session"]
    return session is not None and session.over.is_set()


def _check_form(request: Request, data: bytes) -> None:
    """Refuse what a page of another site could have posted; keep the fields of a form."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    session = request.state.session
    if kind == FORM:
        items = fields(data).multi_items()
        given = next((value for name, value in items if name == FORM_TOKEN), "")
        if session is not None and not _same(given, session.form_token):
            raise HTTPException(
                403, "This form is from another sign-in. Go back, reload the page, send it again."
            )
        request.state.posted = Posted([each for each in items if each[0] != FORM_TOKEN])
    elif request.headers.get(HEADER) != "1":
        raise HTTPException(403, "A request that changes something needs the header Layby-Console.")


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode())


def _add_headers(message: Message, scope: Scope) -> None:
    headers = MutableHeaders(scope=message)
    if _is_link(scope["path"]):
        headers["Referrer-Policy"] = "no-referrer"
        headers["X-Robots-Tag"] = "noindex"
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)
    headers.setdefault("Cache-Control", "no-store")


def _away(request: Request) -> Response:
    return problem(request, 503, "Nothing was changed. Try again in a moment.")


def _failed(request: Request) -> Response:
    return problem(request, 500, "The console's log says what it was.")
