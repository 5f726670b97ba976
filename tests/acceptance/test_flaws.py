"""The flaws of the example that this one is modelled on, and that it must not have.

The numbers are those of the list of flaws found in Inngest AgentKit's support agent example. Each
that can apply has a test named `test_flaw_NN_...`; these cannot:

== ======================================================= =======================================
NN flaw there                                              why it cannot apply here
== ======================================================= =======================================
19 served under another app id than the function's client  there is no second id: workers find their
                                                           work by the streams (typed event: tested)
20 the documentation names an event that does not exist,   pages of another product; what is left,
   forgets imports and to hand out the tool                an unknown ticket and the tool, is tested
21 pinned to old versions, casts, no test                  this file is the test; mypy and pyright
                                                           run strictly over the example
22 a tool needs a step that may be missing                 `ToolContext` is complete and required:
                                                           leaving it out is a type error
== ======================================================= =======================================
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from examples.support_agent import agents
from examples.support_agent.data import RELEASE_NOTES
from examples.support_agent.models import default_model, model_notice
from examples.support_agent.tools import search_latest_release_notes
from layby.models import ModelRequest, ModelResponse, anthropic
from tests.acceptance.support_desk import (
    OPENED,
    Desk,
    calls,
    offers,
    read,
    routes,
    says,
)
from tests.engine import until
from tests.fix_messages import MessagesApi, call

pytestmark = pytest.mark.nats

FIXED = "Fixed in v1.1.4: please upgrade."


@pytest.fixture
async def desk(
    clean_nats: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    monkeypatch.setenv("LAYBY_DATA", str(tmp_path))
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    async with Desk.at(clean_nats, tmp_path) as desk:
        yield desk


@pytest.mark.parametrize(
    "payload",
    [
        {"answer": FIXED},
        {"response": FIXED},
        {"text": FIXED},
        {"ticketId": "T125", "answer": FIXED, "timestamp": "2026-01-01T00:00:00Z"},
        FIXED,
    ],
    ids=["answer", "response", "text", "seed", "plain"],
)
async def test_flaw_01_every_form_of_answer_reaches_the_customer(
    desk: Desk, payload: dict[str, str] | str
) -> None:
    data = payload if isinstance(payload, str) else json.dumps(payload)
    async with desk.worker():
        await desk.opened("T125")
        await desk.questions()
        await desk.stranger.publish("developer.response.T125", data.encode())
        run = await desk.ended("T125")
    assert FIXED in run.result["reply"]


def test_flaw_02_the_documented_key_is_the_one_that_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "unused")
    assert default_model().name == "offline-script"
    assert model_notice().startswith("No ANTHROPIC_API_KEY")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test")
    assert default_model().name == "claude-haiku-4-5"
    assert "claude-haiku-4-5" in model_notice()


async def test_flaw_03_a_person_sees_what_is_asked(desk: Desk) -> None:
    async with desk.worker():
        await desk.opened("T125")
        [row] = await desk.questions()
        message = json.loads(await desk.published("QUESTIONS"))
        [run] = await until(lambda: desk.client.runs("waiting"))
    assert (row.ticket, row.agent, row.role) == ("T125", "Technical Support", "developer")
    assert "/api/v1/users" in row.question
    assert "Priority: critical" in row.context
    assert row.deadline > row.asked_at
    assert run.id == row.run
    for name in ("id", "question", "context", "deadline", "run"):
        assert message[name] == getattr(row, name)
    assert message["answer"]["subject"] == "developer.response.T125"


async def test_flaw_04_an_answer_closes_the_question_it_is_for(desk: Desk) -> None:
    async with desk.worker():
        await desk.opened("T125")
        [first] = await desk.questions()
        await desk.opened("T125")
        second = next(row for row in await desk.questions(2) if row.id != first.id)
        answer = desk.client.answer
        wrong = await answer("T125", "For nobody", question_id="no-such-question")
        right = await answer("T125", "For the second", question_id=second.id)
        run = await desk.ended(second.run)
        late = await answer("T125", "Again", question_id=second.id)
        [left] = await desk.questions()
    assert wrong.outcome == "invalid"
    assert (right.outcome, right.question) == ("accepted", second.id)
    assert "For the second" in run.result["reply"]
    assert late.outcome == "already_answered"
    assert left.id == first.id


async def test_flaw_05_an_answer_before_the_question_is_refused_aloud(desk: Desk) -> None:
    async with desk.worker():
        early = await desk.client.answer("T125", FIXED)
    assert early.outcome == "unknown_ticket"


async def test_flaw_05_an_answer_while_nobody_works_is_kept(desk: Desk) -> None:
    async with desk.worker():
        await desk.opened("T125")
        await desk.questions()
    await desk.stranger.publish("developer.response.T125", FIXED.encode())
    async with desk.worker():
        run = await desk.ended("T125")
    assert FIXED in run.result["reply"]


async def test_flaw_06_silence_escalates_once(desk: Desk) -> None:
    async with desk.worker(ask_timeout=0.2) as model:
        run = await desk.solve("T125")
    assert run.status == "completed"
    assert run.result["status"] == "escalated"
    assert "our team is looking into" in run.result["reply"]
    assert desk.store.ticket("T125").status == "escalated"
    assert len(model.turns) == 3


async def test_flaw_06_silence_is_never_a_solution_whatever_the_model_says(desk: Desk) -> None:
    def sloppy(request: ModelRequest) -> ModelResponse | None:
        silent = "nobody with the role" in read(request)
        return calls("reply_to_customer", message="All good!") if silent else None

    async with desk.worker(sloppy, ask_timeout=0.2):
        run = await desk.solve("T125")
    assert (run.result["status"], run.result["reply"]) == ("escalated", "All good!")
    assert desk.store.ticket("T125").notes == "No developer has answered."


async def test_flaw_06_a_model_that_asks_again_and_again_comes_to_an_end(desk: Desk) -> None:
    def stubborn(request: ModelRequest) -> ModelResponse | None:
        if offers(request, "ask_developer"):
            return calls("ask_developer", question="And now?")
        return calls("done", summary="No luck") if routes(request) else None

    async with desk.worker(stubborn, ask_timeout=0.1, max_questions=2):
        run = await desk.solve("T125")
    assert sum(step.kind == "question.asked" for step in run.steps) == 2
    assert run.result["status"] == "unresolved"
    assert desk.store.ticket("T125").status == "escalated"


async def test_flaw_07_the_reply_is_sent_once_and_stands_in_the_result(desk: Desk) -> None:
    async with desk.worker():
        run = await desk.solve("T123")
    [reply] = desk.store.replies("T123")
    assert run.result["reply"] == reply.message
    assert "clear your browser's cache" in reply.message
    assert reply.author == "Customer Support"


async def test_flaw_08_the_ticket_is_updated_and_closed(desk: Desk) -> None:
    async with desk.worker():
        run = await desk.solve("T125", FIXED)
    ticket = desk.store.ticket("T125")
    assert (ticket.status, ticket.priority) == ("closed", "high")
    assert FIXED in ticket.notes
    assert [change.status for change in desk.store.changes("T125")] == [None, "closed"]
    assert run.result == {
        "ticket_id": "T125",
        "status": "solved",
        "reply": desk.store.replies("T125")[0].message,
        "priority": "high",
        "ticket_status": "closed",
    }


async def test_flaw_08_a_customer_can_open_a_closed_ticket_again(desk: Desk) -> None:
    async with desk.worker():
        await desk.solve("T123")
        await desk.opened("T123")
        first, second = await until(lambda: desk.completed(2))
    assert first.id != second.id
    statuses = [change.status for change in desk.store.changes("T123") if change.status]
    assert statuses == ["closed", "open", "closed"]
    assert len(desk.store.replies("T123")) == 2


async def test_flaw_09_done_without_a_reply_is_not_solved(desk: Desk) -> None:
    def lazy(request: ModelRequest) -> ModelResponse | None:
        return calls("done", summary="All fine") if routes(request) else None

    async with desk.worker(lazy) as model:
        run = await desk.solve("T123")
    assert not offers(model.routings[0], "reply_to_customer")
    assert run.result["status"] == "unresolved"
    assert run.result["reply"] is None
    assert desk.store.ticket("T123").status == "escalated"


@pytest.mark.parametrize(
    "mistake",
    [calls("route_to_agent", agent="technical support"), says("Technical Support, please.")],
    ids=["misspelled", "plain text"],
)
async def test_flaw_10_a_supervisor_that_names_nobody_is_told_so(
    desk: Desk, mistake: ModelResponse
) -> None:
    def once(request: ModelRequest) -> ModelResponse | None:
        return mistake if routes(request) and len(request.messages) == 2 else None

    async with desk.worker(once) as model:
        run = await desk.solve("T123")
    assert run.result["status"] == "solved"
    assert len(model.routings) == 2
    assert "route_to_agent" in read(model.routings[1])


async def test_flaw_10_a_supervisor_that_never_names_anybody_fails_the_run(desk: Desk) -> None:
    def never(request: ModelRequest) -> ModelResponse | None:
        return calls("route_to_agent", agent="Nobody") if routes(request) else None

    async with desk.worker(never):
        run = await desk.solve("T123")
    assert run.status == "failed"
    assert "Customer Support, Technical Support" in (run.error or "")
    assert desk.store.ticket("T123").status == "escalated"


async def test_flaw_10_plain_text_of_an_agent_is_no_reply(desk: Desk) -> None:
    def mutters(request: ModelRequest) -> ModelResponse | None:
        first = not routes(request) and len(request.messages) == 1
        return says("Clear your cookies.") if first else None

    async with desk.worker(mutters) as model:
        run = await desk.solve("T123")
    assert len(model.routings) == 1
    assert [reply.message for reply in desk.store.replies("T123")] == [run.result["reply"]]
    assert run.result["status"] == "solved"


async def test_flaw_10_an_agent_that_never_replies_is_not_called_for_ever(desk: Desk) -> None:
    def mute(request: ModelRequest) -> ModelResponse | None:
        if routes(request):
            return calls("done") if len(request.messages) > 2 else None
        return says("Clear your cookies.")

    async with desk.worker(mute) as model:
        run = await desk.solve("T123")
    assert len(model.turns) == 2
    assert run.result["status"] == "unresolved"


async def test_flaw_11_everybody_is_told_all_about_the_ticket(desk: Desk) -> None:
    async with desk.worker() as model:
        await desk.solve("T123")
        await desk.solve("T125", FIXED)
    facts = {
        "T123": ["Title: Cannot login", "Priority: medium", "Customer: Ada"],
        "T125": ["/api/v1/users endpoint", "Priority: critical", "Customer: Grace"],
    }
    for request in model.requests:
        told = read(request)
        ticket = "T125" if "Ticket: T125" in told else "T123"
        for fact in [f"Ticket: {ticket}", *facts[ticket]]:
            assert fact in told


async def test_flaw_12_rules_are_asked_before_the_model_is_paid(desk: Desk) -> None:
    async with desk.worker() as model:
        await desk.solve("T125", FIXED)
        assert (len(model.routings), len(model.turns)) == (0, 3)
        await desk.solve("T123")
        assert (len(model.routings), len(model.turns)) == (1, 5)


async def test_flaw_13_running_out_of_turns_is_no_success(desk: Desk) -> None:
    def restless(request: ModelRequest) -> ModelResponse:
        if routes(request):
            return calls("route_to_agent", agent="Customer Support")
        return says("HANDOVER to Customer Support: your turn")

    async with desk.worker(restless, max_turns=3) as model:
        run = await desk.solve("T123")
    assert run.status == "max_turns"
    assert len(model.turns) == 3
    ticket = desk.store.ticket("T123")
    assert ticket.status == "escalated"
    assert "The agents failed" in ticket.notes


async def test_flaw_14_no_key_is_in_what_is_stored(
    desk: Desk, messages_api: MessagesApi, capfd: pytest.CaptureFixture[str]
) -> None:
    key = "sk-ant-do-not-store-me"
    messages_api.reply(call("ask_developer", {"question": "Is it known?"}))
    messages_api.reply(call("reply_to_customer", {"message": FIXED}))
    async with desk.staffed(anthropic("claude-haiku-4-5", api_key=key, base_url=messages_api.url)):
        run = await desk.solve("T125", FIXED)
    assert key in str(messages_api.requests[0].headers)
    assert run.result["status"] == "solved"
    stored = await desk.stored()
    assert FIXED in stored
    assert key not in stored + str(run) + str(capfd.readouterr())


async def test_flaw_15_one_event_starts_one_run(desk: Desk) -> None:
    async with desk.worker():
        for _ in range(3):
            await desk.opened("T123", event_id="ticket-T123")
        await desk.ended("T123")
        assert len(await desk.client.runs()) == 1
    assert len(desk.store.replies("T123")) == 1


async def test_flaw_15_a_run_can_be_called_off(desk: Desk) -> None:
    async with desk.worker():
        await desk.opened("T125")
        [parked] = await until(lambda: desk.client.runs("waiting"))
        await desk.client.cancel(parked.id, reason="closed by hand")
        run = await desk.ended("T125")
        late = await desk.client.answer("T125", FIXED)
    assert run.status == "cancelled"
    assert late.outcome == "too_late"
    assert desk.store.replies("T125") == []


async def test_flaw_16_nothing_that_is_done_is_done_again(desk: Desk) -> None:
    async with desk.worker() as before:
        await desk.opened("T125")
        await desk.questions()
    async with desk.worker() as after:
        await desk.client.answer("T125", FIXED)
        run = await desk.ended("T125")
    assert (len(before.turns), len(after.turns)) == (2, 1)
    tools = [step.name for step in run.steps if step.kind == "tool.called"]
    assert sorted(tools) == sorted(set(tools))
    assert len(desk.store.replies("T125")) == 1


@pytest.mark.slow
@pytest.mark.parametrize("effect", [7, 8, 10], ids=["one tool", "both tools", "closing"])
async def test_flaw_16_what_a_killed_worker_did_is_not_done_again(desk: Desk, effect: int) -> None:
    async with desk.worker(ack_wait=1):
        pass  # so that mail comes back soon
    await desk.opened("T123")
    await desk.crash(f"after_effect:{effect}")
    async with desk.worker():
        run = await desk.ended("T123")
    assert run.result["status"] == "solved"
    assert len(desk.store.replies("T123")) == 1
    changes = [(change.note, change.status) for change in desk.store.changes("T123")]
    assert changes == [("Answered from KB1.", None), ("", "closed")]


async def test_flaw_17_words_are_found_wherever_they_stand() -> None:
    found = await search_latest_release_notes("users endpoint")
    assert [note.content for note in found] == ["Introduced the user management service"]


def test_flaw_18_release_notes_have_ids_of_their_own() -> None:
    assert [note.id for note in RELEASE_NOTES] == ["RN1", "RN2", "RN3"]


@pytest.mark.parametrize("agent", ["Customer Support", "Technical Support"])
async def test_flaw_18_every_agent_that_answers_knows_the_release_notes(
    desk: Desk, agent: str
) -> None:
    def routed(request: ModelRequest) -> ModelResponse | None:
        return calls("route_to_agent", agent=agent) if routes(request) else None

    async with desk.worker(routed):
        run = await desk.solve("T124")
    assert "no longer possible" in run.result["reply"]
    assert "v1.1.2" in run.result["reply"]


async def test_flaw_19_an_event_is_checked_before_anything_starts(desk: Desk) -> None:
    async with desk.worker():
        await desk.client.send(OPENED, {"ticket": "T125"})
        assert b"ticketId" in await desk.published("DEAD")
        assert await desk.client.runs() == []


async def test_flaw_20_an_unknown_ticket_is_an_error_that_says_so(desk: Desk) -> None:
    async with desk.worker() as model:
        run = await desk.solve("T999")
    assert (run.status, run.error) == ("failed", "Ticket not found: T999")
    assert model.requests == []


def test_flaw_20_the_agent_that_is_to_ask_has_the_tool() -> None:
    assert "ask_developer" in [tool.name for tool in agents.technical_support.tools]
    assert "ask_developer" not in [tool.name for tool in agents.customer_support.tools]
