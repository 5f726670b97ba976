"""The server holds each person to their own name and roles, so votes cannot be made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from layby.access import Person, Staff
from layby.bus.errors import PermissionDenied
from layby.client import Client
from tests.engine import until
from tests.security.house import House, started
from tests.votes_app import app

pytestmark = pytest.mark.nats

STAFF = Staff(
    people=(
        Person("ada", ("finance", "legal")),
        Person("bob", ("finance",)),
        Person("dan", ("legal",)),
    )
)


async def denied(client: Client, role: str, name: str | None) -> None:
    with pytest.raises(PermissionDenied):
        await client.answer("T1", "yes", role=role, responder=name, timeout=1.0)


@pytest.mark.parametrize("kind", ["accounts", "jwt", "one account"])
async def test_a_person_votes_under_their_own_name_for_their_own_roles(
    kind: str, tmp_path: Path
) -> None:
    async with started(kind, tmp_path, app, STAFF) as house, house.working(app):
        async with house.client("helpdesk") as helpdesk:
            groups = {"finance": 1, "legal": 1}
            await helpdesk.send("bank.payout", {"ticket": "T1", "groups": groups})
        run = await house.listed("T1")
        async with house.client("bob") as bob, house.client("dan") as dan:
            await denied(bob, "legal", "bob")
            await denied(bob, "finance", "ada")
            await denied(dan, "finance", "dan")
            await denied(dan, "legal", "eve")
            plain = await bob.answer("T1", "yes", role="finance", by="ada")
            assert plain.outcome == "invalid"
            assert "finance.response.T1.YOUR_NAME" in (plain.reason or "")
            first = await bob.answer("T1", "yes", role="finance", responder="bob")
            assert first.outcome == "counted"
            assert await seen(house, "dan") == [["bob"]]
            last = await dan.answer("T1", "yes", role="legal", responder="dan")
            assert last.outcome == "accepted"
        ended = await house.ended(run)
        assert ended.result["by"] == "bob, dan"


async def seen(house: House, login: str) -> list[list[str]]:
    """Who has voted on the open questions, as somebody sees it once somebody has."""
    async with house.client(login) as client:

        async def look() -> list[list[str]]:
            rows = await client.questions()
            found = [[vote.by for vote in row.votes] for row in rows]
            return found if any(found) else []

        return await until(look)
