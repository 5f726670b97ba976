"""Two apps behind one wall, each with a prefix or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from layby import App, Step
from layby.access import Person, Staff, Wall, outline
from layby.access.config import accounts
from layby.bus.errors import PermissionDenied
from layby.bus.server import EmbeddedServer
from layby.client import Client
from layby.operations.provisioning import provision
from layby.worker.worker import working
from tests.engine import until
from tests.security.house import WITHIN, House, desk

pytestmark = pytest.mark.nats

STAFF = Staff(people=(Person("ada"), Person("bob", ("legal",))))


def shop() -> App:
    app = App("shop", prefix="shop", roles=["developer", "legal"])

    @app.workflow(on="orders.paid", key="id", name="order")
    async def order(event: dict[str, Any], step: Step) -> str:
        return (await step.ask("legal", f"May we send {event['id']}?")).text

    return app


async def test_a_person_of_one_role_answers_for_an_app_with_a_prefix(tmp_path: Path) -> None:
    wall = Wall(apps=(outline(desk()), outline(shop())))
    text = accounts(wall, STAFF, "x")
    for login in wall.logins(STAFF):
        text = text.replace(f"${login.variable}", f'"of-{login.name}"')
    async with EmbeddedServer(tmp_path / "nats", extra=text) as server:
        house, app = House(url=server.url, kind="accounts"), shop()
        await provision(app, house.settings("provisioner"))
        async with (
            house.working(),
            working(app, house.settings("worker")),
            house.client("helpdesk") as helpdesk,
            Client.connect(house.settings("bob"), prefix="shop") as bob,
            house.client("bob") as stranger,
        ):
            await house.question("T1")
            await helpdesk.send("orders.paid", {"id": "O1"})

            async def asked() -> Any:
                return await bob.questions()

            [question] = await until(asked, WITHIN)
            assert (question.role, question.ticket) == ("legal", "O1")
            with pytest.raises(PermissionDenied):
                await bob.answer("O1", "yes", role="developer", responder="bob", timeout=WITHIN)
            with pytest.raises(PermissionDenied):
                await stranger.answer("T1", "yes", responder="bob", timeout=WITHIN)
            receipt = await bob.answer("O1", "yes", role="legal", responder="bob", timeout=WITHIN)
            assert (receipt.outcome, receipt.by) == ("accepted", "bob")
