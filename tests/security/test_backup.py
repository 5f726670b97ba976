"""Backups where outsiders have accounts of their own: their logins, and what these cannot do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from layby.access import Staff
from layby.bus.errors import PermissionDenied
from layby.bus.opened import opened
from layby.operations.backing_up import back_up
from layby.operations.provisioning import provision
from layby.operations.restoring import restore
from layby.worker.worker import working
from tests.security.house import EVENT, House, desk, started
from tests.security.test_moving import waiting

pytestmark = pytest.mark.nats

STAFF = Staff(backups=("backup",), restorers=("restorer",))
KINDS = ["accounts", "jwt"]
APIS = ("$JS.API", "$TRAIL")
DENIED = "permissions violation for "


@asynccontextmanager
async def at(folder: Path, kind: str) -> AsyncGenerator[House]:
    async with started(kind, folder, waiting(), STAFF) as house:
        yield house


@pytest.mark.parametrize("kind", KINDS)
async def test_the_logins_for_it_save_and_restore_everything_and_the_trail(
    tmp_path: Path, kind: str
) -> None:
    trail, saved, app = tmp_path / "trail", tmp_path / "saved", waiting()
    async with at(tmp_path / "old", kind) as house:
        async with house.working(app):
            run = await house.question("T1")
            async with house.client("operator") as operator:
                await operator.purge(30 * 24 * 3600)
            first = await back_up(house.settings("backup-trail"), trail)
            second = await back_up(house.settings("backup"), saved)
        assert [part.stream for part in first.parts] == ["AUDIT"]
        assert "AUDIT" not in {part.stream for part in second.parts}
        for login in ("worker", "ada", "helpdesk", "observer"):
            with pytest.raises(PermissionDenied):
                await asyncio.wait_for(back_up(house.settings(login), tmp_path / login), 10)
        with pytest.raises(PermissionDenied):
            await restore(house.settings("backup"), saved, may_replace=lambda _: True)

    async with at(tmp_path / "new", kind) as house:
        await restore(house.settings("restorer-trail"), trail)
        await restore(house.settings("restorer"), saved)
        async with working(app, house.settings("worker")), house.client("ada") as ada:
            receipt = await ada.answer("T1", "yes", responder="ada", timeout=30)
            assert receipt.outcome == "accepted"
            assert (await house.ended(run)).result == "ada: yes"
        async with house.client("observer") as observer:
            [entry] = await observer.audit()
            assert (entry.verb, entry.by) == ("purge", "operator")


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_restored_replaces_what_is_there(tmp_path: Path, kind: str) -> None:
    app = waiting()
    async with at(tmp_path / "old", kind) as house:
        async with house.working(app):
            await house.question("T1")
        for half in ("", "-trail"):
            saved = tmp_path / f"saved{half}"
            await back_up(house.settings(f"backup{half}"), saved)
            login = house.settings(f"restorer{half}")
            done = await restore(login, saved, may_replace=lambda _: True)
            assert done.streams
        async with working(app, house.settings("worker")), house.client("ada") as ada:
            receipt = await ada.answer("T1", "yes", responder="ada", timeout=30)
            assert receipt.outcome == "accepted"


async def refused(house: House, login: str, *subjects: str) -> None:
    """See that the server takes nothing on these subjects from a login."""
    for subject in subjects:
        async with house.raw(login) as raw:
            raw.publish(subject.encode(), b"{}", reply=f"_INBOX_{login}.1".encode())
            [complaint] = await raw.sent()
            assert complaint.lower().startswith(DENIED + "publish"), (login, subject)


async def deaf(house: House, login: str, *subjects: str) -> None:
    """See that the server delivers nothing on these subjects to a login."""
    for subject in subjects:
        async with house.raw(login) as raw:
            raw.subscribe(subject.encode())
            [complaint] = await raw.sent()
            assert complaint.lower().startswith(DENIED + "subscription"), (login, subject)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_backup_login_can_neither_write_remove_nor_restore(
    tmp_path: Path, kind: str
) -> None:
    async with at(tmp_path / "nats", kind) as house:
        await provision(desk(), house.settings("provisioner"))
        for login, stream in (("backup", "RUNS"), ("backup-trail", "AUDIT")):
            verbs = ("CREATE", "UPDATE", "DELETE", "PURGE", "RESTORE", "MSG.DELETE", "MSG.GET")
            await refused(
                house,
                login,
                *(f"$JS.API.STREAM.{verb}.{stream}" for verb in verbs),
                *(f"$JS.API.CONSUMER.{verb}.{stream}.x" for verb in ("CREATE", "DELETE", "INFO")),
                *(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.x", f"$JS.API.DIRECT.GET.{stream}"),
                *(f"$JS.SNAPSHOT.RESTORE.{stream}.x", "$JS.ACK.x", EVENT),
                *("developer.response.T1.ada", "to.0.human-developer.x.1", "layby.do.purge.ada"),
            )
            await deaf(house, login, ">", EVENT, "to.>", "_INBOX_worker.>", "layby.done.*.*")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_restorer_writes_no_message_and_touches_no_stream_of_others(
    tmp_path: Path, kind: str
) -> None:
    async with at(tmp_path / "nats", kind) as house:
        await provision(desk(), house.settings("provisioner"))
        both = (EVENT, "developer.response.T1.ada", "to.0.human-developer.x.1")
        records = ("$KV.parked.T1", "timer.x", "blob.x.1", "layby.do.purge.ada", "layby.done.x.1")
        theirs = [f"$JS.API.STREAM.{verb}.OTHER" for verb in ("UPDATE", "DELETE", "PURGE")]
        for login in ("restorer", "restorer-trail"):
            await refused(house, login, *both, *records, *theirs, "$JS.API.STREAM.PURGE.RUNS")
            await refused(house, login, "$JS.API.CONSUMER.MSG.NEXT.RUNS.x", "$JS.ACK.x")
            await deaf(house, login, ">", EVENT, "to.>", "_INBOX_worker.>")
        await refused(
            house, "restorer", "$JS.API.STREAM.DELETE.AUDIT", "$TRAIL.STREAM.DELETE.AUDIT"
        )
        await refused(house, "restorer-trail", "$JS.API.STREAM.DELETE.RUNS")
        async with opened(house.settings("provisioner")) as bus:
            for name in ("RUNS", "EVENTS", "AUDIT"):
                info = await bus.requests.api(f"STREAM.INFO.{name}")
                assert info["state"]["messages"] == 0
