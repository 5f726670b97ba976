"""Votes while workers die: the first ones of the stream count, and each vote gets its receipt."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, NamedTuple

import msgspec
import pytest

from layby.bus.opened import opened
from layby.bus.requests import Requests
from layby.runtime.state import RunState
from layby.testing import TestRuntime
from tests.engine import Engine, is_handled, until
from tests.examples import proofs_but
from tests.votes_app import app

pytestmark = [pytest.mark.nats, pytest.mark.slow]

Running = Callable[..., AbstractAsyncContextManager[TestRuntime]]
APP = "tests.votes_app:app"
_PEOPLE = {"finance": {"ada", "bob", "cleo"}, "legal": {"dan", "eve", "ada"}}


class Sent(NamedTuple):
    """A vote as somebody sends it."""

    role: str
    by: str
    text: str


class Stored(NamedTuple):
    """A vote in its place in the stream."""

    seq: int
    sent: Sent


async def cast(wire: Requests, ticket: str, sent: Sent) -> Stored:
    """Vote, and wait only for the stream."""
    subject = f"{sent.role}.response.{ticket}.{sent.by}"
    ack = await wire.store(subject, sent.text.encode())
    return Stored(ack.seq, sent)


async def receipts(wire: Requests, ticket: str) -> dict[int, set[str]]:
    """The outcomes in the receipts of a ticket's votes, by their sequences."""
    found: dict[int, set[str]] = {}
    for role in _PEOPLE:
        body = {"next_by_subj": f"{role}.receipt.{ticket}", "batch": 1_000, "seq": 1}
        for message in await wire.direct_get("QUESTIONS", body):
            if not message.status:
                receipt: dict[str, Any] = msgspec.json.decode(message.data)
                found.setdefault(receipt["seq"], set()).add(receipt["outcome"])
    return found


def outcomes(votes: list[Stored], groups: dict[str, int], number: int) -> dict[int, set[str]]:
    """What each receipt must say, by the order of the stream alone."""
    counted: list[Sent] = []
    found: dict[int, set[str]] = {}
    over = False
    for seq, sent in sorted(votes):
        if sent.role == "legal" and not groups:
            outcome = "unknown_ticket"
        elif over:
            outcome = "already_answered"
        elif sent.by not in _PEOPLE[sent.role]:
            outcome = "invalid"
        elif sent.by in {each.by for each in counted}:
            outcome = "already_voted"
        else:
            counted.append(sent)
            same = [each for each in counted if each.text == sent.text]
            enough = len(same) >= number and all(
                sum(each.role == role for each in same) >= count for role, count in groups.items()
            )
            over = enough
            outcome = "accepted" if enough else "counted"
        found[seq] = {outcome}
    return found


STORY = [
    Sent("finance", "ada", "yes"),
    Sent("finance", "ada", "no"),
    Sent("legal", "bob", "yes"),
    Sent("finance", "bob", "no"),
    Sent("legal", "dan", "yes"),
    Sent("legal", "eve", "no"),
]
GROUPS = {"finance": 1, "legal": 1}


@pytest.mark.parametrize(
    "point",
    proofs_but(1, ["after_question_for_role", "after_question", "after_record_put", "after_timer"]),
)
async def test_a_question_to_two_groups_is_shown_to_both_whichever_worker_dies(
    layby_running: Running, point: str
) -> None:
    async with layby_running(APP, workers=0) as rt, opened(rt.settings) as bus:
        await rt.send("bank.payout", {"ticket": "T1", "groups": GROUPS})
        await rt.crash(point)
        async with rt.worker():
            asked = await rt.question()
            for role in GROUPS:
                assert [row.id for row in await rt.client.questions(role)] == [asked.id]
            votes = [await cast(bus.requests, "T1", each) for each in STORY]
            assert (await rt.result())["by"] == "ada, dan"
            await expect(bus.requests, "T1", outcomes(votes, GROUPS, 2))


@pytest.mark.parametrize(
    ("point", "after"),
    proofs_but(
        1,
        [
            ("before_voted", 1),
            ("before_voted", 2),
            ("after_voted", 1),
            ("after_voted", 2),
            ("after_voted", 3),
            ("after_receipt", 1),
            ("after_receipt", 2),
            ("after_receipt", 4),
            ("after_record_closed", 1),
            ("after_record_closed", 2),
        ],
    ),
)
async def test_the_first_votes_of_the_stream_decide_whichever_worker_dies(
    layby_running: Running, point: str, after: int
) -> None:
    async with layby_running(APP, workers=0) as rt, opened(rt.settings) as bus:
        run = await rt.send("bank.payout", {"ticket": "T1", "groups": GROUPS})
        async with rt.worker():
            await rt.question()
        votes = [await cast(bus.requests, "T1", each) for each in STORY]
        await rt.crash(point, after=after)
        async with rt.worker(), rt.worker():
            assert (await rt.result())["by"] == "ada, dan"
            await expect(bus.requests, "T1", outcomes(votes, GROUPS, 2))
            assert await rt.client.questions() == []
        [question] = (await rt.state(run)).questions.values()
        stored = {each.seq: each.sent for each in votes}
        assert [stored[each.seq] for each in question.votes] == [STORY[0], STORY[3], STORY[4]]


@pytest.mark.parametrize("point", proofs_but(1, ["before_voted", "after_voted", "after_receipt"]))
async def test_a_vote_is_counted_once_and_its_receipt_says_so_whichever_worker_dies(
    layby_running: Running, point: str
) -> None:
    async with layby_running(APP, workers=0) as rt, opened(rt.settings) as bus:
        run = await rt.send("bank.payout", {"ticket": "T1", "quorum": 2})
        async with rt.worker():
            await rt.question()
        stored = await cast(bus.requests, "T1", Sent("finance", "ada", "yes"))
        await rt.crash(point)
        async with rt.worker():
            await expect(bus.requests, "T1", {stored.seq: {"counted"}})
            await until(lambda: is_handled(bus.requests, "ANSWERS.answers-finance"))
            assert await receipts(bus.requests, "T1") == {stored.seq: {"counted"}}
            [question] = (await rt.state(run)).questions.values()
            assert [(each.by, each.seq) for each in question.votes] == [("ada", stored.seq)]

            async def listed() -> bool:
                [row] = await rt.client.questions()
                return [each.by for each in row.votes] == ["ada"]

            await until(listed)


@pytest.mark.parametrize(
    "point", proofs_but(1, ["before_expired", "after_votes_in_time", "after_expired"])
)
@pytest.mark.parametrize("enough", proofs_but(1, [True, False]))
async def test_votes_in_time_count_at_the_deadline_whichever_worker_dies(
    layby_running: Running, point: str, *, enough: bool
) -> None:
    """Nobody was running when they came, and the answers are handled after the deadline."""
    async with layby_running(APP, workers=0) as rt, opened(rt.settings) as bus:
        run = await rt.send("bank.payout", {"ticket": "T1", "quorum": 2, "timeout": 1.5})
        async with rt.worker():
            await rt.question()
        await hold_answers(bus.requests)
        sent = [Sent("finance", "ada", "yes"), Sent("finance", "bob", "yes" if enough else "no")]
        votes = [await cast(bus.requests, "T1", each) for each in sent]
        await rt.crash(point)
        async with rt.worker():
            state = await ended(rt, run)
            [question] = state.questions.values()
            assert state.status == ("completed" if enough else "timed_out")
            assert question.status == ("answered" if enough else "expired")
            assert [each.seq for each in question.votes] == [each.seq for each in votes]
            assert question.by == ("ada, bob" if enough else "")


@pytest.mark.parametrize("seed", proofs_but(1, [1, 2, 3]))
async def test_votes_that_race_on_several_workers_count_in_the_order_of_the_stream(
    engine: Engine, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311
    tickets = [f"T{n}" for n in range(12)]
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(engine.works(app))
        for ticket in tickets:
            groups = GROUPS if chance.random() < 0.5 else {}
            body = {"ticket": ticket, "quorum": 2, **({"groups": groups} if groups else {})}
            await engine.client.send("bank.payout", body)
        asked = {row.ticket: row for row in await engine.questions(len(tickets))}

        async def poll(ticket: str) -> None:
            quorum = asked[ticket].quorum
            assert quorum is not None
            # Three of each, so that somebody is late; both say the same in the end.
            people = [Sent(role, by, "yes") for role in _PEOPLE for by in sorted(_PEOPLE[role])]
            sent = [each for each in people for _ in range(chance.choice([1, 1, 2]))]
            chance.shuffle(sent)
            votes = await asyncio.gather(*(cast(engine.wire, ticket, each) for each in sent))
            await expect(engine.wire, ticket, outcomes(votes, quorum.groups, quorum.number))
            [question] = (await engine.state(asked[ticket].run)).questions.values()
            counts = [
                seq
                for seq, said in (await receipts(engine.wire, ticket)).items()
                if said <= {"counted", "accepted"}
            ]
            assert [each.seq for each in question.votes] == sorted(counts)

        await asyncio.gather(*map(poll, tickets))
        assert await engine.client.questions() == []


async def expect(wire: Requests, ticket: str, wanted: dict[int, set[str]]) -> None:
    """Every vote gets the receipt that it must get, once all are there, and no other."""

    async def complete() -> bool:
        return (await receipts(wire, ticket)).keys() == wanted.keys()

    await until(complete)
    assert await receipts(wire, ticket) == wanted


async def ended(rt: TestRuntime, run: str) -> RunState:
    """A run's state once it has ended, however it did."""

    async def over() -> RunState | None:
        state = await rt.state(run)
        return state if state.ended else None

    return await until(over)


async def hold_answers(wire: Requests) -> None:
    """Let no worker have the answers to finance, so that the deadline is first."""
    await wire.api("CONSUMER.PAUSE.ANSWERS.answers-finance", {"pause_until": _LATER})


_LATER = "2100-01-01T00:00:00Z"
