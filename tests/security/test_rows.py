"""Rows of the index that somebody planted: whatever they say, no run that waits loses its log."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from layby import Step
from tests.engine import Engine, app_of, until

pytestmark = pytest.mark.nats

LONG_AGO = "2020-01-01T00:00:00.000Z"


async def asks(event: dict[str, Any], step: Step) -> str:
    del event
    return (await step.ask("developer", "Well?", timeout="1h")).text


def row(run: str, ticket: str = "T1", pos: int = 1) -> bytes:
    """A row that only somebody else would write."""
    fields = {"id": run, "workflow": "solve", "ticket": ticket, "status": "completed", "pos": pos}
    return msgspec.json.encode({**fields, "started_at": LONG_AGO, "updated_at": LONG_AGO})


async def plant(engine: Engine, key: str, data: bytes) -> None:
    await engine.wire.store(f"$KV.runs.{key}", data)


@pytest.mark.parametrize("run", ["*", ">", "*.*", "a.>", "", " ", "..", "\u202e", "x" * 20, "\x00"])
async def test_an_invalid_id_purges_nothing(engine: Engine, run: str) -> None:
    async with engine.works(app_of(asks)):
        waits = await engine.start("T1")
        await engine.question(run=waits)
        for key in {f"T1.{run}", "T1.junk", "T1.0123456789abcdef0123"}:
            if " " not in key and "\x00" not in key and not key.endswith(".") and ".." not in key:
                await plant(engine, key, row(run))
        assert (await engine.client.purge(0)).runs == 0
        await engine.answer()
        assert await engine.result(waits) == "yes"


@pytest.mark.parametrize("pos", [0, 1, 2, 9_999, -1])
async def test_a_row_that_says_a_waiting_run_has_ended_is_not_believed(
    engine: Engine, pos: int
) -> None:
    async with engine.works(app_of(asks)):
        waits = await engine.start("T1")
        await engine.question(run=waits)
        await plant(engine, f"T1.{waits}", row(waits, pos=pos))
        await plant(engine, f"T2.{waits}", row(waits, "T2", pos=pos))
        assert (await engine.client.purge(0)).runs == 0
        await engine.answer()
        assert await engine.result(waits) == "yes"


async def test_a_run_that_has_ended_is_purged_as_ever(engine: Engine) -> None:
    async with engine.works(app_of(asks)):
        run = await engine.start("T1")
        await engine.question(run=run)
        await engine.client.cancel(run)
        await engine.ended(run)

        async def listed() -> bool:
            return any(each.id == run for each in await engine.client.runs("cancelled"))

        await until(listed)
        assert (await engine.client.purge(0)).runs == 1
