"""What outsiders send in masses holds up neither runs nor answers; counted, not timed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from layby import App, Step
from layby.actors.people.early_answers import EarlyAnswers, Found
from layby.actors.people.human import Human
from layby.bus.mailbox import Delivery
from layby.bus.reading import every
from layby.bus.requests import PubAck, Requests
from layby.bus.wire import Message
from tests.engine import Engine, app_of, is_handled, until

pytestmark = [pytest.mark.nats, pytest.mark.timeout(120)]

MANY = 3_000
SOME = 400


async def one_question(event: dict[str, Any], step: Step) -> str:
    """Ask once; the answer is the run's result."""
    return (await step.ask("developer", "Well?", timeout=event.get("timeout", 60))).text


async def no_question(event: dict[str, Any], step: Step) -> str:
    """Do one thing."""
    return await step.run("thing", lambda: str(event["ticket"]))


async def sent(engine: Engine, subject: str, text: str | bytes) -> PubAck:
    """Store an answer; no worker is waited for."""
    data = text.encode() if isinstance(text, str) else text
    return await engine.wire.store(f"developer.response.{subject}", data)


async def flooded(engine: Engine, subjects: Iterable[str], body: bytes = b"yes") -> None:
    """Store a message on each subject, many at once."""
    left = iter(subjects)

    async def some() -> None:
        for subject in left:
            await engine.wire.store(subject, body)

    await asyncio.gather(*(some() for _ in range(64)))


@asynccontextmanager
async def replies(monkeypatch: pytest.MonkeyPatch, stream: str) -> AsyncGenerator[list[list[int]]]:
    """The bytes of each message in each reply with messages of a stream, meanwhile."""
    read: list[list[int]] = []
    get = Requests.direct_get

    async def counting(self: Requests, name: str, body: Any) -> list[Message]:
        found = await get(self, name, body)
        if name == stream:
            read.append([len(each.data) for each in found if not each.status])
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Requests, "direct_get", counting)
        yield read


def nobody_asked(count: int) -> Iterable[str]:
    """Subjects of answers to tickets that nobody has opened."""
    return (f"developer.response.F{number}.mallory" for number in range(count))


async def receipts(engine: Engine, ticket: str) -> list[dict[str, Any]]:
    """Of a ticket, as stored."""
    found = every(engine.wire, "QUESTIONS", f"developer.receipt.{ticket}")
    return [msgspec.json.decode(message.data) async for message in found]


async def handled(engine: Engine, consumer: str, stream: str = "ANSWERS") -> int:
    """How many messages of a consumer are acknowledged, without a gap."""
    info = await engine.wire.api(f"CONSUMER.INFO.{stream}.{consumer}")
    return int(info["ack_floor"]["consumer_seq"])


async def all_handled(engine: Engine, consumer: str = "answers-developer") -> None:
    await until(lambda: is_handled(engine.wire, f"ANSWERS.{consumer}"), within=60)


async def asked(engine: Engine, app: App, *tickets: str) -> list[str]:
    """Runs that wait for an answer, and no worker is up."""
    async with engine.works(app):
        runs = [await engine.start(ticket) for ticket in tickets]
        await engine.questions(len(tickets))
    return runs


@pytest.mark.parametrize("place", ["T1", "T1.ada"])
async def test_a_valid_answer_overtakes_thousands_that_nobody_asked_for(
    engine: Engine, place: str
) -> None:
    app = app_of(one_question)
    [run] = await asked(engine, app, "T1")
    await flooded(engine, nobody_asked(MANY))
    won = await sent(engine, place, "go on")
    async with engine.works(app):
        assert await engine.result(run) == "go on"
        assert await handled(engine, "answers-developer") < MANY // 2
        assert [(r["seq"], r["outcome"]) for r in await receipts(engine, "T1")] == [
            (won.seq, "accepted")
        ]


async def test_the_first_of_the_answers_taken_early_wins(engine: Engine) -> None:
    app = app_of(one_question)
    [run] = await asked(engine, app, "T1")
    await flooded(engine, nobody_asked(SOME))
    bad = await sent(engine, "T1.eve", '{"answer": ')
    first = await sent(engine, "T1.ada", "first")
    second = await sent(engine, "T1.bob", "second")
    await flooded(engine, nobody_asked(SOME))
    async with engine.works(app):
        assert await engine.result(run) == "first"
        await all_handled(engine)
        outcomes = {(r["seq"], r["outcome"]) for r in await receipts(engine, "T1")}
        assert outcomes == {
            (bad.seq, "invalid"),
            (first.seq, "accepted"),
            (second.seq, "already_answered"),
        }


@pytest.mark.slow
async def test_an_answer_taken_early_gets_the_same_receipt_again_in_its_turn(
    engine: Engine,
) -> None:
    app = app_of(one_question)
    [run] = await asked(engine, app, "T1")
    await flooded(engine, nobody_asked(MANY))
    won = await sent(engine, "T1.ada", "go on")
    async with engine.works(app):
        assert await engine.result(run) == "go on"
        assert await handled(engine, "answers-developer") < MANY
    async with engine.works(app):
        await all_handled(engine)
    outcomes = [(r["seq"], r["outcome"]) for r in await receipts(engine, "T1")]
    assert outcomes == [(won.seq, "accepted")] * 2
    assert (await engine.state(run)).status == "completed"


async def test_an_answer_taken_early_while_it_is_delivered_gets_one_receipt(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_of(one_question)
    [run] = await asked(engine, app, "T1")
    await flooded(engine, nobody_asked(SOME))
    won = await sent(engine, "T1.ada", "go on")
    early, has_taken = Human._take_early, EarlyAnswers.has_taken
    knows = EarlyAnswers.knows
    delivered, begun = asyncio.Event(), asyncio.Event()

    async def waits_for_delivery(human: Human, found: Found) -> bool:
        begun.set()
        await asyncio.wait_for(delivered.wait(), 30)
        return await early(human, found)

    async def notes_delivery(answers: EarlyAnswers, delivery: Delivery) -> bool:
        if delivery.seq == won.seq:
            await asyncio.wait_for(begun.wait(), 30)
            delivered.set()
        return await has_taken(answers, delivery)

    def waits_if_it_is_that(answers: EarlyAnswers, delivery: Delivery) -> bool:
        return knows(answers, delivery) or delivery.seq == won.seq

    monkeypatch.setattr(Human, "_take_early", waits_for_delivery)
    monkeypatch.setattr(EarlyAnswers, "knows", waits_if_it_is_that)
    monkeypatch.setattr(EarlyAnswers, "has_taken", notes_delivery)
    async with engine.works(app):
        assert await engine.result(run) == "go on"
        await all_handled(engine)
    assert [(r["seq"], r["outcome"]) for r in await receipts(engine, "T1")] == [
        (won.seq, "accepted")
    ]


async def test_a_flood_on_open_tickets_leaves_turns_for_other_people(engine: Engine) -> None:
    app = app_of(one_question)
    tickets = [f"M{number}" for number in range(10)]
    runs = await asked(engine, app, "T1", *tickets)
    await flooded(
        engine,
        (f"developer.response.{ticket}.mallory" for ticket in tickets * 90),
        b'{"answer": null}',
    )
    await sent(engine, "T1.ada", "go on")
    async with engine.works(app):
        assert await engine.result(runs[0]) == "go on"
        assert await handled(engine, "answers-developer") < 900
        await all_handled(engine)
        outcomes = [r["outcome"] for r in await receipts(engine, "M1")]
        assert outcomes == ["invalid"] * 90
        assert len(await engine.questions(len(tickets))) == len(tickets), "all are still open"


async def test_events_of_one_trigger_do_not_wait_for_those_of_another(engine: Engine) -> None:
    app = app_of(one_question)
    app.workflow(on="desk.flooded", key="ticket", name="flooded")(no_question)
    [run] = await asked(engine, app, "T1")
    await flooded(engine, ["desk.flooded"] * MANY, b'{"ticket": "F"}')
    other = await engine.start("T2")
    await sent(engine, "T1", "go on")
    async with engine.works(app):
        assert await engine.result(run) == "go on"
        await engine.question(run=other)
        assert await handled(engine, "on-flooded", "EVENTS") < MANY // 2


async def test_without_the_lookahead_consumer_all_answers_are_taken_in_order(
    engine: Engine,
) -> None:
    app = app_of(one_question)
    [run] = await asked(engine, app, "T1")
    await flooded(engine, nobody_asked(SOME))
    await sent(engine, "T1", "go on")
    async with engine.works(app):
        await engine.wire.api("CONSUMER.DELETE.ANSWERS.look-developer")
        assert await engine.result(run) == "go on"
        await all_handled(engine)
