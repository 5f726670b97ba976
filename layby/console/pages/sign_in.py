"""The page on which people sign in with their NATS login, and the button that signs out."""

from __future__ import annotations

from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ..console import console_of
from ..login.nats_login import NatsLogin
from ..login.own_connection import Given, SignInFailed
from ..posted import posted
from .shell import bare

_LONGEST: Final = 8_192
"""Characters of what somebody signs in with."""


async def show(request: Request) -> Response:
    """The form."""
    return _form(request, to=request.query_params.get("to", ""))


async def sign_in(request: Request) -> Response:
    """Sign in, and go where they wanted to."""
    form = posted(request)
    to, user = form.get("to", ""), form.get("user", "").strip()
    given = Given(
        user=user,
        password=form.get("password", ""),
        pasted=form.get("credentials", "").strip(),
        inbox=form.get("inbox", "").strip(),
    )
    if why := _unusable(given):
        return _form(request, to=to, user=user, why=why, status=422)
    response = RedirectResponse(console_of(request).url(_place(to)), 303)
    try:
        await _login_of(request).sign_in(request, given, response)
    except SignInFailed as error:
        return _form(request, to=to, user=user, why=str(error), status=401)
    return response


async def sign_out(request: Request) -> Response:
    """Sign out."""
    response = RedirectResponse(console_of(request).url("/sign-in"), 303)
    _login_of(request).sign_out(request, response)
    return response


def _unusable(given: Given) -> str:
    if bool(given.user) == bool(given.pasted):
        return "Give a user with a password, or credentials, and not both."
    if max(map(len, (given.user, given.password, given.pasted, given.inbox))) > _LONGEST:
        return "That is too long for a login."
    return ""


def _place(to: str) -> str:
    """Where to go: a path of the console, never another site."""
    is_ours = to.startswith("/") and not to.startswith(("//", "/sign-")) and to.isprintable()
    return to if is_ours and "\\" not in to else "/"


def _form(
    request: Request, *, to: str, user: str = "", why: str = "", status: int = 200
) -> Response:
    _login_of(request)
    return bare(request, "sign_in.html", status=status, title="Sign in", to=to, user=user, why=why)


def _login_of(request: Request) -> NatsLogin:
    login = console_of(request).login
    if not isinstance(login, NatsLogin):
        raise HTTPException(404)
    return login


routes = [
    Route("/sign-in", show),
    Route("/sign-in", sign_in, methods=["POST"]),
    Route("/sign-out", sign_out, methods=["POST"]),
]
