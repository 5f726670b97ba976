"""The desk: what channels hand in, whatever they hand in."""

from __future__ import annotations

from typing import Any

import pytest

from layby import Role, Step
from layby.bus.errors import InvalidTicket, NotConnected
from layby.bus.opened import opened
from layby.bus.settings import ConnectionSettings
from layby.client.desk import AnswerDesk
from layby.operations.provisioning import provision
from layby.runtime.channel import Desk, Inbound, Outcome
from tests.acceptance.test_votes import FINANCE, LEGAL
from tests.engine import Engine, app_of
from tests.fix_proxy import Proxy

pytestmark = pytest.mark.nats


def desk_of(engine: Engine, patience: float = 20.0) -> AnswerDesk:
    found = AnswerDesk(engine.connection, engine.wire, patience=patience)
    check: Desk = found
    assert check is found
    return found


def said(question: str, answer: Any = "yes", **more: Any) -> Inbound:
    fields: dict[str, Any] = {"ticket": "T1", "role": "finance", "person": "ada", **more}
    return Inbound(question=question, answer=answer, **fields)


async def pay(event: dict[str, Any], step: Step) -> list[str]:
    """Ask finance as the event says."""
    options = {key: event[key] for key in ("quorum", "accept") if key in event}
    answer = await step.ask("finance", "Pay <b>it</b>?", answer=bool, timeout=60, **options)
    return [answer.by, answer.vouched]


APP = app_of(pay, roles=[FINANCE, LEGAL, Role("lead")])


async def test_a_persons_words_become_an_answer_with_a_receipt(engine: Engine) -> None:
    async with engine.works(APP):
        run = await engine.start("T1")
        asked = await engine.question()
        desk = desk_of(engine)
        assert await desk.say(said(asked.id), via="slack") == Outcome(outcome="accepted", by="ada")
        assert await engine.result(run) == ["ada", "slack"]
        again = await desk.say(said(asked.id, person="bob"), via="link")
        assert (again.outcome, again.by) == ("already_answered", "ada")
        assert "ada answered" in again.reason


async def test_votes_and_refusals_are_reported_in_words(engine: Engine) -> None:
    async with engine.works(APP):
        run = await engine.start("T1", quorum=2, accept=["slack"])
        asked = await engine.question()
        desk = desk_of(engine)
        wrong = await desk.say(said(asked.id, "perhaps"), via="slack")
        assert (wrong.outcome, wrong.reason != "") == ("invalid", True)
        assert (await desk.say(said(asked.id), via="link")).outcome == "invalid"
        first = await desk.say(said(asked.id, answer=True), via="slack")
        assert (first.outcome, first.reason) == ("counted", "1 of 2 for 'yes'")
        assert (await desk.say(said(asked.id), via="slack")).outcome == "already_voted"
        assert (await desk.say(said(asked.id, person="zoe"), via="slack")).outcome == "invalid"
        assert (await desk.say(said(asked.id, person="bob"), via="slack")).outcome == "accepted"
        assert await engine.result(run) == ["ada, bob", "slack"]


async def test_an_answer_that_no_worker_handles_in_time_is_stored_and_counts_later(
    engine: Engine,
) -> None:
    async with engine.works(APP):
        run = await engine.start("T1")
        asked = await engine.question()
    outcome = await desk_of(engine, patience=0.2).say(said(asked.id), via="slack")
    assert (outcome.outcome, outcome.by) == ("stored", "ada")
    assert "applied when a worker runs" in outcome.reason
    async with engine.works(APP):
        assert await engine.result(run) == ["ada", "slack"]


@pytest.mark.parametrize(
    "fields",
    [
        {"person": "ada.via-slack"},
        {"person": "*"},
        {"person": ""},
        {"person": "a da\r\nPUB x 0"},
        {"person": "a" * 201},
        {"person": None},
        {"role": "finance.response.T2"},
        {"role": ">"},
        {"ticket": ""},
        {"ticket": "x" * 201},
        {"ticket": "\ud800"},
    ],
)
async def test_names_that_cannot_be_in_a_subject_are_refused(
    engine: Engine, fields: dict[str, Any]
) -> None:
    with pytest.raises(InvalidTicket):
        await desk_of(engine).say(said("q1", **fields), via="slack")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"answer": None}, "silence is never a yes"),
        ({"answer": "x" * 70_000}, "more than"),
        ({"answer": {"a": ["y" * 70_000]}}, "more than"),
        ({"answer": "\ud800"}, "UTF-8"),
        ({"answer": object()}, "not a JSON value"),
        ({"question": ""}, "names no question"),
        ({"question": "q" * 70_000}, "more than"),
    ],
)
async def test_an_impossible_answer_is_reported_and_not_stored(
    engine: Engine, fields: dict[str, Any], why: str
) -> None:
    whole: dict[str, Any] = {"question": "q1", "role": "lead", **fields}
    outcome = await desk_of(engine).say(said(**whole), via="slack")
    assert outcome.outcome == "invalid"
    assert why in outcome.reason


async def test_a_forged_question_ends_in_a_receipt(engine: Engine) -> None:
    async with engine.works(APP):
        await engine.start("T1")
        await engine.question()
        desk = desk_of(engine)
        for question in ("qaaaaaaaaaaa", "x' OR 1=1", "../../etc", "$JS.API", "\x00"):
            outcome = await desk.say(said(question), via="slack")
            assert outcome.outcome == "invalid"
        assert (await desk.say(said("q1", role="lead"), via="slack")).outcome == "unknown_ticket"
        assert (await desk.say(said("q1", ticket="T9"), via="slack")).outcome == "unknown_ticket"


async def test_an_unknown_voucher_is_a_mistake_of_the_channel(engine: Engine) -> None:
    with pytest.raises(ValueError, match="slack, link, token, proxy"):
        await desk_of(engine).say(said("q1"), via="nats")  # type: ignore[arg-type]


async def test_a_question_is_shown_as_it_is_now(engine: Engine) -> None:
    async with engine.works(APP):
        run = await engine.start("T1", quorum=2, accept=["slack"])
        asked = await engine.question()
        desk = desk_of(engine)
        card = await desk.card("T1", asked.id, "finance")
        assert card is not None
        assert (card.text, card.role, card.status) == ("Pay <b>it</b>?", "finance", "open")
        assert card.accept == ("slack",)
        await desk.say(said(asked.id), via="slack")
        card = await desk.card("T1", asked.id, "finance")
        assert card is not None
        assert [vote.by for vote in card.votes] == ["ada"]
        await desk.say(said(asked.id, person="bob"), via="slack")
        await engine.result(run)
        card = await desk.card("T1", asked.id, "finance")
        assert card is not None
        assert (card.status, card.by, card.run_status) == ("answered", "ada, bob", "completed")


@pytest.mark.parametrize(
    ("ticket", "question", "role"),
    [
        ("T1", "qaaaaaaaaaaa", "finance"),
        ("T1", None, "lead"),
        ("T2", None, "finance"),
        ("T1", None, "*"),
    ],
)
async def test_a_question_that_was_not_asked_has_no_card(
    engine: Engine, ticket: str, question: str | None, role: str
) -> None:
    async with engine.works(APP):
        await engine.start("T1")
        asked = await engine.question()
        assert await desk_of(engine).card(ticket, question or asked.id, role) is None


@pytest.mark.slow
async def test_an_act_that_was_not_sent_is_not_reported_as_stored(
    clean_nats: str, proxy: Proxy
) -> None:
    settings = ConnectionSettings(servers=(clean_nats,))
    await provision(APP, settings)
    async with opened(ConnectionSettings(servers=(proxy.url,))) as bus:
        desk = AnswerDesk(bus.connection, bus.requests)
        proxy.hold()
        with pytest.raises(NotConnected, match="nothing was sent"):
            await desk.say(said("q1"), via="slack")
        proxy.release()
    async with opened(settings) as bus:
        state = (await bus.requests.api("STREAM.INFO.ANSWERS"))["state"]
    assert state["messages"] == 0


async def test_people_claim_pass_on_and_decline_through_a_channel(engine: Engine) -> None:
    async with engine.works(APP):
        await engine.start("T1")
        asked = await engine.question()
        desk = desk_of(engine)
        claimed = await desk.say(said(asked.id, None, says="claim"), via="slack")
        assert (claimed.outcome, claimed.by) == ("recorded", "ada")
        other = await desk.say(said(asked.id, None, says="claim", person="bob"), via="link")
        assert (other.outcome, other.by) == ("already_claimed", "ada")
        passed = await desk.say(said(asked.id, None, says="pass", text="role:lead"), via="slack")
        assert passed.outcome == "recorded"
        assert await desk.card("T1", asked.id, "lead") is not None
        declined = await desk.say(said(asked.id, None, says="decline", person="cleo"), via="slack")
        assert declined.outcome == "recorded"
        wrong = await desk.say(said(asked.id, None, says="pass", text=""), via="slack")
        assert wrong.outcome == "invalid"
        unknown = said(asked.id, None, says="dance", text="Who?")
        assert (await desk.say(unknown, via="slack")).outcome == "invalid"
