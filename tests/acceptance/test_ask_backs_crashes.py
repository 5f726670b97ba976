"""A worker is killed with a question back, or its reply, in its hands: another one finishes it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec
import pytest

from layby.actors.people.answer import Receipt
from layby.bus.reading import every
from layby.runtime.ask_back_records import AskedBack, Replied
from layby.runtime.entry import Asked, Record, Withdrawn
from layby.runtime.envelope import decode
from layby.testing import TestRuntime
from tests.ask_back_app import LEDGER
from tests.engine import until
from tests.examples import proofs_but

pytestmark = [pytest.mark.nats, pytest.mark.slow, pytest.mark.timeout(240)]
Running = Callable[..., AbstractAsyncContextManager[TestRuntime]]
TARGET = "tests.ask_back_app:app"
SUBJECT = "developer.ask-back.T1.ada"


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "ledger"
    path.touch()
    monkeypatch.setenv(LEDGER, str(path))
    return path


def model_calls(ledger: Path) -> int:
    """How often the agent's model was asked for a reply."""
    return len(ledger.read_text().splitlines())


async def records(rt: TestRuntime, run: str) -> list[Record]:
    messages = await rt._log.load(run)
    return [record for each in messages for record in decode(each.data).records]


async def told(rt: TestRuntime) -> dict[int, set[str]]:
    """What the receipts say, by the sequence of what they are for."""
    found: dict[int, set[str]] = {}
    async for message in every(rt._requests, "QUESTIONS", "developer.receipt.T1"):
        receipt = msgspec.json.decode(message.data, type=Receipt)
        said = receipt.reply if isinstance(receipt.reply, str) else receipt.outcome
        found.setdefault(receipt.seq, set()).add(said)
    return found


async def ask_back(rt: TestRuntime, *texts: str) -> dict[int, set[str]]:
    """Ask back; what the receipts must say."""
    found: dict[int, set[str]] = {}
    for text in texts:
        ack = await rt._requests.store(SUBJECT, text.encode())
        found[ack.seq] = {"recorded", f"Because of {text}"}
    return found


@pytest.mark.parametrize(
    ("point", "after"),
    proofs_but(
        1,
        [
            *(
                (point, n)
                for point in ("before_act", "after_act", "after_act_shown")
                for n in (1, 2)
            ),
            *(
                (point, n)
                for point in ("before_reply", "after_reply", "after_replied")
                for n in (1, 2)
            ),
            *((point, 1) for point in ("after_clock_started", "after_reply_told")),
        ],
    ),
)
async def test_each_question_back_has_one_reply_of_the_agent(
    layby_running: Running, ledger: Path, point: str, after: int
) -> None:
    async with layby_running(TARGET, workers=0) as rt:
        async with rt.worker():
            run = await rt.send("agent.asked", {"ticket": "T1"})
            question = await rt.question()
        async with rt.crashing(point, after=after):
            expected = await ask_back(rt, "one", "two")
        async with rt.worker():

            async def all_told() -> bool:
                return await told(rt) == expected

            await until(all_told)
            found = await records(rt, run)
            asked = [each for each in found if isinstance(each, AskedBack)]
            replies = [each for each in found if isinstance(each, Replied)]
            assert [each.text for each in asked] == ["one", "two"]
            assert sorted(each.text for each in replies) == ["Because of one", "Because of two"]
            assert model_calls(ledger) <= 3, "again after one death at most"
            state = await rt.state(run)
            assert not state.questions[question.id].stopped_at
            assert (await rt.client.answer("T1", "yes", timeout=30)).outcome == "accepted"
            assert "yes" in await rt.result("T1")
            assert await rt.client.questions() == []


@pytest.mark.parametrize(
    "point",
    proofs_but(1, ["after_act", "after_reply_asked", "after_replied", "after_request_withdrawn"]),
)
async def test_a_person_is_asked_for_a_reply_once_and_no_longer_than_it_is_needed(
    layby_running: Running, point: str
) -> None:
    async with layby_running(TARGET, workers=0) as rt:
        async with rt.worker():
            run = await rt.send("code.asked", {"ticket": "T1"})
            await rt.question()
        early = point in {"after_act", "after_reply_asked"}
        if early:
            async with rt.crashing(point):
                [first] = await ask_back(rt, "one")
        else:
            async with rt.worker():
                [first] = await ask_back(rt, "one")
                await requested(rt)
        if point == "after_replied":
            async with rt.crashing(point):
                await rt._requests.store("support.response.T1.sue", b"ACME")
        async with rt.worker():
            if point != "after_replied":
                await requested(rt)
                await rt.client.answer("T1", "ACME", role="support", responder="sue", timeout=30)

            async def replied() -> bool:
                return "ACME" in (await told(rt)).get(first, ())

            await until(replied)
            await ask_back(rt, "two")
            await requested(rt)
        if point == "after_request_withdrawn":
            async with rt.crashing(point):
                await rt._requests.store("developer.response.T1.bob", b"yes")
        async with rt.worker():
            if point != "after_request_withdrawn":
                await rt.client.answer("T1", "yes", role="developer", responder="bob", timeout=30)
            assert await rt.result("T1") == "yes"

            async def unlisted() -> bool:
                return await rt.client.questions() == []

            await until(unlisted)
        found = await records(rt, run)
        requests = [each for each in found if isinstance(each, Asked) and each.about]
        assert [each.role for each in requests] == ["support", "support"]
        assert [each.text for each in found if isinstance(each, Replied)] == ["ACME"]
        assert [each.key for each in found if isinstance(each, Withdrawn)] == [requests[1].key]


async def requested(rt: TestRuntime) -> None:
    """Return when people of the other role are asked for a reply."""

    async def look() -> bool:
        return len(await rt.client.questions("support")) == 1

    await until(look)
