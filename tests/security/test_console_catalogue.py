"""The catalogue works with the login of somebody who may only look."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from layby.bus.opened import opened
from layby.bus.settings import ConnectionSettings
from layby.console.catalogue.catalogue import Catalogue
from tests.engine import until
from tests.security.house import WITHIN, House

pytestmark = pytest.mark.nats


@asynccontextmanager
async def _catalogue(settings: ConnectionSettings) -> AsyncGenerator[tuple[Catalogue, list[str]]]:
    """A catalogue, and the subjects that the server has refused it."""
    async with opened(settings, patient=True) as bus:
        denied: list[str] = []
        bus.connection.on_denied.append(lambda error: denied.append(error.subject))
        async with Catalogue.opened(bus.connection, bus.requests) as catalogue:
            yield catalogue, denied


@pytest.mark.parametrize("login", ["observer", "operator"])
async def test_an_observer_sees_a_question_asked_answered_and_closed(
    house: House, login: str
) -> None:
    async with house.working(), _catalogue(house.settings(login)) as (catalogue, denied):
        run = await house.question("T1")
        [asked] = await until(catalogue.questions)
        async with catalogue.changes() as batches, house.client("ada") as ada:
            receipt = await ada.answer("T1", "yes", responder="ada", timeout=WITHIN)
            assert receipt.outcome == "accepted"
            wanted = {("run", run), ("question", asked.id), ("receipt", asked.id)}
            async with asyncio.timeout(WITHIN):
                async for batch in batches:
                    wanted -= {(change.kind, change.id) for change in batch}
                    if not wanted:
                        break
        thread = await catalogue.question(asked.id)
        assert thread is not None
        assert (thread.status, thread.won and thread.won.by) == ("answered", "ada")
        assert await catalogue.questions() == []
        assert denied == []
