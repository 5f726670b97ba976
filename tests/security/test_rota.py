"""Rotas: operators write them, workers and observers read them, and nobody else does either."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from layby import App, Role, Rung, Step
from layby.access import rights
from layby.access.outline import outline
from layby.actors.people.rota import Window
from layby.actors.people.rota_book import RotaBook
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


async def test_operators_write_rotas_and_workers_read_them(house: House) -> None:
    async with house.working(on_rota()), house.client("operator") as operator:
        await operator.rotas.change_shifts("dev", lambda _: (ALWAYS,))
        await operator.rotas.change_absences(lambda _: ())
        assert await operator.rotas.shifts("dev") == (ALWAYS,)
        assert await operator.rotas.names() == ["dev"]
        async with opened(house.settings("worker"), patient=False) as bus:
            assert await RotaBook(bus.requests).shifts("dev") == (ALWAYS,)
        async with house.client("observer") as observer:
            assert await observer.rotas.shifts("dev") == (ALWAYS,)


@pytest.mark.parametrize("login", ["worker", "observer", "ada", "helpdesk", "provisioner"])
async def test_nobody_else_writes_them(house: House, login: str) -> None:
    async with house.working(on_rota()):
        async with opened(house.settings(login), patient=False) as bus:
            with pytest.raises(PermissionDenied):
                await bus.requests.store("$KV.rota.duty.dev", b"{}")
        async with house.client("operator") as operator:
            assert await operator.rotas.shifts("dev") == ()


def test_an_app_without_a_rota_gives_nobody_a_right_to_one() -> None:
    assert rights.of_rotas(outline(desk())) == ()
    assert rights.of_rotas(outline(on_rota())) == ("$KV.rota.>",)
    assert not any("rota" in subject for subject in rights.of_worker(outline(on_rota())))
