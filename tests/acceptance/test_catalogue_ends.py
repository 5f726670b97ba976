"""How the catalogue says a question ended that nobody answered: as its run's log does."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from layby import App, Role, Step
from layby.bus.opened import opened
from layby.console.catalogue.catalogue import Catalogue
from layby.console.catalogue.query import QuestionQuery
from layby.runtime.times import iso
from tests.engine import Engine, app_of, until

pytestmark = pytest.mark.nats

SOON = "2s"
PEOPLE = Role("developer", people=["ada", "bob"])


@contextlib.asynccontextmanager
async def catalogue_on(engine: Engine) -> AsyncGenerator[Catalogue]:
    async with (
        opened(engine.settings, patient=True) as bus,
        Catalogue.opened(bus.connection, bus.requests) as catalogue,
    ):
        yield catalogue


async def withdrawn(event: dict[str, Any], step: Step) -> str:
    del event

    async def at_once() -> str:
        await step.sleep("200ms")
        return "done"

    await step.first(step.ask("developer", "Known?", timeout=SOON, default=None), at_once())
    await step.sleep("1h")
    return ""


async def undecided(event: dict[str, Any], step: Step) -> str:
    del event
    asked = {"answer": bool, "quorum": 2, "timeout": SOON, "default": None}
    await step.ask("developer", "Known?", **asked)  # type: ignore[call-overload]
    await step.sleep("1h")
    return ""


async def unanswered(event: dict[str, Any], step: Step) -> str:
    del event
    await step.ask("developer", "Known?", timeout=SOON, default=None)
    await step.sleep("1h")
    return ""


@pytest.mark.parametrize(
    ("handle", "status"),
    [(withdrawn, "closed"), (undecided, "no_quorum"), (unanswered, "expired")],
)
async def test_a_question_is_shown_as_it_ended_after_its_deadline(
    engine: Engine, handle: Any, status: str
) -> None:
    app: App = app_of(handle, roles=[PEOPLE])
    async with engine.works(app), catalogue_on(engine) as catalogue:
        run = await engine.start()
        asked = await engine.question()
        if status == "no_quorum":
            await engine.answer(responder="ada", text="yes")
            await engine.answer(responder="bob", text="no")

        async def over() -> bool:
            found = await catalogue.question(asked.id)
            assert found is not None
            return found.status != "open" and asked.deadline < iso(time.time())

        await until(over)
        await asyncio.wait_for(_noted(engine, run, status), 60)
        found = await catalogue.question(asked.id)
        assert found is not None
        assert (found.status, found.question.status) == (status, status)
        [item] = (await catalogue.history(QuestionQuery())).items
        assert item == found
        soon = await catalogue.question_soon(asked.id)
        assert soon == found


async def test_a_closed_question_still_shows_what_was_asked_back(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        return (await step.ask("developer", "Known?", explain=lambda _: "ACME")).text

    async with engine.works(app_of(handle, roles=[PEOPLE])), catalogue_on(engine) as catalogue:
        run = await engine.start()
        asked = await engine.question()
        await engine.wire.store("developer.ask-back.T1.ada", b"Which customer?")
        await engine.told(run, "question.replied")
        await engine.answer(responder="bob")
        await engine.result(run)

        async def closed() -> list[tuple[str, str]]:
            found = await catalogue.question(asked.id)
            if found is None or found.status != "answered":
                return []
            return [(each.text, each.reply) for each in found.question.asked_back]

        assert await until(closed) == [("Which customer?", "ACME")]


async def _noted(engine: Engine, run: str, status: str) -> None:
    """Wait until the log says how the question ended."""
    kind = {"closed": "withdrawn", "no_quorum": "question.no_quorum", "expired": "question.expired"}
    await engine.told(run, kind[status])
