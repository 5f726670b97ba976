"""A worker dies around an approval: what was approved runs, under one key, and no hook again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from layby.testing import TestRuntime
from tests.examples import proofs_but

pytestmark = [pytest.mark.nats, pytest.mark.slow]

Running = Callable[..., AbstractAsyncContextManager[TestRuntime]]
APP = "tests.agents_app:app"
DONE = {"text": "paid 50, 50 checked, total 50", "total": 50}


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What has happened in the world."""
    path = tmp_path / "ledger"
    monkeypatch.setenv("AGENTS_LEDGER", str(path))
    return path


def assert_paid(ledger: Path, *, again: int) -> None:
    """Paid what was approved, under one key; at most `again` things happened twice."""
    lines = ledger.read_text().splitlines()
    paid = {line for line in lines if line.startswith("pay")}
    assert len(paid) == 1
    assert paid.pop().startswith("pay 50 ")
    counted = Counter(line.split()[0] for line in lines)
    expected = Counter({"model": 2, "response": 2, "before": 1, "pay": 1, "after": 1})
    assert counted >= expected
    assert (counted - expected).total() <= again


@pytest.mark.parametrize(
    ("point", "after"),
    proofs_but(
        1,
        [
            ("before_effect", 4),
            *(("after_effect", n) for n in (2, 3, 4)),
            ("after_question", 1),
        ],
    ),
)
async def test_before_the_approval(
    layby_running: Running, ledger: Path, point: str, after: int
) -> None:
    async with layby_running(APP, workers=0) as rt:
        await rt.send("agents.work", {"ticket": "T1"})
        await rt.crash(point, after=after)
        async with rt.worker():
            await rt.question()
            await rt.answer("T1", "approve")
            assert await rt.result("T1") == DONE
    assert_paid(ledger, again=1)


@pytest.mark.parametrize(
    ("point", "after"),
    proofs_but(
        1,
        [
            *(("before_effect", n) for n in (1, 2)),
            *(("after_effect", n) for n in (1, 2, 3)),
            ("before_append", 1),
            ("after_append", 1),
        ],
    ),
)
async def test_after_the_approval(
    layby_running: Running, ledger: Path, point: str, after: int
) -> None:
    async with layby_running(APP, workers=0) as rt:
        await rt.send("agents.work", {"ticket": "T1"})
        async with rt.worker():
            await rt.question()
        async with rt.crashing(point, after=after):
            await rt.answer("T1", "approve")
        async with rt.worker():
            assert await rt.result("T1") == DONE
    assert_paid(ledger, again=1)


@pytest.mark.parametrize(
    ("point", "after"),
    proofs_but(1, [("after_effect", 1), ("before_effect", 2), ("after_question", 1)]),
)
async def test_an_agent_alone_before_its_question(
    layby_running: Running, ledger: Path, point: str, after: int
) -> None:
    async with layby_running(APP, workers=0) as rt:
        await rt.send("agents.alone", {"ticket": "T1"})
        await rt.crash(point, after=after)
        async with rt.worker():
            await rt.question()
            await rt.answer("T1", "yes")
            assert await rt.result("T1") == "charged 100"
    assert_charged(ledger, again=1)


@pytest.mark.parametrize(
    ("point", "after"), proofs_but(1, [("after_effect", 1), ("after_effect", 2)])
)
async def test_an_agent_alone_after_its_answer(
    layby_running: Running, ledger: Path, point: str, after: int
) -> None:
    async with layby_running(APP, workers=0) as rt:
        await rt.send("agents.alone", {"ticket": "T1"})
        async with rt.worker():
            await rt.question()
        async with rt.crashing(point, after=after):
            await rt.answer("T1", "yes")
        async with rt.worker():
            assert await rt.result("T1") == "charged 100"
    assert_charged(ledger, again=1)


def assert_charged(ledger: Path, *, again: int) -> None:
    """Charged under one key, after two requests to the model; at most `again` of it twice."""
    counted = Counter(ledger.read_text().splitlines())
    charged = [line for line in counted if line.startswith("charge")]
    assert len(charged) == 1
    assert charged[0].endswith(" True")
    assert (counted - Counter({"model": 2, charged[0]: 1})).total() <= again
