"""A standby where outsiders have accounts of their own, and the audit trail has one too."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from layby.access import Link, Staff
from layby.bus.connection import ConnectionSettings
from layby.bus.errors import BusError
from layby.bus.inventory import DomainApi, own_streams
from layby.bus.opened import opened
from layby.bus.server import EmbeddedServer
from layby.operations.provisioning import provision
from layby.operations.standby import MirrorRow, StandbyRefused, follow, take_over
from tests.engine import until
from tests.scraping import free_port
from tests.security.house import EVENT, House, Raw, desk, with_accounts, with_tokens
from tests.standby import FIRST, SECOND

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]

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
      {{ url: "nats://link-trail:of-link-trail@127.0.0.1:{port}", account: TRAIL }}
    ]
"""
STAFF = Staff(restorers=("restorer",), links=(Link("link", FIRST),))


def server(folder: Path, name: str, leaf: str) -> EmbeddedServer:
    accounts = with_accounts(desk(), staff=STAFF)
    extra = accounts + _LINKS.format(name=name, folder=folder, leaf=leaf)
    return EmbeddedServer(folder, extra=extra)


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
        infos = await own_streams(bus.requests)
        found = {each["config"]["name"]: each["state"]["last_seq"] for each in infos}
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
        rows = await followed(new, "restorer", await ends(old, "restorer"))
        assert "AUDIT" not in {row.stream for row in rows}
        [trail] = await followed(new, "restorer-trail", await ends(old, "restorer-trail"))
        assert trail.stream == "AUDIT"
        with pytest.raises(StandbyRefused, match="answers on"):
            await take_over([app], new.settings("restorer-trail"))
        first.kill()
        with pytest.raises(StandbyRefused, match="audit trail"):
            await take_over([app], new.settings("restorer"))
        done = await take_over([app], new.settings("restorer-trail"))
        assert done.promoted == ("AUDIT",)
        done = await take_over([app], new.settings("restorer"))
        assert "created consumer commands on AUDIT" in done.changes
        async with new.working(app), new.client("ada") as ada:
            receipt = await ada.answer("T1", "yes", responder="ada", timeout=30)
            assert receipt.outcome == "accepted"
            assert (await new.ended(run)).result == "ada: yes"
            async with new.client("operator") as operator:
                await operator.purge(30 * 24 * 3600)
                assert [entry.outcome for entry in await operator.audit()] == ["done", "done"]


_OWNED = """
accounts { LAYBY { jetstream: enabled, users: [{ user: me, password: me }] }, TRAIL {} }
"""


async def test_nobody_but_a_server_logs_in_with_a_link(tmp_path: Path) -> None:
    listens = _LISTENS.format(port=free_port())
    async with server(tmp_path / FIRST, FIRST, listens) as first:
        house = House(url=first.url, kind="accounts")
        for login in ("link", "link-trail"):
            raw = await Raw.open(house.settings(login))
            assert await raw.sent()
            assert raw.closed
            assert "authorization" in raw.errors[0].lower()
            await raw.close()


async def test_over_a_link_nothing_is_written_nor_removed_nor_overheard(tmp_path: Path) -> None:
    """Somebody who owns the standby sends whatever they like to the first cluster."""
    port = free_port()
    first = server(tmp_path / FIRST, FIRST, _LISTENS.format(port=port))
    dials = _DIALS.format(port=port)
    takes = _LINKS.format(name=SECOND, folder=tmp_path / SECOND, leaf=dials)
    second = EmbeddedServer(tmp_path / SECOND, extra=_OWNED + takes)
    async with first, second:
        old = House(url=first.url, kind="accounts")
        address = second.url.replace("://", "://me:me@")
        mine = ConnectionSettings(servers=(address,), inbox_prefix="_INBOX_restorer")
        async with old.working(desk()):
            run = await old.question("T1")
            async with opened(mine) as bus:
                api = DomainApi(bus.requests, FIRST)

                async def is_up() -> bool:
                    with contextlib.suppress(BusError):
                        return bool(await own_streams(api))
                    return False

                await until(is_up, WITHIN)  # what is allowed gets through
                heard: list[str] = []

                async def hear(message: Any) -> None:
                    heard.append(message.subject)

                for subject in (EVENT, "to.>", "developer.>", "$KV.>", "$JS.API.>"):
                    await bus.connection.nc.subscribe(subject, cb=hear)
                await old.question("T2")
                assert heard == []
                before = await ends(old, "restorer")
                for verb in ("DELETE", "PURGE", "SNAPSHOT", "UPDATE", "MSG.GET"):
                    with pytest.raises(BusError):
                        await bus.requests.api_at(
                            f"{api.prefix}.", f"STREAM.{verb}.RUNS", {}, within=1.0
                        )
                for subject in (EVENT, "developer.response.T1.ada", "to.0.human-developer.x.1"):
                    bus.connection.nc.send(subject, b"{}")
                assert await own_streams(api), "all of it has been sent"
            assert await ends(old, "restorer") == before
            async with old.client("ada") as ada:
                receipt = await ada.answer("T1", "yes", responder="ada", timeout=30)
            assert receipt.outcome == "accepted"
            assert (await old.ended(run)).result == "ada: yes"


async def test_a_link_by_token_carries_what_mirrors_need_and_serves_no_client(
    tmp_path: Path,
) -> None:
    port = free_port()
    registry = with_tokens(desk(), tmp_path, staff=STAFF)
    listens = _LISTENS.format(port=port)
    extra = _LINKS.format(name=FIRST, folder=tmp_path / FIRST, leaf=listens)
    first = EmbeddedServer(tmp_path / FIRST, extra=registry.config.read_text() + extra)
    dials = f"""
    remotes: [
      {{ url: "nats://127.0.0.1:{port}", credentials: "{registry.creds("link")}", account: LAYBY }}
    ]"""
    takes = _LINKS.format(name=SECOND, folder=tmp_path / SECOND, leaf=dials)
    second = EmbeddedServer(tmp_path / SECOND, extra=_OWNED + takes)
    async with first:
        old = await House.by_tokens(first.url, registry)
        with pytest.raises(BusError):
            await asyncio.wait_for(own_of(old.settings("link")), WITHIN)
        await provision(desk(), old.settings("provisioner"))
        async with second:
            address = second.url.replace("://", "://me:me@")
            mine = ConnectionSettings(servers=(address,), inbox_prefix="_INBOX_restorer")

            async def look() -> set[str]:
                with contextlib.suppress(StandbyRefused):
                    return {row.stream for row in await follow(mine, FIRST)}
                return set()

            assert {"RUNS", "EVENTS", "ANSWERS"} <= await until(look, WITHIN)


async def own_of(here: ConnectionSettings) -> object:
    async with opened(here) as bus:
        return await own_streams(bus.requests)
