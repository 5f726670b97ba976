"""Thousands of answers to one question: each is read once. The tests count reads, not time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from layby import App, Role, Rung, Step
from layby.bus.reading import every
from tests.acceptance.test_flood import all_handled, flooded, replies
from tests.engine import Engine, app_of, until

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]

MANY = 200
_MOST = 3
"""Times that each may be read: when it is new, and anew where the question is first seen."""
FINANCE = Role("finance", people=["ada", "bob", "cleo"])


async def votes(step: Step) -> None:
    """Several people decide; ada has one vote."""
    await step.ask("finance", "Pay it?", answer=bool, quorum=3, timeout=600)


async def yes_or_no(step: Step) -> None:
    """One answer decides, but not any."""
    await step.ask("developer", "Well?", answer=bool, timeout=600)


async def escalated(step: Step) -> None:
    """The same, asked of another role too."""
    await step.ask(
        "developer", "Well?", answer=bool, timeout=600, escalate=[Rung("1s", to="role:lead")]
    )


async def two_questions(step: Step) -> None:
    """An answer has to say which one it is for."""
    await step.gather(
        step.ask("developer", "This?", timeout=600), step.ask("developer", "That?", timeout=600)
    )


def app(asks: Any) -> App:
    async def handle(event: dict[str, Any], step: Step) -> None:
        del event
        await asks(step)

    return app_of(handle, roles=[FINANCE, Role("developer"), Role("lead")])


async def outcomes(engine: Engine, role: str) -> Counter[str]:
    """What the receipts of the ticket's answers say."""
    found = every(engine.wire, "QUESTIONS", f"{role}.receipt.T1")
    receipts = [msgspec.json.decode(message.data) async for message in found]
    answers = [each for each in receipts if "act" not in each]
    return Counter({each["seq"]: each["outcome"] for each in answers}.values())


def of_one(role: str) -> Iterable[str]:
    return (f"{role}.response.T1.ada" for _ in range(MANY))


def of_many(role: str) -> Iterable[str]:
    """Subjects of as many people, none of whom has a vote."""
    return (f"{role}.response.T1.mallory-{number}" for number in range(MANY))


def with_claims(role: str) -> Iterable[str]:
    """The same, with claims between them, each of which changes the record of the ticket."""
    return (
        subject
        for number in range(MANY)
        for subject in (f"{role}.claim.T1.person-{number % 7}", f"{role}.response.T1.ada")
    )


@pytest.mark.parametrize(
    ("asks", "role", "senders", "body", "told"),
    [
        (votes, "finance", of_one, b"yes", {"counted": 1, "already_voted": MANY - 1}),
        (votes, "finance", of_many, b"yes", {"invalid": MANY}),
        (yes_or_no, "developer", of_one, b"perhaps", {"invalid": MANY}),
        (yes_or_no, "developer", with_claims, b'{"answer": "perhaps"}', {"invalid": MANY}),
        (escalated, "developer", of_one, b"perhaps", {"invalid": MANY}),
        (two_questions, "developer", of_one, b"yes", {"ambiguous": MANY}),
    ],
    ids=[
        "of_one_voter",
        "without_a_vote",
        "unfit",
        "unfit_beside_claims",
        "to_an_escalated_question",
        "unnamed",
    ],
)
async def test_each_answer_is_read_once(
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    *,
    asks: Any,
    role: str,
    senders: Any,
    body: bytes,
    told: dict[str, int],
) -> None:
    async with engine.works(app(asks)):
        await engine.start("T1")
        await engine.questions(2 if asks is two_questions else 1)
        if asks is escalated:
            await until(lambda: engine.wire.stored("QUESTIONS", last="lead.question.T1"))
        async with replies(monkeypatch, "ANSWERS") as read:
            await flooded(engine, senders(role), body)
            await all_handled(engine, f"answers-{role}")
        assert await outcomes(engine, role) == told
        assert sum(map(len, read)) <= MANY * _MOST
