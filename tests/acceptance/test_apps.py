"""What an app declares is readable without its code, and its workers are heard."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypedDict

import msgspec
import pytest
from pydantic import BaseModel, Field

from layby import App, Step
from layby.bus.bucket import Bucket
from layby.bus.opened import opened
from layby.client import Client
from layby.operations.declaring import declaration, declare
from layby.views.workers import Workers
from layby.worker.worker import working
from tests.fix_nats import eventually

pytestmark = pytest.mark.nats


class Opened(BaseModel):
    ticketId: str = Field(description="As the help desk spells it.")  # noqa: N815
    urgent: bool = False


class Closed(msgspec.Struct):
    ticketId: str  # noqa: N815


@dataclass
class Moved:
    ticketId: str  # noqa: N815


class Asked(TypedDict):
    ticketId: str


def desk() -> App:
    app = App("desk", roles=["developer", "lead"], events=["desk.paid"])

    @app.workflow(on="desk.opened", key="ticketId")
    async def handle(event: Opened, step: Step) -> None:
        """Handle a ticket
        that was opened.

        More that nobody reads here.
        """

    @app.workflow(on="desk.closed", key="ticketId")
    async def close(event: Closed) -> None: ...

    @app.workflow(on="desk.moved", key="ticketId")
    async def move(event: Moved) -> None: ...

    @app.workflow(on="desk.asked", key="ticketId")
    async def ask(event: Asked) -> None: ...

    @app.workflow(on="desk.any", key="ticketId")
    async def anything(event: dict[str, Any]) -> None: ...

    return app


async def test_a_client_reads_what_the_app_declares(layby_running: Any) -> None:
    async with layby_running(desk()) as rt:
        [row] = await rt.client.apps()
    assert (row.name, row.roles, row.events) == ("desk", ["developer", "lead"], ["desk.paid"])
    by_name = {workflow.name: workflow for workflow in row.workflows}
    assert by_name["handle"].on == "desk.opened"
    assert by_name["handle"].key == "ticketId"
    assert by_name["handle"].description == "Handle a ticket that was opened."
    for name in ("handle", "close", "move", "ask"):
        assert "ticketId" in json.dumps(by_name[name].form), name
    assert by_name["anything"].form is None
    assert row.fingerprint


async def test_a_release_that_changes_nothing_writes_nothing(layby_running: Any) -> None:
    app = desk()
    async with layby_running(app, workers=0) as rt, opened(rt.settings) as bus:
        bucket = Bucket(bus.requests, "apps")
        await declare(app, bus.requests, "1")
        first = await bucket.get("desk")
        await declare(app, bus.requests, "1")
        assert await bucket.get("desk") == first
        await declare(app, bus.requests, "2")
        second = await bucket.get("desk")
        assert first is not None
        assert second is not None
        assert second.revision > first.revision


def test_a_declaration_that_is_too_large_goes_without_schemas() -> None:
    app = desk()
    large = msgspec.structs.replace(declaration(app), events=["x" * 300_000])
    from layby.operations.declaring import _encoded  # noqa: PLC0415

    kept = json.loads(_encoded(large))
    assert all("form" not in workflow for workflow in kept["workflows"])
    assert all("form" in w for w in json.loads(_encoded(declaration(app)))["workflows"][:4])


async def test_foreign_messages_in_that_stream_stop_nobody(layby_running: Any) -> None:
    async with layby_running(desk(), workers=0) as rt:
        async with opened(rt.settings) as bus:
            for data in (b"{", b"\xff", b"[]", b'{"name": 7}'):
                await Bucket(bus.requests, "apps").put("shop", data)
        assert await rt.client.apps() == []
        async with working(desk(), rt.settings), Client.connect(rt.settings) as client:
            assert [row.name for row in await client.apps()] == ["desk"]


async def test_a_worker_is_heard_while_it_runs_and_says_when_it_stops(layby_running: Any) -> None:
    async with (
        layby_running(desk(), workers=0) as rt,
        opened(rt.settings) as bus,
        Workers.listening(bus.connection, bus.requests.names) as workers,
    ):
        async with working(desk(), rt.settings):
            await eventually(lambda: len(workers.rows()) == 1)
            [row] = workers.rows()
            assert (row.app, row.lost) == ("desk", False)
            assert row.mailboxes > 0
            assert row.memory > 1_000_000
        await eventually(lambda: workers.rows() == [])
