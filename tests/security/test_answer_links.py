"""Which NATS logins a console may hand in answers with that links vouch for."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from layby.access import Bridge
from layby.actors.people.answer_link import AnswerLink, LinkKeys
from tests.acceptance.test_console_guard import FORM, Visitor
from tests.fix_browser import console_on
from tests.security.house import STAFF, House, started

pytestmark = pytest.mark.nats
KEYS = LinkKeys("k" * 32)
WITH_GATE = replace(STAFF, bridges=(*STAFF.bridges, Bridge("postbox", ("link",))))


async def link_to(house: House, ticket: str) -> str:
    """The token of a link that answers the open question of a ticket."""
    async with house.client("observer") as observer:
        [row] = await observer.questions(ticket=ticket)
    link = AnswerLink(
        question=row.id,
        role=row.role,
        ticket=ticket,
        digest="",
        person="ada",
        act="open",
        until=int(time.time()) + 600,
    )
    return f"/answer/{KEYS.token(link)}"


@pytest.mark.parametrize("kind", ["accounts", "jwt", "one account"])
async def test_only_a_bridge_hands_in_what_links_say(tmp_path: Path, kind: str) -> None:
    async with started(kind, tmp_path, staff=WITH_GATE) as house, house.working():
        run = await house.question("T1")
        link = await link_to(house, "T1")
        for login in ("observer", "slackbot"):
            async with console_on(house.settings(login), auth="nats", links=KEYS) as serving:
                visitor = Visitor(serving)
                assert (await visitor.ask("GET", link)).status == 200
                reply = await visitor.ask("POST", link, b"text=Fixed", Content_Type=FORM)
                assert reply.status == 403
                assert "the login of a bridge" in reply.body
        async with console_on(house.settings("postbox"), auth="nats", links=KEYS) as serving:
            visitor = Visitor(serving)
            reply = await visitor.ask("POST", link, b"text=Fixed", Content_Type=FORM)
            assert reply.status == 200, reply.body
            assert (await visitor.ask("GET", "/inbox")).status == 401
        assert (await house.ended(run)).result == "ada: Fixed"
