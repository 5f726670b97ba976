"""Links to the console from other sites, in a real browser: a chat, a mail, a ticket system."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from layby import App
from tests.fix_browser import OpenPage, console_on

pytestmark = [pytest.mark.nats, pytest.mark.slow]

app = App("desk")


@contextlib.asynccontextmanager
async def elsewhere(page: Any, html: str) -> AsyncGenerator[None]:
    """Open a page of another site: `localhost` is another one than 127.0.0.1."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(html)}"
        writer.write(f"{head}\r\nConnection: close\r\n\r\n{html}".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        await page.goto(f"http://localhost:{server.sockets[0].getsockname()[1]}/")
        yield


async def signed_out(page: Any) -> None:
    """Forget the login, and leave the page: it would ask for its stream without one."""
    await page.goto("about:blank")
    await page.context.clear_cookies()


@pytest.mark.parametrize("part", ["", "#state"])
@pytest.mark.parametrize("scripted", [True, False])
async def test_a_link_in_a_chat_leads_to_the_page(
    layby_running: Any, tab: OpenPage, *, scripted: bool, part: str
) -> None:
    async with (
        layby_running(app, workers=0) as rt,
        console_on(rt.settings) as console,
        tab(console, allow=("//localhost",), java_script_enabled=scripted) as page,
        elsewhere(page, f'<a href="{console.url}/?status=failed{part}">the failed runs</a>'),
    ):
        await page.get_by_role("link").click()
        await page.get_by_role("heading", name="Runs", exact=True).wait_for()
        assert page.url == f"{console.url}/?status=failed"
        await page.go_back()
        await page.get_by_role("link", name="the failed runs").wait_for()


async def test_the_printed_address_may_be_a_link_too(layby_running: Any, tab: OpenPage) -> None:
    async with (
        layby_running(app, workers=0) as rt,
        console_on(rt.settings) as console,
        tab(console, allow=("//localhost",)) as page,
    ):
        await signed_out(page)
        async with elsewhere(page, f'<a href="{console.entry}">console</a>'):
            await page.get_by_role("link").click()
            await page.get_by_role("heading", name="Runs", exact=True).wait_for()
            assert page.url == f"{console.url}/"


async def test_a_visitor_without_a_session_is_told_so_once(
    layby_running: Any, tab: OpenPage
) -> None:
    async with (
        layby_running(app, workers=0) as rt,
        console_on(rt.settings) as console,
        tab(console, allow=("//localhost", "401")) as page,
    ):
        await signed_out(page)
        asked: list[str] = []

        def asks(request: Any) -> None:
            asked.append(request.url)

        page.on("request", asks)
        async with elsewhere(page, f'<a href="{console.url}/inbox">the inbox</a>'):
            await page.get_by_role("link").click()
            await page.get_by_role("heading", name="Sign in first").wait_for()
            assert asked.count(f"{console.url}/inbox") == 2


@pytest.mark.parametrize(
    "html",
    [
        (
            '<form method="post" action="{url}/runs/do"><input name="do" value="cancel"></form>'
            "<script>document.forms[0].submit()</script>"
        ),
        '<iframe src="{url}/inbox"></iframe>',
        '<img src="{url}/inbox"><script src="{url}/inbox"></script>',
    ],
)
async def test_another_site_can_neither_post_nor_embed(
    layby_running: Any, tab: OpenPage, html: str
) -> None:
    async with (
        layby_running(app, workers=0) as rt,
        console_on(rt.settings) as console,
        tab(console, allow=("//localhost", "403", "401", "ERR_BLOCKED", "frame")) as page,
    ):
        statuses: list[int] = []

        def answered(response: Any) -> None:
            if response.url in {f"{console.url}/inbox", f"{console.url}/runs/do"}:
                statuses.append(response.status)

        def blocked(request: Any) -> None:
            if request.url in {f"{console.url}/inbox", f"{console.url}/runs/do"}:
                statuses.append(0)

        page.on("response", answered)
        page.on("requestfailed", blocked)
        async with elsewhere(page, html.replace("{url}", console.url)):
            await page.wait_for_load_state("networkidle")
            assert statuses
            assert set(statuses) <= {0, 401, 403}
