"""A worker is killed with a claim, a pass or a decline in its hands: another one finishes it."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple

import msgspec
import pytest

from layby.actors.people.answer import Receipt
from layby.bus.reading import every
from layby.runtime.act_records import ClaimedQuestion, Declined, Passed, Said
from layby.runtime.envelope import decode
from layby.runtime.ladder_records import Reached
from layby.testing import TestRuntime
from tests.engine import is_handled, until
from tests.examples import proofs_but

pytestmark = [pytest.mark.nats, pytest.mark.slow, pytest.mark.timeout(240)]
Running = Callable[..., AbstractAsyncContextManager[TestRuntime]]
TARGET = "tests.claims_app:app"

SAID = [
    ("developer.claim.T1.ada", b"", "recorded"),
    ("developer.claim.T1.bob", b"", "already_claimed"),
    ("developer.pass.T1.ada", b"role:lead", "recorded"),
    ("developer.claim.T1.bob", b"", "recorded"),
    ("developer.decline.T1.bob", b"", "recorded"),
]
"""What is said, in this order, and what becomes of it."""


class Log(NamedTuple):
    """What the log holds of what was said."""

    said: list[tuple[str, str]]
    reached: list[int]


async def log_of(rt: TestRuntime, run: str) -> Log:
    messages = await rt._log.load(run)
    records = [record for each in messages for record in decode(each.data).records]
    kinds = (ClaimedQuestion, Passed, Declined)
    found: list[Said] = [each for each in records if isinstance(each, kinds)]
    places = [each.rung for each in records if isinstance(each, Reached)]
    return Log([(type(each).__name__, each.by) for each in found], places)


async def receipts(rt: TestRuntime) -> dict[int, set[str]]:
    """The outcomes in the receipts, by the sequence of what they are for."""
    found: dict[int, set[str]] = {}
    async for message in every(rt._requests, "QUESTIONS", "developer.receipt.T1"):
        receipt = msgspec.json.decode(message.data, type=Receipt)
        found.setdefault(receipt.seq, set()).add(receipt.outcome)
    return found


async def published(rt: TestRuntime, role: str) -> list[str]:
    """What was published for a role, by the name of who passed it on; `-` for anything else."""
    found = every(rt._requests, "QUESTIONS", f"{role}.question.T1")
    return [message.headers.get("Layby-Passed-By", "-") async for message in found]


async def at_rest(rt: TestRuntime) -> None:
    """Return when nothing that was said is unhandled."""

    consumers = ("ANSWERS.acts-developer", "RUNS.human-lead", "RUNS.human-boss")
    await until(lambda: is_handled(rt._requests, *consumers))


@pytest.mark.parametrize(
    ("point", "after"),
    proofs_but(
        1,
        [
            *(("before_act", n) for n in (1, 2, 3, 4)),
            *(("after_act", n) for n in (1, 2, 3, 4)),
            *(("after_act_shown", n) for n in (1, 2, 3, 4)),
            ("after_receipt", 1),
            ("after_receipt", 3),
            ("after_rung_published", 1),
            ("after_rung_recorded", 1),
        ],
    ),
)
async def test_all_acts_are_recorded_once_and_in_order(
    layby_running: Running, point: str, after: int
) -> None:
    async with layby_running(TARGET, workers=0) as rt:
        async with rt.worker():
            run = await rt.send("claims.asked", {"ticket": "T1"})
            await rt.question()
        expected: dict[int, set[str]] = {}
        async with rt.crashing(point, after=after):
            for subject, body, outcome in SAID:
                ack = await rt._requests.store(subject, body)
                expected[ack.seq] = {outcome}
        async with rt.worker():

            async def all_told() -> bool:
                return (await receipts(rt)).keys() == expected.keys()

            await until(all_told)
            await at_rest(rt)
            assert await receipts(rt) == expected, "told twice, it is told the same"
            log = await log_of(rt, run)
            assert log.said == [
                ("ClaimedQuestion", "ada"),
                ("Passed", "ada"),
                ("ClaimedQuestion", "bob"),
                ("Declined", "bob"),
            ]
            assert log.reached == [], "a lead may still answer"
            assert await published(rt, "lead") == ["ada"]
            [row] = await rt.client.questions("lead")
            assert (row.claim, row.declined) == (None, ["ada", "bob"])
            receipt = await rt.client.answer("T1", "yes", role="lead", timeout=30)
            assert receipt.outcome == "accepted"
            assert (await rt.result("T1"))["text"] == "yes"
            assert await rt.client.questions() == []


@pytest.mark.parametrize("point", proofs_but(1, ["before_act", "after_act", "after_act_shown"]))
@pytest.mark.parametrize("after", proofs_but(1, [1, 2]))
async def test_the_last_decline_asks_the_next_once(
    layby_running: Running, point: str, after: int
) -> None:
    async with layby_running(TARGET, workers=0) as rt:
        async with rt.worker():
            run = await rt.send("claims.asked", {"ticket": "T1"})
            await rt.question()
        async with rt.crashing(point, after=after):
            for person in ("ada", "bob"):
                await rt._requests.store(f"developer.decline.T1.{person}", b"")
        async with rt.worker():

            async def asked() -> list[str]:
                return await published(rt, "boss")

            assert await until(asked) == ["-"]
            await at_rest(rt)
            log = await log_of(rt, run)
            assert log.said == [("Declined", "ada"), ("Declined", "bob")]
            assert log.reached == [0]
            assert await published(rt, "boss") == ["-"]


class Stored(NamedTuple):
    """Something that was said, in its place in the stream."""

    seq: int
    verb: str
    by: str
    body: bytes


def expected_of(stored: list[Stored]) -> dict[int, set[str]]:
    """What each receipt must say, by the order of the stream alone."""
    holder = ""
    found: dict[int, set[str]] = {}
    for act in sorted(stored):
        outcome = "recorded"
        is_release = act.body == b'{"minutes": 0}'
        if act.verb == "claim" and holder not in {"", act.by}:
            outcome = "already_claimed"
        elif act.verb == "claim" and is_release and holder != act.by:
            outcome = "invalid"
        elif act.verb == "claim":
            holder = "" if is_release else act.by
        elif holder == act.by:
            holder = ""
        found[act.seq] = {outcome}
    return found


async def say_anything(rt: TestRuntime, rng: random.Random, count: int) -> list[Stored]:
    """Say `count` things, of three people, as fast as the stream takes them."""
    stored: list[Stored] = []
    for _ in range(count):
        verb = rng.choice(["claim", "claim", "claim", "pass", "decline"])
        by = rng.choice(["ada", "bob", "cleo"])
        body = {"claim": rng.choice([b"", b'{"minutes": 0}', b"{}"]), "pass": b"person:dan"}
        said = body.get(verb, b"")
        ack = await rt._requests.store(f"developer.{verb}.T1.{by}", said)
        stored.append(Stored(ack.seq, verb, by, said))
    return stored


@pytest.mark.parametrize("seed", proofs_but(1, range(4)))
async def test_acts_while_workers_die_have_the_outcome_of_their_place_in_the_stream(
    layby_running: Running, seed: int
) -> None:
    rng = random.Random(seed)  # noqa: S311
    async with layby_running(TARGET, workers=0) as rt:
        async with rt.worker():
            run = await rt.send("claims.asked", {"ticket": "T1"})
            await rt.question()
        stored: list[Stored] = []
        for _ in range(2):
            point = rng.choice(["before_act", "after_act", "after_act_shown", "after_receipt"])
            async with rt.crashing(point, after=rng.randint(1, 5)):
                stored += await say_anything(rt, rng, 14)
        async with rt.worker(), rt.worker():
            stored += await say_anything(rt, rng, 14)

            async def all_told() -> bool:
                return len(await receipts(rt)) == len(stored)

            await until(all_told)
            await at_rest(rt)
            assert await receipts(rt) == expected_of(stored)
            acts = next(iter((await rt.state(run)).acts.values()))
            assert [act.seq for act in acts] == sorted({act.seq for act in acts})
            recorded = {seq for seq, told in (await receipts(rt)).items() if told == {"recorded"}}
            again = recorded - {act.seq for act in acts}
            assert all(act.verb == "decline" for act in stored if act.seq in again), "said before"
