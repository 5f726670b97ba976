"""A worker is killed while it shows a question: another goes on, and no card is lost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from layby.runtime.card_records import Notified, Undelivered
from layby.runtime.entry import Record
from layby.runtime.envelope import decode
from layby.runtime.ladder_records import Reached
from layby.testing import TestRuntime
from tests.engine import is_handled, until
from tests.examples import proofs_but
from tests.notifier_app import CALLS

pytestmark = [pytest.mark.nats, pytest.mark.slow, pytest.mark.timeout(240)]
Running = Callable[..., AbstractAsyncContextManager[TestRuntime]]
TARGET = "tests.notifier_app:app"
MAILBOXES = (
    *("cards-developer-one", "cards-developer-two"),
    *("cards-deaf-left", "cards-deaf-right", "cards-lead-one"),
)
Call = tuple[str, str, str, int, str]
"""What was called, the card's key, the question's status, its votes, the run's status."""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "calls"
    path.touch()
    monkeypatch.setenv(CALLS, str(path))
    return path


def calls(path: Path) -> list[Call]:
    return [tuple(json.loads(line)) for line in path.read_text().splitlines()]


def sent(path: Path) -> Counter[str]:
    """How often each card was sent, by its role and channel."""
    return Counter(key.split(".", 1)[1] for what, key, *_ in calls(path) if what == "send")


async def records(rt: TestRuntime, run: str) -> list[Record]:
    messages = await rt._log.load(run)
    return [record for each in messages for record in decode(each.data).records]


async def recorded(rt: TestRuntime, run: str) -> Counter[tuple[str, str, str]]:
    """How often the log says what became of a card."""
    found = [each for each in await records(rt, run) if isinstance(each, Notified)]
    return Counter((each.role, each.channel, each.status) for each in found)


async def at_rest(rt: TestRuntime) -> None:
    """Return when no card waits."""

    consumers = (*(f"QUESTIONS.{each}" for each in MAILBOXES), "RUNS.human-developer")
    await until(lambda: is_handled(rt._requests, *consumers))


async def all_recorded(rt: TestRuntime, run: str, count: int) -> None:
    async def look() -> bool:
        return len(await recorded(rt, run)) >= count

    await until(look)
    await at_rest(rt)


@pytest.mark.parametrize(
    ("point", "duplicates"),
    proofs_but(1, [("after_card_sent", 1), ("after_card_recorded", 0), ("after_record_put", 0)]),
)
@pytest.mark.parametrize("after", proofs_but(1, [1, 2]))
async def test_each_card_is_sent_once_and_once_more_for_a_kill_before_its_record(
    layby_running: Running, path: Path, point: str, duplicates: int, after: int
) -> None:
    if point == "after_record_put" and after > 1:
        pytest.skip("there is one question")
    async with layby_running(TARGET, workers=0) as rt:
        run = await rt.send("shown.asked", {"ticket": "T1"})
        await rt.crash(point, after=after)
        async with rt.worker():
            await all_recorded(rt, run, 2)
            assert await recorded(rt, run) == {
                ("developer", "one", "sent"): 1,
                ("developer", "two", "sent"): 1,
            }
            found = sent(path)
            assert set(found) == {"developer.one.first", "developer.two.first"}
            # Both cards may have been sent when the worker died at the record of one of them.
            assert found.total() <= 2 + (2 if duplicates else 1)
            await rt.client.answer("T1", "yes", timeout=30)
            await rt.result("T1")
            await closed(path, 2)


async def closed(path: Path, count: int) -> None:
    """Return when so many cards show the end of their run, and nothing older after it."""

    async def look() -> bool:
        last = {key: (status, ended) for _, key, status, _, ended in calls(path)}
        return list(last.values()).count(("answered", "completed")) == count == len(last)

    await until(look)


@pytest.mark.parametrize("after", proofs_but(1, [1, 2]))
async def test_a_kill_after_a_notice_leaves_no_card_open(
    layby_running: Running, path: Path, after: int
) -> None:
    async with layby_running(TARGET, workers=0) as rt:
        async with rt.worker():
            run = await rt.send("shown.asked", {"ticket": "T1"})
            await all_recorded(rt, run, 2)
        async with rt.crashing("after_notice", after=after):
            await rt._requests.store("developer.response.T1", b"yes")
        async with rt.worker():
            await rt.result("T1")
            await closed(path, 2)
            await at_rest(rt)
    assert sent(path).total() == 2


async def test_a_vote_that_a_killed_worker_took_is_shown(
    layby_running: Running, path: Path
) -> None:
    async with layby_running(TARGET, workers=0) as rt:
        async with rt.worker():
            run = await rt.send("shown.asked", {"ticket": "T1", "quorum": 2})
            await all_recorded(rt, run, 2)
        async with rt.crashing("after_voted"):
            await rt._requests.store("developer.response.T1.ada", b"yes")
        async with rt.worker():

            async def shown() -> bool:
                return len({key for _, key, _, votes, _ in calls(path) if votes == 1}) == 2

            await until(shown)


@pytest.mark.parametrize("after", proofs_but(1, [1, 2]))
async def test_a_question_that_no_channel_can_show_is_undelivered_once(
    layby_running: Running, path: Path, after: int
) -> None:
    async with layby_running(TARGET, workers=0) as rt:
        run = await rt.send("shown.asked", {"ticket": "T1", "role": "deaf"})
        await rt.crash("after_card_recorded", after=after)
        async with rt.worker(), rt.worker():
            await all_recorded(rt, run, 3)
            found = await records(rt, run)
            assert sum(isinstance(each, Undelivered) for each in found) == 1
            [reached] = [each for each in found if isinstance(each, Reached)]
            assert reached.early
            assert sent(path) == {"lead.one.0": 1}
            assert (await rt.client.answer("T1", "yes", role="lead", timeout=30)).outcome == (
                "accepted"
            )
            await closed(path, 1)


@pytest.mark.parametrize(
    ("point", "after"),
    proofs_but(
        1, [("after_watch_armed", 1), ("after_unserved_recorded", 1), ("after_rung_published", 1)]
    ),
)
async def test_a_question_on_a_channel_without_a_process_is_undelivered_once(
    layby_running: Running, path: Path, point: str, after: int
) -> None:
    async with layby_running(TARGET, workers=0, within=30) as rt:
        run = await rt.send("shown.asked", {"ticket": "T1", "role": "unheard", "soon": True})
        await rt.crash(point, after=after)
        async with rt.worker(), rt.worker():
            await all_recorded(rt, run, 3)
            found = await records(rt, run)
            assert sum(isinstance(each, Undelivered) for each in found) == 1
            [reached] = [each for each in found if isinstance(each, Reached)]
            assert reached.early
            assert await recorded(rt, run) == {
                ("unheard", "left", "failed"): 1,
                ("unheard", "right", "failed"): 1,
                ("lead", "one", "sent"): 1,
            }
            assert (await rt.client.answer("T1", "yes", role="lead", timeout=30)).outcome == (
                "accepted"
            )
            await closed(path, 1)


async def test_two_workers_do_not_send_the_same_card(layby_running: Running, path: Path) -> None:
    async with layby_running(TARGET, workers=3) as rt:
        runs = [await rt.send("shown.asked", {"ticket": f"T{n}"}) for n in range(20)]
        for run in runs:
            await all_recorded(rt, run, 2)
        assert sent(path).total() == 40
