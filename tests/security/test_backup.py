"""Backups where outsiders have accounts of their own: with the login of the page, and the trail."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from layby.bus.errors import PermissionDenied
from layby.bus.server import EmbeddedServer
from layby.operations.backing_up import back_up
from layby.operations.restoring import restore
from layby.worker.worker import working
from tests.security.house import House, desk, with_accounts
from tests.security.test_moving import waiting

pytestmark = pytest.mark.nats

ROOT = Path(__file__).parent.parent.parent


def with_backups(text: str) -> str:
    """A configuration with the logins for backups that deploy/README.md has one add."""
    page = (ROOT / "deploy" / "README.md").read_text().partition("\n### Backups\n")[2]
    login = page.partition("```text\n")[2].partition("```")[0]
    login = login.replace("$LAYBY_BACKUP_PASSWORD", '"of-backup"')
    # The same rights, with inboxes and a name of its own.
    trail = re.sub(r"\bbackup\b", "trail_backup", login).replace(
        "_INBOX_backup", "_INBOX_trail_backup"
    )
    trail = trail.replace("of-backup", "of-trail_backup").replace("of-trail_trail_", "of-trail_")
    return with_users(text, login, trail)


def with_restorers(text: str) -> str:
    """A configuration with two logins that may do everything in their account."""
    login = '{ user: %s, password: "of-%s" }'
    return with_users(text, login % ("mover", "mover"), login % ("trail_mover", "trail_mover"))


def with_users(text: str, layby: str, trail: str) -> str:
    text = text.replace("users: [", f"users: [ {layby}", 1)
    return text.replace("\n  TRAIL {", f"\n  TRAIL {{ users: [ {trail} ]")


async def test_the_logins_of_the_page_save_everything_and_the_trail(tmp_path: Path) -> None:
    trail, saved, app = tmp_path / "trail", tmp_path / "saved", waiting()
    async with EmbeddedServer(
        tmp_path / "old", extra=with_backups(with_accounts(desk()))
    ) as server:
        house = House(url=server.url, kind="accounts")
        async with house.working(app):
            run = await house.question("T1")
            async with house.client("operator") as operator:
                await operator.purge(30 * 24 * 3600)
            first = await back_up(house.settings("trail_backup"), trail)
            second = await back_up(house.settings("backup"), saved)
        assert [part.stream for part in first.parts] == ["AUDIT"]
        assert "AUDIT" not in {part.stream for part in second.parts}
        for login in ("worker", "ada", "helpdesk", "observer"):
            with pytest.raises(PermissionDenied):
                await asyncio.wait_for(back_up(house.settings(login), tmp_path / login), 10)
        with pytest.raises(PermissionDenied):
            await restore(house.settings("backup"), saved, may_replace=lambda _: True)

    extra = with_restorers(with_accounts(desk()))
    async with EmbeddedServer(tmp_path / "new", extra=extra) as server:
        house = House(url=server.url, kind="accounts")
        await restore(house.settings("trail_mover"), trail)
        await restore(house.settings("mover"), saved)
        async with working(app, house.settings("worker")), house.client("ada") as ada:
            receipt = await ada.answer("T1", "yes", responder="ada", timeout=30)
            assert receipt.outcome == "accepted"
            assert (await house.ended(run)).result == "ada: yes"
        async with house.client("observer") as observer:
            [entry] = await observer.audit()
            assert (entry.verb, entry.by) == ("purge", "operator")
