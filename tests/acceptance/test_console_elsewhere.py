"""A link from another site is answered once with a page that asks again, and nothing else is."""

from __future__ import annotations

import re
from typing import Any

import pytest

from layby import App
from tests.acceptance.test_console_guard import Visitor
from tests.fix_browser import console_on

pytestmark = pytest.mark.nats
FOLLOWED = {
    "Sec_Fetch_Site": "cross-site",
    "Sec_Fetch_Mode": "navigate",
    "Sec_Fetch_Dest": "document",
}


async def test_a_link_from_another_site_reloads_as_the_consoles_own_page(
    layby_running: Any,
) -> None:
    async with layby_running(App("desk"), workers=0) as rt, console_on(rt.settings) as serving:
        visitor = Visitor(serving)
        reply = await visitor.ask("GET", "/runs/x?row=1&a=%22", b"", **FOLLOWED)
        assert reply.status == 200
        assert '<meta http-equiv="refresh" content="0;url=./x?row=1&amp;a=%22">' in reply.body
        assert "set-cookie" not in reply.headers
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-frame-options"] == "DENY"
        own = FOLLOWED | {"Sec_Fetch_Site": "same-origin"}
        assert (await visitor.ask("GET", "/runs/x", b"", **own)).status == 401
        await visitor.enter()
        page = await visitor.ask("GET", "/", b"", **FOLLOWED)
        assert "refresh" not in page.body


@pytest.mark.parametrize(
    "more",
    [
        {"Sec_Fetch_Dest": "iframe"},
        {"Sec_Fetch_Dest": "image"},
        {"Sec_Fetch_Mode": "no-cors"},
        {"Sec_Fetch_Site": "none"},
        {"Sec_Fetch_Site": ""},
    ],
)
async def test_everything_else_that_has_no_session_is_refused(
    layby_running: Any, more: dict[str, str]
) -> None:
    async with layby_running(App("desk"), workers=0) as rt, console_on(rt.settings) as serving:
        visitor = Visitor(serving)
        assert (await visitor.ask("GET", "/inbox", b"", **(FOLLOWED | more))).status == 401


async def test_no_other_method_passes_and_another_host_does_not(layby_running: Any) -> None:
    async with layby_running(App("desk"), workers=0) as rt, console_on(rt.settings) as serving:
        visitor = Visitor(serving)
        for method, status in (("POST", 403), ("PUT", 403), ("HEAD", 401)):
            assert (await visitor.ask(method, "/runs/do", b"", **FOLLOWED)).status == status
        reply = await visitor.ask("GET", "/", b"", Host="evil.example", **FOLLOWED)
        assert reply.status == 403


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "//evil.example/x",
        "//evil.example",
        "/%2f%2fevil.example",
        "/https:evil.example",
        "/a;url=https://evil.example",
        "/?;url=https://evil.example",
        '/"><script>alert(1)</script>',
        "/'",
        "/..%2f..",
        "/\\evil.example",
    ],
)
async def test_it_leads_to_no_other_site(layby_running: Any, path: str) -> None:
    async with layby_running(App("desk"), workers=0) as rt, console_on(rt.settings) as serving:
        reply = await Visitor(serving).ask("GET", path, b"", **FOLLOWED)
        found = re.findall(r'content="0;url=([^"]*)"', reply.body)
        assert len(found) == (reply.status == 200)
        assert reply.status in {200, 400}
        assert all(
            each.startswith("./") and "/" not in each[2:].partition("?")[0] for each in found
        )
        assert "<script>alert" not in reply.body
