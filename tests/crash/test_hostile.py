"""Hostile messages to a worker: it continues, and reports them."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from layby import Step
from layby.actors.people.answer import Receipt
from layby.bus.errors import BusError
from layby.bus.log_subject import subject
from layby.bus.reading import every
from layby.commands import VERBS, CommandOutcome
from layby.runtime.entry import Answered, Asked, Ended, Raw, Record, Started, Stepped
from layby.runtime.envelope import Envelope
from layby.runtime.ports import Due
from tests.engine import ON, WORKFLOW, Engine, app_of, until

pytestmark = [pytest.mark.nats, pytest.mark.slow]

COUNT = 200
ODD = "developer.response.=ZZ.mallory"
"""A subject for answers with an impossible ticket."""
RECORDS: list[Record] = [
    Started(workflow=WORKFLOW, actor="workflow-handle", version="1", ticket="H", event=Raw(b"{}")),
    Stepped(frame="w", key="a", result=Raw(b"1")),
    Asked(frame="w", key="q", id="q1", role="developer", question="?", deadline=9.0),
    Answered(id="q1", text="yes"),
    Ended(status="completed"),
]
WHOLE = {
    "event": msgspec.json.encode({"ticket": "H1", "count": 1}),
    "answer": msgspec.json.encode({"answer": "yes", "questionId": "q1", "by": "ada"}),
    "due": msgspec.json.encode(
        Due(kind="question", run="r", at=9.0, role="developer", ticket="H1", question="q1")
    ),
    "command": b'{"run":"0123456789abcdef0123","older_than":9e9,"letter":1,"since":9,"why":"x"}',
    "log": msgspec.json.encode(Envelope(op="x-1", at=1.0, cause=1, records=RECORDS)),
}


def spoilt(draw: random.Random, whole: bytes) -> bytes:
    """Something like `whole`, with a few bytes changed, lost or added; or rubbish."""
    if draw.random() < 0.2:
        return draw.randbytes(draw.randint(0, 40))
    text = bytearray(whole)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(text) + 1)
        text[at : at + draw.randint(0, 2)] = draw.choice(
            [b"", b"{", b'"', b"\\", b"\xff", b"\x00", b"9", b"null", b"[[", draw.randbytes(2)]
        )
    return bytes(text)


async def handle(event: dict[str, Any], step: Step) -> str:
    del event
    return (await step.ask("developer", "go on?")).text


@pytest.mark.timeout(240)
async def test_rubbish_stops_no_run_and_is_reported(engine: Engine) -> None:
    draw = random.Random(1)  # noqa: S311
    answers, commands = set[int](), set[int]()

    async def publish(to: str, kind: str) -> int:
        try:
            return (await engine.wire.store(to, spoilt(draw, WHOLE[kind]))).seq
        except BusError:
            return 0  # the stream itself refused it

    async with engine.works(app_of(handle)):
        for n in range(COUNT):
            run = f"{draw.getrandbits(32):08x}"
            await publish(ON, "event")
            answers.add(await publish(draw.choice(["developer.response.H1", ODD]), "answer"))
            await publish(f"due.{n}", "due")
            who, verb = draw.choice(["ada", "=ZZ"]), draw.choice([*VERBS, "explode"])
            commands.add(await publish(f"layby.do.{verb}.{who}", "command"))
            actor = draw.choice(["workflow-handle", "human-developer"])
            await publish(subject(actor, run, 1), "log")
            await publish(subject(actor, run, 2), "log")
        run = await engine.start("good")
        await engine.question(run=run)
        assert (await engine.answer("good")).outcome == "accepted"
        assert await engine.result(run) == "yes"
        await until(lambda: receipts_for(engine, answers - {0}))
        await until(lambda: outcomes_of(engine, commands - {0}))


async def receipts_for(engine: Engine, answers: set[int]) -> bool:
    """Whether every answer has a receipt."""
    reported = {
        msgspec.json.decode(message.data, type=Receipt).seq
        async for message in every(engine.wire, "QUESTIONS", "developer.receipt.*")
    }
    return reported >= answers


async def outcomes_of(engine: Engine, commands: set[int]) -> bool:
    """Whether every command has an outcome."""
    reported = {
        msgspec.json.decode(message.data, type=CommandOutcome).seq
        async for message in every(engine.wire, "AUDIT", "layby.done.*.*")
    }
    return reported >= commands
