"""Attacks on the console over a raw socket, where a browser or a library would not send them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from layby import App
from layby.console import posted
from layby.console.options import ProxyOptions
from layby.console.server import Serving
from tests.fix_browser import console_on
from tests.security.house import WITHIN, House

pytestmark = pytest.mark.nats
FORM = "application/x-www-form-urlencoded"


class Raw(NamedTuple):
    """A response as it came."""

    status: int
    head: str
    body: str

    def header(self, name: str) -> list[str]:
        found = re.findall(rf"^{name}: (.*?)\r?$", self.head, re.MULTILINE | re.IGNORECASE)
        return [str(each) for each in found]


class Attacker:
    """Sends bytes to a console."""

    def __init__(self, serving: Serving) -> None:
        self.host = urlsplit(serving.url).netloc
        self.token = serving.entry.partition("=")[2]

    async def send(self, data: str) -> Raw:
        """What comes back until the console closes the connection."""
        host, _, port = self.host.partition(":")
        async with asyncio.timeout(WITHIN):
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                writer.write(data.encode("latin-1"))
                found = (await reader.read()).decode("latin-1")
            finally:
                writer.transport.abort()
        head, _, body = found.partition("\r\n\r\n")
        words = head.split(" ", 2)
        return Raw(int(words[1]) if len(words) > 1 else 0, head, body)

    async def ask(
        self, method: str, target: str, *headers: str, body: str = "", host: str | None = None
    ) -> Raw:
        """One request with these header lines, then the end of the connection."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.host if host is None else host}"]
        length = [f"Content-Length: {len(body)}"] if body else []
        return await self.send(
            "\r\n".join([*lines, "Connection: close", *length, *headers, "", body])
        )

    async def entered(self, *headers: str) -> str:
        """The cookie that the printed address gives."""
        reply = await self.ask("GET", f"/?token={self.token}", *headers)
        return reply.header("set-cookie")[0].partition(";")[0]


@pytest.fixture
async def running(layby_running: Any) -> AsyncIterator[Any]:
    async with layby_running(App("desk"), workers=0) as rt:
        yield rt


@pytest.fixture
async def attacker(running: Any) -> AsyncIterator[Attacker]:
    async with console_on(running.settings) as serving:
        yield Attacker(serving)


SPLITS = [
    "%0d%0aX-Evil:%201",
    "%0aX-Evil:%201",
    "%0d%0a%0d%0a<script>",
    "%E5%98%8A%E5%98%8DX-Evil:1",
]


@pytest.mark.parametrize("split", SPLITS)
async def test_no_line_break_gets_into_a_header(attacker: Attacker, split: str) -> None:
    cookie = f"Cookie: {await attacker.entered()}"
    for target in (
        f"/{split}?token={attacker.token}",
        f"/?a={split}&token={attacker.token}",
        f"/runs/{split}",
        f"/runs/x?done={split}",
        f"/?q={split}&cursor={split}",
        f"/api/v1/runs/{split}/history",
    ):
        reply = await attacker.ask("GET", target, cookie)
        assert reply.status in {200, 303, 404, 422}, (target, reply.head)
        assert not reply.header("x-evil"), target
        assert "<script>" not in reply.head


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example/",
        "///evil.example",
        "/%2fevil.example",
        "/%5cevil.example",
        "/\\evil.example",
    ],
)
async def test_the_entrance_leads_to_no_other_site(attacker: Attacker, path: str) -> None:
    reply = await attacker.ask("GET", f"{path}?token={attacker.token}")
    if reply.status == 303:
        (to,) = reply.header("location")
        assert re.match(r"/(?![/\\])", to), to
        assert attacker.token not in to
    else:
        assert reply.status in {400, 404}


async def test_a_cookie_that_was_planted_becomes_nobodys_session(attacker: Attacker) -> None:
    """Session fixation: somebody signs in with a cookie that the attacker knows."""
    port = attacker.host.partition(":")[2]
    planted = f"layby_{port}=planted-by-the-attacker"
    got = await attacker.entered(f"Cookie: {planted}")
    assert got.startswith(f"layby_{port}=")
    assert got != planted
    assert (await attacker.ask("GET", "/", f"Cookie: {planted}")).status == 401
    assert (await attacker.ask("GET", "/", f"Cookie: {got}")).status == 200


async def test_signing_in_again_ends_the_session_that_was_there(open_house: House) -> None:
    async with console_on(open_house.settings("observer"), auth="nats") as serving:
        attacker = Attacker(serving)

        async def sign_in(user: str, *headers: str) -> str:
            body = f"user={user}&password=of-{user}"
            reply = await attacker.ask(
                "POST", "/sign-in", f"Content-Type: {FORM}", *headers, body=body
            )
            assert reply.status == 303, reply
            return "Cookie: " + reply.header("set-cookie")[0].partition(";")[0]

        mine = await sign_in("observer")
        page = (await attacker.ask("GET", "/", mine)).body
        token = re.findall(r'name="form_token" value="([\w-]+)"', page)[0]
        body = f"user=operator&password=of-operator&form_token={token}"
        reply = await attacker.ask("POST", "/sign-in", f"Content-Type: {FORM}", mine, body=body)
        theirs = "Cookie: " + reply.header("set-cookie")[0].partition(";")[0]
        assert theirs != mine
        assert (await attacker.ask("GET", "/api/v1/stats", mine)).status == 401
        assert "<b>operator</b>" in (await attacker.ask("GET", "/", theirs)).body


@pytest.mark.parametrize(
    "split", [*SPLITS, "/%0d%0aX-Evil:1", "//evil.example", "/\t/evil.example"]
)
async def test_the_page_to_go_to_after_signing_in_is_the_consoles(
    open_house: House, split: str
) -> None:
    async with console_on(open_house.settings("observer"), auth="nats") as serving:
        body = f"user=observer&password=of-observer&to={split}"
        reply = await Attacker(serving).ask("POST", "/sign-in", f"Content-Type: {FORM}", body=body)
        assert (reply.status, reply.header("location")) == (303, ["/"])
        assert not reply.header("x-evil")


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("Content-Type: text/plain",),
        ("Content-Type: application/json",),
        (f"Content-Type: {FORM}",),
        (f"Content-Type: {FORM}; charset=x", "Layby-Console: 1"),
        ("Content-Type: multipart/form-data; boundary=x",),
        ("Content-Type: application/json", "Layby-Console: 0"),
        ("Content-Type: application/json", "Layby-Console: 1", "Origin: https://evil.example"),
        ("Content-Type: application/json", "Layby-Console: 1", "Origin: null"),
        ("Content-Type: application/json", "Layby-Console: 1", "Origin: http://127.0.0.1:1"),
        ("Content-Type: application/json", "Layby-Console: 1", "Origin: http://localhost"),
        ("Content-Type: application/json", "Layby-Console: 1", "Sec-Fetch-Site: same-site"),
        ("Content-Type: application/json", "Layby-Console: 1", "Sec-Fetch-Site: none"),
        ("Content-Type: application/json", "Layby-Console: 1", "Sec-Fetch-Site: cross-site"),
    ],
)
async def test_what_another_site_can_have_a_browser_post_changes_nothing(
    attacker: Attacker, headers: tuple[str, ...]
) -> None:
    cookie = f"Cookie: {await attacker.entered()}"
    for path in ("/api/v1/events", "/runs/do", "/send"):
        reply = await attacker.ask("POST", path, cookie, *headers, body='{"subject": "x"}')
        assert reply.status == 403, (path, reply.head)
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert (await attacker.ask(method, "/api/v1/runs", cookie, *headers)).status >= 400


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "evil.example#127.0.0.1",
        "localhost.evil.example",
        "2130706433",
        "0.0.0.0",  # noqa: S104
        "127.0.0.1:0",
        "127.0.0.1:x",
        "[::1",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/v1/healthz", "/static/layby.css", "/api/v1/runs"])
async def test_no_other_name_leads_here(attacker: Attacker, host: str, path: str) -> None:
    """DNS rebinding: a page of another site whose name leads to this machine."""
    for more in ((), ("X-Forwarded-Host: 127.0.0.1",), (f"Origin: http://{host}",)):
        reply = await attacker.ask(
            "GET", path, f"Authorization: Bearer {attacker.token}", *more, host=host
        )
        assert reply.status in {400, 403}, reply.head


async def test_an_absolute_target_does_not_stand_for_the_host(attacker: Attacker) -> None:
    for target in ("http://evil.example/", "http://evil.example/api/v1/runs", "evil.example:80"):
        reply = await attacker.ask("GET", target, f"Authorization: Bearer {attacker.token}")
        assert reply.status in {200, 400, 404}
        assert "evil.example" not in "".join(reply.header("location"))
    reply = await attacker.ask("GET", "http://127.0.0.1/", host="evil.example")
    assert reply.status in {400, 403}


async def test_two_requests_are_not_hidden_in_one(attacker: Attacker) -> None:
    """Request smuggling: lengths that contradict each other."""
    inner = f"GET /api/v1/runs HTTP/1.1\r\nHost: {attacker.host}\r\n\r\n"
    for headers in (
        f"Content-Length: {len(inner)}\r\nTransfer-Encoding: chunked\r\n",
        f"Content-Length: 0\r\nContent-Length: {len(inner)}\r\n",
        "Content-Length: +5\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
    ):
        reply = await attacker.send(
            f"POST /send HTTP/1.1\r\nHost: {attacker.host}\r\nConnection: close\r\n{headers}\r\n"
            f"0\r\n\r\n{inner}"
        )
        assert reply.status in {0, 400, 401, 403, 501}, (headers, reply.head)
        assert '"runs"' not in reply.body


async def test_a_body_that_never_ends_or_is_too_large_is_given_up(
    attacker: Attacker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posted, "WITHIN", 0.2)
    cookie = f"Cookie: {await attacker.entered()}"
    kind = f"Content-Type: {FORM}"
    late = await attacker.ask("POST", "/send", cookie, kind, "Content-Length: 9")
    assert late.status == 408
    many = "a=&" * 20_001
    assert (await attacker.ask("POST", "/send", cookie, kind, body=many)).status == 400
    chunk = f"{1 << 16:x}\r\n{'x' * (1 << 16)}\r\n"
    large = f"{chunk * 17}0\r\n\r\n"
    head = f"POST /send HTTP/1.1\r\nHost: {attacker.host}\r\n{cookie}\r\n{kind}\r\n"
    reply = await attacker.send(
        f"{head}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n{large}"
    )
    assert reply.status == 413


@pytest.mark.parametrize(
    "path",
    [
        "/static/../guard.py",
        "/static/..%2fguard.py",
        "/static/%2e%2e/guard.py",
        "/static/%2e%2e%2fguard.py",
        "/static/..%5cguard.py",
        "/static/%252e%252e%252fguard.py",
        "/static/....//guard.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/file:///etc/passwd",
        "/static/layby.css%00.py",
        "/static/layby.css/../../guard.py",
        "/static/./../templates/base.html",
        "/static/..;/guard.py",
        "/static/",
        "/static",
        "/static/%ff",
        "/static/" + "a" * 5_000,
        "/static/" + "../" * 200 + "etc/passwd",
    ],
)
async def test_no_path_leads_out_of_the_static_files(attacker: Attacker, path: str) -> None:
    for cookie in ((), (f"Cookie: {await attacker.entered()}",)):
        reply = await attacker.ask("GET", path, *cookie)
        assert reply.status in {307, 400, 401, 404}, reply.head
        assert not set(re.findall("root:|import |{% block", reply.body))


@pytest.mark.parametrize(
    "path",
    [
        "/layby/static/../inbox",
        "/layby/static/..%2finbox",
        "/layby/sign-in/../inbox",
        "/layby/sign-x/%2e%2e/inbox",
        "/layby//inbox",
        "//inbox",
        "/layby/layby/inbox",
        "/laybyx/inbox",
        "/layby%2finbox",
        "/LAYBY/inbox",
        "/layby/api/v1/healthz/../runs",
        "/layby/api/v1/healthz%2f..%2fruns",
        "/layby;/inbox",
        "/layby/inbox;/static/",
        "/layby/inbox%3f/static/",
        "/./inbox",
    ],
)
async def test_no_way_around_the_login_by_the_base_path(running: Any, path: str) -> None:
    async with console_on(running.settings, base_path="/layby") as serving:
        reply = await Attacker(serving).ask("GET", path)
        assert reply.status in {400, 401, 404}, reply.head
        assert "Inbox" not in reply.body
        assert '"runs"' not in reply.body


async def test_only_the_header_itself_says_who_asks_through_the_proxy(running: Any) -> None:
    """Names that some servers take for the same header, and several at once."""
    proxy = ProxyOptions(
        header="X-Forwarded-User", trusted=("127.0.0.0/8",), operators=frozenset({"ann"})
    )
    async with console_on(running.settings, auth="proxy", proxy=proxy) as serving:
        attacker = Attacker(serving)
        for headers in (
            ("X_Forwarded_User: ann",),
            ("X-Forwarded_User: ann",),
            ("X-Forwarded-User : ann",),
            ("X-Forwarded-User: dora", "X-Forwarded-User: ann"),
            ("X-Forwarded-User:",),
            ("X-Forwarded-User: a\x01nn",),
            ("X-Forwarded-User: " + "a" * 200,),
            ("X-Other: x", " X-Forwarded-User: ann"),
            ("Authorization: Basic YW5uOg==",),
            ("Cookie: X-Forwarded-User=ann",),
        ):
            reply = await attacker.ask("GET", "/inbox", *headers)
            assert reply.status in {400, 403}, (headers, reply.head)
            assert "<b>ann</b>" not in reply.body
