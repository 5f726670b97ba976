"""What each kind of login reaches in the console: every route, with every login."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from layby import App
from layby.client import Client
from layby.console.console import Console
from layby.console.login.session import VIEWER, Rights, Session
from layby.console.web import web_app
from tests.fix_browser import console_on

pytestmark = pytest.mark.nats
WITHIN = 30.0
LOGINS = {
    "operator": Rights(),
    "viewer": VIEWER,
    "responder": Rights(view=False, roles=frozenset({"developer"}), operate=False),
    "nobody": Rights(view=False, roles=frozenset(), operate=False),
}
ALL = frozenset(LOGINS)
SEE, DO = frozenset({"operator", "viewer"}), frozenset({"operator"})
ANSWER = frozenset({"operator", "responder"})
INBOX = {"GET": ALL, "POST": ANSWER}
PAGE = {"GET": SEE, "POST": DO}
DEED = {"GET": DO, "POST": DO}
LINK = {"GET": ALL, "POST": ALL}
"""A link from a mail is a login of its own."""
PLACES: dict[str, dict[str, frozenset[str]]] = {
    "/live": {"GET": ALL},
    "/inbox": INBOX,
    "/inbox/{question}": INBOX,
    "/inbox/{question}/{verb}": INBOX,
    "/inbox/{question}/opened": INBOX,
    "/inbox/live": INBOX,
    "/inbox/history": INBOX,
    "/health/dead/{letter:int}/{verb}": DEED,
    "/answer/{token}": LINK,
    "/answer/layby.css": LINK,
}
"""Whoever may use these; all others are as `PAGE` says."""


class Anyone:
    """Lets in whoever says which kind of login they have."""

    routes: list[BaseRoute] = []  # noqa: RUF012  the protocol wants a list

    def __init__(self, client: Client) -> None:
        self.sessions = {
            name: Session(name=name, rights=rights, client=client, form_token="f")  # noqa: S106
            for name, rights in LOGINS.items()
        }

    async def session(self, request: Request) -> Session | None:
        return self.sessions[request.headers["x-login"]]

    async def enter(self, request: Request) -> Response | None:  # noqa: ARG002
        return None

    def stranger(self, request: Request) -> Response:
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing to end."""


@pytest.fixture
async def console(layby_running: Any) -> AsyncIterator[Console]:
    async with layby_running(App("desk"), workers=0) as rt, console_on(rt.settings) as serving:
        yield replace(serving.console, login=Anyone(serving.console.client))


def routes(console: Console) -> list[tuple[str, str, str]]:
    """The pages: template of the path, a path, and method."""
    return [
        (
            each.path,
            re.sub(r"\{\w+:int\}", "1", each.path).replace("{", "").replace("}", ""),
            method,
        )
        for each in web_app(console).routes
        if isinstance(each, Route) and not each.path.startswith("/api/")
        for method in sorted((each.methods or {"GET"}) - {"HEAD"})
    ]


async def status_of(app: Any, method: str, path: str, login: str) -> tuple[int, str]:
    """The status of a response and where it leads to; a stream is cut off once it starts."""
    answered: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
    body = b"form_token=f" if method == "POST" else b""
    kind = b"application/x-www-form-urlencoded"
    headers = [(b"host", b"localhost"), (b"x-login", login.encode()), (b"content-type", kind)]
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": headers,
        "server": ("localhost", 80),
        "client": ("127.0.0.1", 1),
    }
    sent = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        return sent.pop() if sent else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start" and not answered.done():
            to = next((value for name, value in message["headers"] if name == b"location"), b"")
            answered.set_result((message["status"], to.decode()))

    task = asyncio.create_task(app(scope, receive, send))
    try:
        return await asyncio.wait_for(answered, WITHIN)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_every_page_is_only_for_those_who_may_use_it(console: Console) -> None:
    app = web_app(console)
    wrong: list[str] = []
    for template, path, method in routes(console):
        allowed = PLACES.get(template, PAGE)[method]
        for login in LOGINS:
            status, to = await status_of(app, method, path, login)
            refused = status == 403 or (path == "/" and to.endswith("/inbox"))
            if refused is (login in allowed) or status >= 500:
                wrong.append(f"{login} {method} {path}: {status}")
    assert not wrong, wrong


async def test_a_responder_who_opens_the_console_comes_to_the_inbox(console: Console) -> None:
    assert await status_of(web_app(console), "GET", "/", "responder") == (303, "/inbox")


async def test_nothing_is_served_outside_of_the_wall(console: Console) -> None:
    mounted = [each.path for each in web_app(console).routes if isinstance(each, Mount)]
    assert mounted == ["/static"]
