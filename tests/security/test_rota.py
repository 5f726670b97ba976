"""Rotas: operators command what changes, workers write it, and nobody else does either."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from layby import App, Role, Rung, Step
from layby.access import rights
from layby.access.outline import outline
from layby.actors.people.rota import Window
from layby.bus.errors import PermissionDenied
from layby.bus.opened import opened
from tests.security.house import House, desk, started

pytestmark = [pytest.mark.nats, pytest.mark.timeout(120)]
ALWAYS = Window(person="ada", start="2000-01-01", end="2100-01-01")


def on_rota() -> App:
    roles: list[str | Role] = [
        Role("developer", rota="dev", escalate=[Rung("1h", to="role:lead")]),
        "lead",
    ]
    app = App("desk", roles=roles)

    @app.workflow(on="support.ticket", key="ticketId")
    async def support_ticket(event: dict[str, str], step: Step) -> str:
        del event
        return (await step.ask("developer", "Known?")).text

    return app


@pytest.fixture(params=["accounts", "jwt", "one account"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    async with started(request.param, tmp_path, on_rota()) as house:
        yield house


async def test_operators_command_a_rota_and_workers_write_it(house: House) -> None:
    async with house.working(on_rota()), house.client("operator") as operator:
        assert await operator.rotas.change("dev", add=[ALWAYS], by="operator") == (ALWAYS,)
        assert await operator.rotas.shifts("dev") == (ALWAYS,)
        assert await operator.rotas.names() == ["dev"]
        async with house.client("observer") as observer:
            assert await observer.rotas.shifts("dev") == (ALWAYS,)
            [row] = await observer.audit(5, verb="rota")
        assert (row.by, row.outcome) == ("operator", "done")
        assert row.what == "shifts of dev: + ada  2000-01-01 to 2100-01-01 UTC"


@pytest.mark.parametrize("login", ["operator", "observer", "ada", "helpdesk", "provisioner"])
async def test_nobody_writes_a_rota_past_the_audit_trail(house: House, login: str) -> None:
    async with house.working(on_rota()):
        async with opened(house.settings(login), patient=False) as bus:
            with pytest.raises(PermissionDenied):
                await bus.requests.store("$KV.rota.duty.dev", b"{}")
        async with house.client("operator") as operator:
            assert await operator.rotas.shifts("dev") == ()


@pytest.mark.parametrize(("login", "by"), [("operator", "eve"), ("observer", "observer")])
async def test_nobody_commands_it_in_the_name_of_others_or_without_the_right(
    house: House, login: str, by: str
) -> None:
    async with house.working(on_rota()), house.client(login) as client:
        with pytest.raises(PermissionDenied):
            await client.rotas.change("dev", add=[ALWAYS], by=by)
        assert await client.rotas.shifts("dev") == ()


def test_only_workers_get_a_right_to_a_rota() -> None:
    assert any("$KV.rota" in subject for subject in rights.of_worker(outline(on_rota())))
    assert not any("rota" in subject for subject in rights.of_worker(outline(desk())))
