from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from pydantic_core import to_json

from examples.support_agent.data import KNOWLEDGE_BASE, RELEASE_NOTES, TICKETS, Ticket
from examples.support_agent.offline import OfflineModel
from examples.support_agent.search import search
from layby.models import (
    Message,
    Model,
    ModelRequest,
    ModelResponse,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
)

MODEL = OfflineModel()
SEARCHES = ["search_knowledge_base", "search_latest_release_notes"]
CUSTOMER = [*SEARCHES, "update_ticket", "reply_to_customer"]
TECHNICAL = [*CUSTOMER, "ask_developer"]
AGENTS = ["Customer Support", "Technical Support"]
ANSWER = '{"answer":"Fixed in v1.1.4: upgrade.","by":"kim","at":"2026-01-01T00:00:00Z"}'

Outcome = str | Exception


def spec(name: str, parameters: dict[str, Any] | None = None) -> ToolSpec:
    return ToolSpec(name=name, description=name, parameters=parameters or {"type": "object"})


def routing() -> list[ToolSpec]:
    agent = {"type": "string", "enum": AGENTS}
    return [spec("route_to_agent", {"properties": {"agent": agent}}), spec("done")]


def ticket(ticket_id: str) -> Ticket:
    return next(ticket for ticket in TICKETS if ticket.id == ticket_id)


def briefing(ticket: Ticket) -> str:
    return (
        f"Ticket: {ticket.id}\nTitle: {ticket.title}\nPriority: {ticket.priority}\n"
        f"Customer: {ticket.customer}\nNotes: {ticket.notes}"
    )


def said(*texts: str) -> list[Message]:
    return [Message(role="user", parts=[Text(text=text)]) for text in texts]


def look_up(name: str, arguments: dict[str, Any]) -> Outcome:
    if name == "search_knowledge_base":
        found: list[Any] = search(
            KNOWLEDGE_BASE, arguments["keyword"], lambda it: f"{it.title} {it.content}"
        )
    elif name == "search_latest_release_notes":
        found = search(RELEASE_NOTES, arguments["query"], lambda it: f"{it.version} {it.content}")
    else:
        return ANSWER if name == "ask_developer" else "done"
    return to_json(found).decode()


class Turn:
    """A turn as an agent takes it, without the engine: model, tools, model ... until a reply."""

    def __init__(
        self,
        ticket: Ticket,
        tools: list[str],
        outcome: Callable[[str, dict[str, Any]], Outcome] = look_up,
    ) -> None:
        self.messages = said(briefing(ticket))
        self.tools = [spec(name) for name in tools]
        self.outcome = outcome
        self.rounds: list[list[ToolCall]] = []
        self.text = ""

    async def take(self) -> Turn:
        while len(self.rounds) < 8:
            request = ModelRequest(system="", messages=self.messages, tools=self.tools)
            response = await MODEL.respond(request)
            self.messages = [*self.messages, response.message]
            calls = response.message.tool_calls
            self.text = response.message.text
            if not calls:
                break
            self.rounds.append(calls)
            results = [self._run(call) for call in calls]
            self.messages = [*self.messages, Message(role="user", parts=[*results])]
            if any(r.name == "reply_to_customer" and not r.is_error for r in results):
                break
        return self

    def _run(self, call: ToolCall) -> ToolResult:
        outcome = self.outcome(call.name, call.arguments)
        return ToolResult(
            id=call.id,
            name=call.name,
            content=str(outcome),
            is_error=isinstance(outcome, Exception),
        )

    @property
    def names(self) -> list[list[str]]:
        return [[call.name for call in calls] for calls in self.rounds]

    def arguments(self, name: str) -> dict[str, Any]:
        calls = [call for calls in self.rounds for call in calls if call.name == name]
        return calls[-1].arguments

    @property
    def reply(self) -> str:
        return str(self.arguments("reply_to_customer")["message"])


def failing(name: str, why: str, *, times: int = 9) -> Callable[[str, dict[str, Any]], Outcome]:
    left = times

    def outcome(called: str, arguments: dict[str, Any]) -> Outcome:
        nonlocal left
        if called != name or not left:
            return look_up(called, arguments)
        left -= 1
        return ValueError(why)

    return outcome


async def route(*messages: Message, tools: list[ToolSpec] | None = None) -> ToolCall:
    request = ModelRequest(
        system="You are the supervisor", messages=[*messages], tools=tools or routing()
    )
    response = await MODEL.respond(request)
    [call] = response.message.tool_calls
    return call


def test_it_is_a_model() -> None:
    assert isinstance(MODEL, Model)


async def test_t123_is_answered_from_the_knowledge_base() -> None:
    turn = await Turn(ticket("T123"), CUSTOMER).take()
    assert turn.names == [SEARCHES, ["update_ticket", "reply_to_customer"]]
    assert turn.reply.startswith("Hello Ada, If you cannot log in, clear your browser's cache")
    assert turn.arguments("update_ticket") == {"note": "Answered from KB1."}


@pytest.mark.parametrize("tools", [CUSTOMER, TECHNICAL])
async def test_t124_is_answered_truthfully(tools: list[str]) -> None:
    turn = await Turn(ticket("T124"), tools).take()
    assert "no longer possible" in turn.reply
    assert "v1.1.2" in turn.reply
    assert "Click the upvote" not in turn.reply
    assert "RN2" in turn.arguments("update_ticket")["note"]


async def test_t124_tells_the_team_that_the_article_is_out_of_date() -> None:
    turn = await Turn(ticket("T124"), CUSTOMER).take()
    assert turn.arguments("update_ticket")["note"].endswith("KB4 is out of date.")


async def test_t125_asks_a_developer_and_passes_the_answer_on() -> None:
    turn = await Turn(ticket("T125"), TECHNICAL).take()
    assert turn.names == [
        ["search_latest_release_notes"],
        ["ask_developer"],
        ["update_ticket", "reply_to_customer"],
    ]
    assert turn.reply == (
        'Hello Grace, I asked our developer kim about this. The answer: "Fixed in v1.1.4: upgrade."'
    )
    change = turn.arguments("update_ticket")
    assert change == {"priority": "high", "note": "Developer kim: Fixed in v1.1.4: upgrade."}


async def test_the_developer_gets_what_is_known() -> None:
    question = (await Turn(ticket("T125"), TECHNICAL).take()).arguments("ask_developer")
    assert "/api/v1/users endpoint" in question["question"]
    assert question["question"].endswith("?")
    for fact in ("T125", "critical", "Grace", "v1.0.0: Introduced the user management service"):
        assert fact in question["context"]


@pytest.mark.parametrize(
    ("content", "quoted"),
    [
        ("Upgrade!", 'our developer about this. The answer: "Upgrade!"'),
        ('{"text":"Upgrade!","by":"kim"}', 'developer kim about this. The answer: "Upgrade!"'),
        ('{"response":"Upgrade!","by":null}', 'our developer about this. The answer: "Upgrade!"'),
        ('"Upgrade!"', 'The answer: ""Upgrade!""'),
    ],
)
async def test_every_form_of_answer_is_quoted(content: str, quoted: str) -> None:
    def outcome(name: str, arguments: dict[str, Any]) -> Outcome:
        return content if name == "ask_developer" else look_up(name, arguments)

    assert quoted in (await Turn(ticket("T125"), TECHNICAL, outcome).take()).reply


@pytest.mark.parametrize("why", ["nobody answered within 4 h", "5 questions are the limit"])
async def test_without_an_answer_the_ticket_is_escalated_and_the_customer_informed(
    why: str,
) -> None:
    turn = await Turn(ticket("T125"), TECHNICAL, failing("ask_developer", why)).take()
    assert sum(names.count("ask_developer") for names in turn.names) == 1
    assert "our team is looking into" in turn.reply
    change = turn.arguments("update_ticket")
    assert change == {"status": "escalated", "note": f"No developer's answer: {why}"}


async def test_a_search_that_fails_does_not_stop_it() -> None:
    broken = failing("search_latest_release_notes", "the index is down")
    turn = await Turn(ticket("T125"), TECHNICAL, broken).take()
    assert turn.arguments("ask_developer")["context"].endswith("may matter: nothing")
    assert turn.reply


async def test_a_failed_reply_is_retried_without_a_second_note() -> None:
    turn = await Turn(ticket("T125"), TECHNICAL, failing("reply_to_customer", "x", times=1)).take()
    assert turn.names[-2:] == [["update_ticket", "reply_to_customer"], ["reply_to_customer"]]


async def test_a_reply_that_cannot_be_sent_goes_to_a_person() -> None:
    turn = await Turn(ticket("T123"), CUSTOMER, failing("reply_to_customer", "mail is down")).take()
    assert turn.text == "HANDOVER to a person: the reply could not be sent: mail is down"
    routed = await route(*said(briefing(ticket("T123")), turn.text))
    assert routed.name == "done"
    assert "mail is down" in routed.arguments["summary"]


async def test_nothing_is_sent_twice() -> None:
    turn = await Turn(ticket("T123"), CUSTOMER).take()
    request = ModelRequest(system="", messages=turn.messages, tools=turn.tools)
    assert (await MODEL.respond(request)).message.text == "The customer has a reply."


@pytest.mark.parametrize("ticket_id", ["T125", "T9"])
async def test_what_customer_support_cannot_answer_is_handed_over(ticket_id: str) -> None:
    unknown = Ticket(id="T9", title="Where is my invoice?")
    case = unknown if ticket_id == "T9" else ticket(ticket_id)
    turn = await Turn(case, CUSTOMER).take()
    assert turn.text.startswith("HANDOVER to Technical Support:")
    routed = await route(*said(briefing(case), f"[X took a turn.]\n- It said: {turn.text}"))
    assert routed.arguments["agent"] == "Technical Support"


async def test_technical_support_asks_about_undocumented_faults() -> None:
    turn = await Turn(Ticket(id="T9", title="Where is my invoice?"), TECHNICAL).take()
    assert turn.names[1] == ["ask_developer"]
    assert turn.reply.startswith("Hello, I asked")
    assert "priority" not in turn.arguments("update_ticket")


@pytest.mark.parametrize(
    ("case", "agent"),
    [
        (ticket("T123"), "Customer Support"),
        (ticket("T124"), "Customer Support"),
        (ticket("T125"), "Technical Support"),
        (ticket("T123").model_copy(update={"priority": "critical"}), "Technical Support"),
        (Ticket(id="T9", title="500 on save"), "Technical Support"),
        (Ticket(id="T9", title="Where is my invoice?"), "Customer Support"),
        (Ticket(id="T9", title="HANDOVER to Nobody: ha"), "Customer Support"),
    ],
)
async def test_the_supervisor_routes(case: Ticket, agent: str) -> None:
    call = await route(*said(briefing(case)))
    assert (call.name, call.arguments["agent"]) == ("route_to_agent", agent)
    assert call.arguments["reason"]


async def test_the_supervisor_needs_no_list_of_agents() -> None:
    call = await route(*said(briefing(ticket("T125"))), tools=[spec("route_to_agent")])
    assert call.arguments["agent"] == "Technical Support"


async def test_a_request_without_a_briefing_is_taken_as_the_title() -> None:
    call = await route(*said("My app crashes"))
    assert call.arguments["agent"] == "Technical Support"


async def test_it_may_be_forbidden_to_call_tools() -> None:
    response = await MODEL.respond(
        ModelRequest(
            system="",
            messages=said(briefing(ticket("T123"))),
            tools=[spec(name) for name in CUSTOMER],
            tool_choice="none",
        )
    )
    assert not response.message.tool_calls
    assert response.message.text


async def test_the_same_request_has_the_same_answer_and_another_has_other_call_ids() -> None:
    def request(case: Ticket) -> ModelRequest:
        return ModelRequest(
            system="", messages=said(briefing(case)), tools=[spec(name) for name in CUSTOMER]
        )

    first = await OfflineModel().respond(request(ticket("T123")))
    assert await OfflineModel().respond(request(ticket("T123"))) == first
    other = await MODEL.respond(request(ticket("T124")))
    ids = {call.id for call in [*first.message.tool_calls, *other.message.tool_calls]}
    assert len(ids) == 4


async def test_a_response_survives_the_log_and_text_is_streamed() -> None:
    heard: list[str] = []
    request = ModelRequest(system="", messages=said("Hello"))
    response = await MODEL.respond(request, heard.append)
    assert heard == [response.message.text]
    assert msgspec.json.decode(msgspec.json.encode(response), type=ModelResponse) == response
    assert response.stop_reason == "end"
