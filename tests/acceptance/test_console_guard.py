"""Who gets into the console, over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http.client import HTTPConnection, HTTPResponse
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import pytest

from layby import App
from layby.console.server import ExposedConsole, Serving
from tests.fix_browser import console_on

pytestmark = pytest.mark.nats
FORM = "application/x-www-form-urlencoded"


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: str


class Visitor:
    """Asks a console for pages, as a browser or a program would."""

    def __init__(self, serving: Serving) -> None:
        self.serving = serving
        self.host = urlsplit(serving.url).netloc
        self.cookie = ""

    async def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Reply:
        return await asyncio.to_thread(self._ask, method, path, body, headers)

    def _ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        connection = HTTPConnection(self.host, timeout=20)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie:
            sent.setdefault("Cookie", self.cookie)
        try:
            connection.request(method, path, body or None, sent)
            response: HTTPResponse = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, found, response.read().decode())
        finally:
            connection.close()

    async def enter(self) -> Reply:
        parts = urlsplit(self.serving.entry)
        reply = await self.ask("GET", f"{parts.path}?{parts.query}")
        self.cookie = reply.headers["set-cookie"].partition(";")[0]
        return reply


@pytest.fixture
async def visitor(layby_running: Any) -> AsyncIterator[Visitor]:
    async with layby_running(App("desk"), workers=0) as rt, console_on(rt.settings) as serving:
        yield Visitor(serving)


async def test_the_token_is_taken_out_of_the_address_and_kept_as_a_cookie(
    visitor: Visitor,
) -> None:
    reply = await visitor.enter()
    assert reply.status == 303
    assert "token" not in reply.headers["location"]
    cookie = reply.headers["set-cookie"]
    assert visitor.serving.entry.rpartition("=")[2] not in cookie
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert cookie.startswith(f"layby_{urlsplit(visitor.serving.url).port}=")
    assert (await visitor.ask("GET", "/")).status == 200


@pytest.mark.parametrize("path", ["/", "/inbox", "/runs/x", "/live/runs", "/live", "/nowhere"])
async def test_nothing_is_shown_without_signing_in(visitor: Visitor, path: str) -> None:
    for cookie in ("", "layby_1=x", "layby=\xff", "=" * 5_000):
        visitor.cookie = cookie
        reply = await visitor.ask("GET", path)
        assert reply.status == 401
        assert "printed" in reply.body


async def test_a_wrong_token_signs_nobody_in(visitor: Visitor) -> None:
    for token in ("", "x", "%ff", visitor.serving.entry.rpartition("=")[2][:-1]):
        reply = await visitor.ask("GET", f"/?token={token}")
        assert reply.status == 401
        assert "set-cookie" not in reply.headers


async def test_programs_send_the_token_as_a_header(visitor: Visitor) -> None:
    token = visitor.serving.entry.rpartition("=")[2]
    assert (await visitor.ask("GET", "/", Authorization=f"Bearer {token}")).status == 200
    assert (await visitor.ask("GET", "/", Authorization="Bearer x")).status == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[", "a@127.0.0.1"]
)
async def test_another_name_for_this_machine_is_refused(visitor: Visitor, host: str) -> None:
    """A page of another site whose name leads to this machine: DNS rebinding."""
    await visitor.enter()
    reply = await visitor.ask("GET", "/", Host=host)
    assert reply.status in {400, 403}
    assert "T1" not in reply.body


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
async def test_another_site_cannot_post(visitor: Visitor, headers: dict[str, str]) -> None:
    await visitor.enter()
    body = urlencode({"form_token": "x"}).encode()
    for kind in (FORM, "text/plain", "application/json"):
        reply = await visitor.ask(
            "POST", "/send", body, Content_Type=kind, **headers, Layby_Console="1"
        )
        assert reply.status == 403


async def test_a_form_without_this_sessions_token_is_refused(visitor: Visitor) -> None:
    await visitor.enter()
    for fields in ({}, {"form_token": ""}, {"form_token": "x"}):
        reply = await visitor.ask("POST", "/send", urlencode(fields).encode(), Content_Type=FORM)
        assert reply.status == 403
    reply = await visitor.ask("POST", "/send", b"{}", Content_Type="application/json")
    assert reply.status == 403


async def test_a_body_that_is_too_large_or_unreadable_is_refused(visitor: Visitor) -> None:
    await visitor.enter()
    large = await visitor.ask("POST", "/send", b"a=" + b"x" * (2 << 20), Content_Type=FORM)
    assert large.status == 413
    assert (await visitor.ask("POST", "/send", b"a=%ff", Content_Type=FORM)).status == 400


@pytest.mark.parametrize(
    "path", ["/static/../console.py", "/static/..%2f..%2fapp.py", "/static/%00", "//etc/passwd"]
)
async def test_no_path_leads_out_of_the_assets(visitor: Visitor, path: str) -> None:
    await visitor.enter()
    reply = await visitor.ask("GET", path)
    assert reply.status in {400, 404}
    assert "import" not in reply.body


async def test_every_response_has_the_policy_and_none_names_the_software(
    visitor: Visitor,
) -> None:
    for path in ("/", "/nowhere", "/static/layby.css", "/api/v1/healthz"):
        headers = (await visitor.ask("GET", path)).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


async def test_the_health_check_needs_no_login(visitor: Visitor) -> None:
    assert (await visitor.ask("GET", "/api/v1/healthz")).status == 200


async def test_a_console_that_is_read_only_gives_nobody_more_rights(layby_running: Any) -> None:
    async with (
        layby_running(App("desk"), workers=0) as rt,
        console_on(rt.settings, read_only=True) as serving,
    ):
        visitor = Visitor(serving)
        await visitor.enter()
        reply = await visitor.ask("GET", "/")
        assert "viewer" in reply.body
        assert "Send an event" not in reply.body


async def test_it_is_served_below_a_path_whether_or_not_the_proxy_strips_it(
    layby_running: Any,
) -> None:
    async with (
        layby_running(App("desk"), workers=0) as rt,
        console_on(rt.settings, base_path="/layby") as serving,
    ):
        visitor = Visitor(serving)
        await visitor.enter()
        for path in ("/layby/", "/"):
            reply = await visitor.ask("GET", path)
            assert reply.status == 200
            assert 'href="/layby/static/layby.css"' in reply.body
            assert 'href="/static' not in reply.body


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "console.example"])  # noqa: S104
async def test_it_does_not_start_unprotected_where_others_reach_it(
    layby_running: Any, host: str
) -> None:
    async with layby_running(App("desk"), workers=0) as rt:
        with pytest.raises(ExposedConsole, match="ssh -L"):
            async with console_on(rt.settings, host=host):
                raise AssertionError("it serves")
