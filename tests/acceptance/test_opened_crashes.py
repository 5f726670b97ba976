"""A worker is killed while it records who has looked at a question: another one finishes it."""

from __future__ import annotations

import pytest

from layby.runtime.envelope import decode
from layby.runtime.opened_records import OpenedQuestion
from layby.testing import TestRuntime
from tests.acceptance.test_claims_crashes import TARGET, Running, at_rest
from tests.claims_app import OPENED_POINTS
from tests.engine import until
from tests.examples import proofs_but

pytestmark = [pytest.mark.nats, pytest.mark.slow, pytest.mark.timeout(240)]

SAID = ["ada", "bob", "ada", "cleo.via-slack", "ada", "bob"]
"""Who has looked, in this order."""


async def recorded(rt: TestRuntime, run: str) -> list[str]:
    messages = await rt._log.load(run)
    records = [record for each in messages for record in decode(each.data).records]
    return [each.by for each in records if isinstance(each, OpenedQuestion)]


@pytest.mark.parametrize(
    ("point", "after"),
    proofs_but(1, [*((point, 1) for point in OPENED_POINTS), ("after_opened", 3)]),
)
async def test_each_look_is_recorded_and_shown_once(
    layby_running: Running, point: str, after: int
) -> None:
    async with layby_running(TARGET, workers=0) as rt:
        async with rt.worker():
            run = await rt.send("claims.asked", {"ticket": "T1"})
            await rt.question()
        async with rt.crashing(point, after=after):
            for who in SAID:
                await rt._requests.store(f"developer.opened.T1.{who}", b"")
        async with rt.worker():

            async def shown() -> list[str]:
                [row] = await rt.client.questions("developer")
                found = [each.by for each in row.opened]
                return found if len(found) == 3 else []

            assert sorted(await until(shown)) == ["ada", "bob", "cleo"]
            await at_rest(rt)
            assert sorted(await recorded(rt, run)) == ["ada", "bob", "cleo"]
            assert (await rt.client.answer("T1", "yes", timeout=30)).outcome == "accepted"
            assert (await rt.result("T1"))["text"] == "yes"
            assert await rt.client.questions() == [], "no row was left behind"
