"""What a session must be allowed to do before a page is called; the API has its own table."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Final, Literal

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from .console import console_of
from .login.session import Rights, session_of

Right = Literal["session", "view", "answer", "operate"]
"""`session`: any session; the page itself shows only what it may see."""
_SAFE: Final = frozenset({"GET", "HEAD"})


def for_rights(
    routes: Iterable[Route], *, see: Right = "view", change: Right = "operate"
) -> list[Route]:
    """These routes, for sessions with these rights only.

    Args:
        routes: The routes of a page.
        see: What reading it takes.
        change: What posting to it takes.
    """
    return [_guarded(route, see, change) for route in routes]


def _guarded(route: Route, see: Right, change: Right) -> Route:
    inner = route.app

    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        app = _app_for(request, inner, see if request.method in _SAFE else change)
        await app(scope, receive, send)

    found = copy.copy(route)
    found.app = checked
    return found


def _app_for(request: Request, app: ASGIApp, right: Right) -> ASGIApp:
    """The page, or a redirect for a session that may not see it.

    Raises:
        HTTPException: they may not use it (403).
    """
    session = session_of(request)
    rights = session.rights
    if _has(rights, right):
        return app
    if request.scope["path"] == "/" and request.method in _SAFE and rights.seen != frozenset():
        return RedirectResponse(console_of(request).url("/inbox"), 303)
    raise HTTPException(403, f"{session.name} is a {rights.word} here, who may not do that.")


def _has(rights: Rights, right: Right) -> bool:
    held = {
        "session": True,
        "view": rights.view,
        "answer": rights.may_answer,
        "operate": rights.operate,
    }
    return held[right]
