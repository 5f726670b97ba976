"""Who follows the catalogue hears of everything, in few batches."""

from __future__ import annotations

import asyncio

from layby.console.catalogue.entries import Change
from layby.console.catalogue.feed import Feed


def changed(*runs: int) -> list[Change]:
    return [Change(kind="run", id=str(run)) for run in runs]


async def test_the_first_change_is_told_at_once_and_what_follows_together() -> None:
    feed = Feed()
    async with feed.listen() as batches:
        feed.tell(changed(0))
        assert [each.id for each in await anext(batches)] == ["0"]
        told: list[list[str]] = []

        async def follow() -> None:
            async for batch in batches:
                told.append([each.id for each in batch])
                if told[-1][-1] == "50":
                    return

        following = asyncio.create_task(follow())
        for run in range(1, 51):
            feed.tell(changed(run))
            await asyncio.sleep(0)
        await asyncio.wait_for(following, 30)
        assert [run for batch in told for run in batch] == [str(run) for run in range(1, 51)]
        assert len(told) <= 4, "a few at once, and the others together"


async def test_only_the_newest_change_of_a_run_is_told() -> None:
    feed = Feed()
    async with feed.listen() as batches:
        feed.tell(changed(1, 2))
        feed.tell(changed(1))
        assert [(each.id, each.seq) for each in await anext(batches)] == [("1", 3), ("2", 2)]
