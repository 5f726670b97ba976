"""A standby where outsiders have accounts of their own, and the audit trail has one too."""

from __future__ import annotations

from pathlib import Path

import pytest

from layby.bus.opened import opened
from layby.bus.server import EmbeddedServer
from layby.operations.standby import MirrorRow, StandbyRefused, follow, take_over
from tests.engine import until
from tests.scraping import free_port
from tests.security.house import House, desk, with_accounts
from tests.security.test_backup import with_users
from tests.standby import FIRST, SECOND

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]

ROOT = Path(__file__).parent.parent.parent
WITHIN = 60.0
_LINKS = """
server_name: {name}
jetstream {{ store_dir: "{folder}", domain: {name} }}
leafnodes {{ {leaf} }}
"""
_LISTENS = "host: 127.0.0.1, port: {port}"
_DIALS = """
    remotes: [
      {{ url: "nats://link:of-link@127.0.0.1:{port}", account: LAYBY }}
      {{ url: "nats://trail_link:of-link@127.0.0.1:{port}", account: TRAIL }}
    ]
"""


def server(folder: Path, name: str, leaf: str) -> EmbeddedServer:
    accounts = with_links(with_accounts(desk()))
    extra = accounts + _LINKS.format(name=name, folder=folder, leaf=leaf)
    return EmbeddedServer(folder, extra=extra)


def link() -> str:
    """The login of the link that docs/disaster.md has one add."""
    page = (ROOT / "docs" / "disaster.md").read_text().partition("# the login of the link\n")[2]
    login = page.partition("```")[0].replace("$LINK_PASSWORD", '"of-link"')
    return login.replace('"_INBOX_boss.>"', '"_INBOX_mover.>", "_INBOX_trail_mover.>"')


def with_links(text: str) -> str:
    """A configuration with two logins for the link, and two that may do everything."""
    mover = '{ user: %s, password: "of-%s" }'
    inside = link() + mover % ("mover", "mover")
    trail = link().replace("user: link", "user: trail_link") + mover % (("trail_mover",) * 2)
    return with_users(text, inside, trail)


async def followed(house: House, login: str, least: dict[str, int]) -> list[MirrorRow]:
    """The mirrors in the account of a login, once they hold what the first cluster has."""

    async def look() -> list[MirrorRow]:
        try:
            rows = await follow(house.settings(login), FIRST)
        except StandbyRefused:
            return []  # the link is not up yet
        held = {row.stream: row.last_seq for row in rows}
        return rows if all(held.get(name, 0) >= seq for name, seq in least.items()) else []

    return await until(look, WITHIN)


async def ends(house: House, login: str) -> dict[str, int]:
    """The last sequences of the streams in the account of a login."""
    async with opened(house.settings(login)) as bus:
        page = await bus.requests.api("STREAM.LIST", {})
        found = {each["config"]["name"]: each["state"]["last_seq"] for each in page["streams"]}
    return {name: seq for name, seq in found.items() if name != "TIMERS"}


async def test_the_trail_is_taken_over_first_and_everything_goes_on(tmp_path: Path) -> None:
    port, app = free_port(), desk()
    first = server(tmp_path / FIRST, FIRST, _LISTENS.format(port=port))
    second = server(tmp_path / SECOND, SECOND, _DIALS.format(port=port))
    async with first, second:
        old = House(url=first.url, kind="accounts")
        new = House(url=second.url, kind="accounts")
        async with old.working(app):
            run = await old.question("T1")
            async with old.client("operator") as operator:
                await operator.purge(30 * 24 * 3600)
        rows = await followed(new, "mover", await ends(old, "mover"))
        assert "AUDIT" not in {row.stream for row in rows}
        [trail] = await followed(new, "trail_mover", await ends(old, "trail_mover"))
        assert trail.stream == "AUDIT"
        with pytest.raises(StandbyRefused, match="answers on"):
            await take_over([app], new.settings("trail_mover"))
        first.kill()
        with pytest.raises(StandbyRefused, match="audit trail"):
            await take_over([app], new.settings("mover"))
        done = await take_over([app], new.settings("trail_mover"))
        assert done.promoted == ("AUDIT",)
        done = await take_over([app], new.settings("mover"))
        assert "created consumer commands on AUDIT" in done.changes
        async with new.working(app), new.client("ada") as ada:
            receipt = await ada.answer("T1", "yes", responder="ada", timeout=30)
            assert receipt.outcome == "accepted"
            assert (await new.ended(run)).result == "ada: yes"
            async with new.client("operator") as operator:
                await operator.purge(30 * 24 * 3600)
                assert [entry.outcome for entry in await operator.audit()] == ["done", "done"]
