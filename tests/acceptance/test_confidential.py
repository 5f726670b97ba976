"""Confidential questions: nobody reads in plain what they say, and anybody can still answer."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import AsyncIterator
from typing import Any, Literal

import msgspec
import pytest
from pydantic import BaseModel

from layby import Agent, App, AskOnFailure, Keyring, Role, Step, tool
from layby.actors.people.arrivals import Arrivals
from layby.actors.people.parked_question import ParkedQuestion, parked_question
from layby.bus.bucket import Bucket
from layby.bus.errors import Erased, KeyMissing
from layby.bus.reading import every
from layby.client.signing import NotToBeSigned, Published, sign_answer
from layby.runtime.errors import InvalidSetup
from layby.runtime.vouched import SIGNATURE
from layby.tools import approval
from layby.tools.ask_developer import make_ask
from layby.views.rows import QuestionRow
from tests.acceptance.test_encryption import keyring, stored
from tests.engine import Engine, app_of, desk, until
from tests.scripted import Scripted, calls, says
from tests.signing_desk import ADA

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]

CANARY = "zq7canary"
OPTIONS = (f"{CANARY}a", f"{CANARY}b")


class Choice(BaseModel):
    """What zq7canary is."""

    zq7canary_field: Literal["zq7canary1", "zq7canary2"]


@pytest.fixture
def ring() -> Keyring:
    return keyring()


@pytest.fixture
async def engine(clean_nats: str, ring: Keyring) -> AsyncIterator[Engine]:
    """Who looks on holds the keys."""
    async with Engine.at(clean_nats, ring) as engine:
        yield engine


@pytest.fixture
async def stranger(clean_nats: str) -> AsyncIterator[Engine]:
    """Who looks on without a key."""
    async with Engine.at(clean_nats) as engine:
        yield engine


async def leaks(engine: Engine) -> list[str]:
    """Where the canary can be read: in no stream at all."""
    return [
        f"{stream}: {subject}"
        for stream, messages in (await stored(engine.wire)).items()
        for subject, data in messages
        if CANARY.encode() in data
    ]


async def published(engine: Engine) -> list[dict[str, Any]]:
    found = every(engine.wire, "QUESTIONS", "*.question.>")
    return [msgspec.json.decode(message.data) async for message in found]


def asking(ring: Keyring | None, **options: Any) -> App:
    async def handle(event: dict[str, Any], step: Step) -> Any:
        wanted: Any = {"bool": bool, "choice": Literal[OPTIONS], "model": Choice}.get(
            event.get("form", ""), str
        )
        answer = await step.ask(
            "developer",
            f"Is it {CANARY}?",
            context=f"It may be {CANARY}.",
            agent=f"agent {CANARY}",
            answer=wanted,
            confidential=True,
            **options,
        )
        return answer.text

    return app_of(handle, encryption=ring)


async def test_a_confidential_question_is_in_no_message_of_any_stream(
    engine: Engine, stranger: Engine, ring: Keyring
) -> None:
    async with engine.works(asking(ring)):
        run = await engine.start()
        mine = await engine.question(run=run)
        await until(lambda: engine.client.runs(ticket="T1"))
        assert (mine.question, mine.context) == (f"Is it {CANARY}?", f"It may be {CANARY}.")
        assert (mine.confidential, mine.encrypted) == (True, False)
        assert await leaks(engine) == []
        [row] = await stranger.client.questions()
        assert (row.question, row.context, row.agent) == ("(encrypted)", "", "")
        assert (row.id, row.run, row.deadline) == (mine.id, run, mine.deadline)
        assert (row.confidential, row.encrypted) == (True, True)
        assert row == (await stranger.client.asked("T1"))[0]
        assert [q.id for q in (await stranger.client.show(run)).questions] == [mine.id]
        assert (await engine.client.asked("T1"))[0].question == f"Is it {CANARY}?"
        assert [q.id for q in await engine.client.questions(text=CANARY)] == [mine.id]
        assert await stranger.client.questions(text=CANARY) == []
        [shown] = await published(engine)
        assert (shown["question"], shown["encrypted"]) == ("(encrypted)", True)
        assert {"id", "ticket", "role", "run", "deadline", "answer_with"} <= shown.keys()
        body = shlex.split(shown["answer_with"][0])[-1]
        assert (await stranger.say(json.loads(body))).outcome == "accepted"
        assert await engine.result(run) == "your answer"
    assert await leaks(engine) == []


@pytest.mark.parametrize(
    ("form", "answers"),
    [
        ("bool", ("perhaps", "yes")),
        ("choice", ("neither", OPTIONS[1])),
        ("model", ("{}", json.dumps({"zq7canary_field": "zq7canary2"}))),
    ],
)
async def test_a_form_is_encrypted_and_enforced(
    engine: Engine, stranger: Engine, ring: Keyring, form: str, answers: tuple[str, str]
) -> None:
    wrong, right = answers
    async with engine.works(asking(ring)):
        run = await engine.start(form=form)
        mine = await engine.question(run=run)
        assert mine.form is not None
        [row] = await stranger.client.questions()
        assert row.form == ({"type": "boolean"} if form == "bool" else None)
        receipt = await stranger.answer(text=wrong)
        assert receipt.outcome == "invalid"
        assert "does not have the form" in (receipt.reason or "")
        assert await leaks(engine) == []
        assert (await stranger.answer(text=right)).outcome == "accepted"
        assert await engine.result(run) == right


async def test_a_form_is_enforced_when_no_earlier_answer_can_matter(
    engine: Engine, ring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_earlier(*_: Any) -> bool:
        return False

    monkeypatch.setattr(Arrivals, "may_have_earlier", no_earlier)
    async with engine.works(asking(ring)):
        run = await engine.start(form="choice")
        await engine.question(run=run)
        assert (await engine.answer(text="neither")).outcome == "invalid"
        assert (await engine.answer(text=OPTIONS[0])).outcome == "accepted"
        await engine.result(run)


async def test_receipts_do_not_quote_a_confidential_question(
    engine: Engine, stranger: Engine, ring: Keyring
) -> None:
    """The candidates of an ambiguous answer are plain, and on a subject that many may read."""
    async with engine.works(asking(ring)):
        runs = [await engine.start(form="choice"), await engine.start(form="choice")]
        rows = await engine.questions(2)
        receipt = await stranger.answer(text=OPTIONS[0][-1])
        assert receipt.outcome == "ambiguous"
        assert {c.id: c.question for c in receipt.candidates} == {
            row.id: "(encrypted)" for row in rows
        }
        assert await leaks(engine) == []
        for row in rows:
            await stranger.answer(text=OPTIONS[0], question_id=row.id)
        for run in runs:
            await engine.result(run)


@tool(needs_approval=True, confidential=True, on_failure="ask")
async def refund(order: str) -> str:
    """Give a customer money back."""
    raise RuntimeError(f"no account {order}")


async def test_an_approval_a_failure_and_a_models_own_question_are_encrypted(
    engine: Engine, stranger: Engine, ring: Keyring
) -> None:
    ask = make_ask(confidential=True, name="ask")
    script = Scripted(
        calls(("refund", {"order": CANARY})),
        calls(("ask", {"question": CANARY, "context": CANARY})),
        says("Done."),
    )
    agent = Agent("Clerk", tools=[refund, ask], model=script)
    async with engine.works(desk(agent, encryption=ring)):
        run = await engine.start()
        mine = await engine.question(run=run)
        assert f"order='{CANARY}'" in mine.question or CANARY in mine.question
        [row] = await stranger.client.questions()
        assert row.question == "(encrypted)"
        assert [shlex.split(line)[-1] for line in row.answer_with] == [
            json.dumps({"questionId": mine.id, "answer": f"approve {mine.digest}"}),
            json.dumps({"questionId": mine.id, "answer": "reject: why"}),
        ]
        [shown] = await published(engine)
        assert "one of: approve, reject: why" in shown["answer"]["form"]
        # What is shown of the call confirms no guess at its arguments.
        full = refund.validate({"order": CANARY})
        guess = approval.digest_of(refund, {"order": CANARY}, full)
        assert row.digest not in {guess, approval.question_digest(guess, row.id)}
        wrong = await stranger.answer(text=f"perhaps {mine.digest}")
        assert wrong.reason is not None
        assert "answer one of: approve" in wrong.reason
        assert (await stranger.say(f"approve {row.digest}")).question == mine.id

        async def after(seen: set[str]) -> QuestionRow | None:
            rows = await engine.client.questions()
            return next((row for row in rows if row.id not in seen), None)

        failed = await until(lambda: after({mine.id}))
        assert f"no account {CANARY}" in failed.question
        assert await leaks(engine) == []
        await stranger.answer(text="fail", question_id=failed.id)
        asked = await until(lambda: after({mine.id, failed.id}))
        assert asked.question == CANARY
        assert await leaks(engine) == []
        await stranger.answer(text="yes", question_id=asked.id)
        await engine.result(run)
    assert await leaks(engine) == []


async def test_an_expired_question_reveals_nothing_either(engine: Engine, ring: Keyring) -> None:
    async with engine.works(asking(ring, timeout=0.2)):
        run = await engine.start()
        state = await engine.ended(run)
    assert state.status == "timed_out"
    assert state.error.endswith(f"question {next(iter(state.questions))}")
    assert await leaks(engine) == []


async def test_an_app_without_keys_cannot_ask_confidential_questions(engine: Engine) -> None:
    agent = Agent("Clerk", tools=[refund], model=Scripted(says("Done.")))
    with pytest.raises(InvalidSetup, match=r"tool 'refund' is confidential=True.*encryption="):
        desk(agent)
    with pytest.raises(InvalidSetup, match="give needs_approval= or on_failure="):
        tool(confidential=True)(lambda: None)
    async with engine.works(asking(None)):
        run = await engine.start()
        block = await engine.blocked(run)
        assert "the app is not encrypted: give it App(encryption=" in block.reason
        assert await published(engine) == []


async def test_a_run_that_began_plain_cannot_ask_confidential_questions(
    engine: Engine, ring: Keyring
) -> None:
    def app(ring: Keyring | None) -> App:
        async def handle(event: dict[str, Any], step: Step) -> None:
            del event
            await step.ask("developer", "Go on?")
            await step.ask("developer", CANARY, confidential=True, name="later")

        return app_of(handle, encryption=ring, version="1")

    async with engine.works(app(None)):
        run = await engine.start()
        await engine.question(run=run)
    async with engine.works(app(ring)):
        await engine.answer()
        assert "began before its app was encrypted" in (await engine.blocked(run)).reason
        assert await leaks(engine) == []


async def test_a_signature_is_for_what_was_seen(
    engine: Engine, stranger: Engine, ring: Keyring
) -> None:
    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        answer = await step.ask("approver", f"Pay {CANARY}?", confidential=True)
        return f"{answer.by} ({answer.vouched}): {answer.text}"

    role = Role("approver", keys={"ada": ADA.public})
    async with engine.works(app_of(handle, encryption=ring, roles=["developer", role])):
        run = await engine.start()
        mine = await engine.question(run=run)
        [row] = await stranger.client.questions()
        assert (row.sha256, row.accept) == ("", [SIGNATURE])
        assert mine.sha256
        [shown] = await published(engine)
        assert shown["sign"]["people"] == ["ada"]
        assert "sha256" not in shown["sign"]
        with pytest.raises(NotToBeSigned, match="is encrypted"):
            sign_answer(row, "yes", by="ada", signer=ADA)
        taken = Published.read(msgspec.json.encode(shown))
        with pytest.raises(NotToBeSigned, match="is encrypted"):
            sign_answer(taken, "yes", by="ada", signer=ADA)
        listed = Published.read(msgspec.json.encode(mine))
        signature = sign_answer(listed, "yes", by="ada", signer=ADA).signature
        receipt = await stranger.answer(
            role="approver", question_id=row.id, responder="ada", signature=signature
        )
        assert receipt.outcome == "accepted"
        assert await engine.result(run) == "ada (signature): yes"
    assert await leaks(engine) == []


async def test_nobody_can_read_what_an_erased_run_has_asked(
    engine: Engine, ring: Keyring, clean_nats: str
) -> None:
    async with engine.works(asking(ring)):
        run = await engine.start()
        mine = await engine.question(run=run)
        record = (await published(engine))[0]
        assert await engine.client.erase_run("desk", run)
        assert await engine.client.questions() == []
        [row] = await engine.client.asked("T1")
        assert (row.id, row.question, row.status) == (mine.id, "(erased)", "cancelled")
    async with Engine.at(clean_nats, ring) as looking:
        assert looking.wire.vault is not None
        sealed = base64.b64decode(record["sealed"])
        with pytest.raises(Erased, match="was destroyed"):
            await looking.wire.vault.opened(run, sealed, f"question {mine.id}")


async def test_sealed_content_moved_to_another_question_cannot_be_decrypted(
    engine: Engine, ring: Keyring
) -> None:
    """Whoever can write the bucket cannot have people answer one question by another's words."""

    async def handle(event: dict[str, Any], step: Step) -> None:
        del event
        asks = (step.ask("developer", each, confidential=True, name=each) for each in "ab")
        await step.gather(*asks)

    async with engine.works(app_of(handle, encryption=ring)):
        await engine.start()
        first, second = await engine.questions(2)
        bucket = Bucket(engine.wire, "questions")
        keys = [f"developer.T1.{row.id}" for row in (first, second)]
        rows = [await bucket.get_newest(key) for key in keys]
        bodies = [msgspec.json.decode(row.value) for row in rows if row is not None]
        bodies[0]["question"]["sealed"] = bodies[1]["question"]["sealed"]
        await bucket.put(keys[0], msgspec.json.encode(bodies[0]))
        found = {row.id: row.question for row in await engine.client.questions()}
        assert found == {first.id: "(encrypted)", second.id: second.question}


async def test_nothing_confidential_is_stored_where_there_is_no_key(
    engine: Engine, stranger: Engine, ring: Keyring
) -> None:
    """The last gate: what is to be stored is sealed or refused, whatever asked for it."""
    from layby.actors.people.confidential import sealed  # noqa: PLC0415

    async with engine.works(asking(ring)):
        run = await engine.start()
        await engine.question(run=run)
        state = await engine.state(run)
    [question] = state.questions.values()
    plain: ParkedQuestion = parked_question(state, question)
    with pytest.raises(KeyMissing):
        await sealed(stranger.wire.vault, plain)


def test_on_failure_can_be_confidential_too() -> None:
    assert AskOnFailure(confidential=True).confidential


async def test_what_is_asked_back_about_a_confidential_question_is_plain_where_it_was_sent_alone(
    engine: Engine, stranger: Engine, ring: Keyring
) -> None:
    """Whoever asks back with a nats CLI publishes that in plain; nothing repeats it."""

    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        asked = await step.ask(
            "developer", "Known?", confidential=True, explain=lambda _: f"It is {CANARY}."
        )
        return asked.text

    async with engine.works(app_of(handle, encryption=ring)):
        run = await engine.start()
        await engine.question()
        receipt = await engine.client.ask_back("T1", f"Is it {CANARY}?", by="ada", reply_within=30)
        assert (receipt.outcome, receipt.reply) == ("replied", msgspec.UNSET)

        async def replied() -> list[QuestionRow]:
            rows = await engine.client.questions()
            return [row for row in rows if row.asked_back and row.asked_back[0].replied_at]

        [row] = await until(replied)
        assert row.asked_back[0].reply == f"It is {CANARY}."
        [veiled] = await stranger.client.questions()
        assert (veiled.asked_back[0].by, veiled.asked_back[0].reply) == ("ada", "")
        assert {each.partition(":")[0] for each in await leaks(engine)} == {"ANSWERS"}
        await engine.answer()
        await engine.result(run)
        assert {each.partition(":")[0] for each in await leaks(engine)} == {"ANSWERS"}
