"""A scripted stand-in for a language model, so that the example runs without an API key.

It keeps no state between requests: what it does next depends only on the request (the tools it
offers, the conversation, the tools' results). So it resumes where it was after a crash, in another
worker, or hours later when a developer has answered.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

import msgspec

from layby.models import Message, ModelRequest, ModelResponse, Text, ToolCall, ToolResult

from .search import words

CUSTOMER_SUPPORT = "Customer Support"
TECHNICAL_SUPPORT = "Technical Support"

_FAULT = re.compile(r"(?i)crash|error|exception|not working|broken|bug|fail|timeout|\b5\d\d\b")
_REMOVED = re.compile(r"(?i)\b(?:remov|retir|discontinu)")
_HANDOVER = re.compile(r"(?m)^(?:- It said: )?HANDOVER to ([^:\n]+): *(.*)")
_ATTEMPTS = 2


class Plan(msgspec.Struct, frozen=True):
    """The response: a text, or the tools to call with their arguments."""

    text: str = ""
    calls: list[tuple[str, dict[str, Any]]] = []


class Case(msgspec.Struct, frozen=True):
    """What a request says about the ticket, and what was done for it."""

    offered: dict[str, dict[str, Any]]
    """The tools that may be called: name -> JSON Schema of the arguments."""
    brief: str
    texts: list[str]
    results: list[ToolResult]

    @classmethod
    def of(cls, request: ModelRequest) -> Case:
        """Read a request."""
        parts = [part for message in request.messages for part in message.parts]
        texts = [part.text for part in parts if isinstance(part, Text)]
        tools = [] if request.tool_choice == "none" else request.tools
        return cls(
            offered={spec.name: spec.parameters for spec in tools},
            brief=texts[0] if texts else "",
            texts=texts,
            results=[part for part in parts if isinstance(part, ToolResult)],
        )

    def field(self, name: str) -> str:
        """The value of a line `Name: value` of the briefing; "" if there is none."""
        found = re.search(rf"^{name}: *(.*)$", self.brief, re.MULTILINE)
        return found[1].strip() if found else ""

    @property
    def title(self) -> str:
        """What the customer wrote."""
        return self.field("Title") or self.brief.strip()

    @property
    def keywords(self) -> str:
        """What to search for."""
        found = [word.strip("?!.,;:'\"()") for word in self.title.split() if words(word)]
        return " ".join(found) or self.title

    def done(self, tool: str) -> list[str]:
        """The results of the successful calls of `tool`."""
        return [r.content for r in self.results if r.name == tool and not r.is_error]

    def failed(self, tool: str) -> list[str]:
        """The errors of the failed calls of `tool`."""
        return [r.content for r in self.results if r.name == tool and r.is_error]

    def tried(self, tool: str) -> bool:
        """Whether `tool` was called at all."""
        return any(result.name == tool for result in self.results)

    def found(self, tool: str) -> list[dict[str, str]]:
        """The records that a search tool found, without duplicates."""
        records = [record for content in self.done(tool) for record in _records(content)]
        return list({record.get("id", ""): record for record in records}.values())


class OfflineModel:
    """Acts like a sensible model in the three roles of the example, free of charge."""

    name = "offline-script"

    async def respond(
        self, request: ModelRequest, on_text: Callable[[str], None] | None = None
    ) -> ModelResponse:
        """Answer from the request alone: the same request gets the same answer."""
        plan = _plan(Case.of(request))
        if on_text and plan.text:
            on_text(plan.text)
        text = [Text(text=plan.text)] if plan.text else []
        calls = [
            ToolCall(id=f"{_digest(request)}_{n}", name=name, arguments=arguments)
            for n, (name, arguments) in enumerate(plan.calls)
        ]
        return ModelResponse(
            message=Message(role="assistant", parts=[*text, *calls]),
            stop_reason="tool_use" if plan.calls else "end",
            model=self.name,
        )


def _plan(case: Case) -> Plan:
    if "route_to_agent" in case.offered:
        return _supervise(case)
    if "reply_to_customer" not in case.offered:
        return Plan(f"I can only talk about: {case.title}")
    if case.done("reply_to_customer"):
        return Plan("The customer has a reply.")
    if len(failures := case.failed("reply_to_customer")) >= _ATTEMPTS:
        return Plan(f"HANDOVER to a person: the reply could not be sent: {failures[-1]}")
    return _technical(case) if "ask_developer" in case.offered else _customer(case)


def _supervise(case: Case) -> Plan:
    handovers = [found for text in case.texts for found in _HANDOVER.finditer(text)]
    if handovers:
        agent, why = handovers[-1][1].strip(), handovers[-1][2]
    else:
        agent, why = _specialist(case)
    known = _agents(case)
    if known and agent not in known:
        return Plan(calls=[("done", {"summary": f"Nobody here can solve this. {why}".strip()})])
    return Plan(calls=[("route_to_agent", {"agent": agent, "reason": why})])


def _specialist(case: Case) -> tuple[str, str]:
    if case.field("Priority") == "critical":
        return TECHNICAL_SUPPORT, "The ticket is critical."
    if _FAULT.search(case.title):
        return TECHNICAL_SUPPORT, "The customer reports a fault of the product."
    return CUSTOMER_SUPPORT, "The customer asks how to do something."


def _agents(case: Case) -> list[str]:
    """The names that the routing tool accepts; none when its schema does not list them."""
    agent = case.offered["route_to_agent"].get("properties", {}).get("agent", {})
    return list(agent.get("enum", []))


def _customer(case: Case) -> Plan:
    if missing := _unsearched(case, "search_knowledge_base", "search_latest_release_notes"):
        return missing
    answer = None if _FAULT.search(case.title) else _answer(case)
    if answer:
        return answer
    return Plan(f"HANDOVER to {TECHNICAL_SUPPORT}: no article answers this: {case.title}")


def _technical(case: Case) -> Plan:
    if missing := _unsearched(case, "search_latest_release_notes"):
        return missing
    if answers := case.done("ask_developer"):
        return _pass_on(case, answers[-1])
    if failures := case.failed("ask_developer"):
        return _escalate(case, failures[-1])
    if not _FAULT.search(case.title) and (answer := _answer(case)):
        return answer
    return Plan(calls=[("ask_developer", _question(case))])


def _unsearched(case: Case, *tools: str) -> Plan | None:
    """Search with those of `tools` that were not tried yet, all at once."""
    argument = {"search_knowledge_base": "keyword", "search_latest_release_notes": "query"}
    todo = [name for name in tools if name in case.offered and not case.tried(name)]
    return Plan(calls=[(name, {argument[name]: case.keywords}) for name in todo]) if todo else None


def _answer(case: Case) -> Plan | None:
    """Answer from what was found; the release notes are newer than the articles."""
    articles = case.found("search_knowledge_base")
    notes = case.found("search_latest_release_notes")
    removed = next((note for note in notes if _REMOVED.search(note.get("content", ""))), None)
    if removed:
        return _no_longer(case, removed, articles)
    if not articles:
        return None
    related = [f"{note['content']} ({note['version']})" for note in notes[:1]]
    hint = f" It may be related to a recent change: {related[0]}." if related else ""
    note = f"Answered from {articles[0]['id']}."
    return _reply(case, f"{articles[0]['content']}{hint}", {"note": note})


def _no_longer(case: Case, removed: dict[str, str], articles: list[dict[str, str]]) -> Plan:
    text = (
        f"I am sorry, this is no longer possible: version {removed['version']} made this change: "
        f'"{removed["content"]}".'
    )
    note = f"Answered from {removed['id']}."
    if articles:
        text += f' Our article "{articles[0]["title"]}" is out of date and will be corrected.'
        note += f" {articles[0]['id']} is out of date."
    return _reply(case, text, {"note": note})


def _question(case: Case) -> dict[str, Any]:
    notes = case.found("search_latest_release_notes")
    found = "; ".join(f"{note['version']}: {note['content']}" for note in notes) or "nothing"
    facts = {
        "Ticket": case.field("Ticket"),
        "Priority": case.field("Priority"),
        "Customer": case.field("Customer"),
        "Notes": case.field("Notes"),
        "Release notes that may matter": found,
    }
    return {
        "question": (
            f'A customer reports: "{case.title}". Is this a known problem, and what should we '
            "tell the customer to do?"
        ),
        "context": "\n".join(f"{name}: {value}" for name, value in facts.items() if value),
    }


def _pass_on(case: Case, content: str) -> Plan:
    answer, by = _human_answer(content)
    developer = f"our developer {by}" if by else "our developer"
    change: dict[str, Any] = {"note": f"Developer{f' {by}' if by else ''}: {answer}"}
    if case.field("Priority") == "critical":
        change["priority"] = "high"
    return _reply(case, f'I asked {developer} about this. The answer: "{answer}"', change)


def _escalate(case: Case, why: str) -> Plan:
    text = (
        f'our team is looking into "{case.title}" and will write to you as soon as there is news. '
        "I have escalated your ticket."
    )
    return _reply(case, text, {"status": "escalated", "note": f"No developer's answer: {why}"})


def _reply(case: Case, text: str, change: dict[str, Any]) -> Plan:
    """Note the findings, once, and write to the customer, both at the same time."""
    customer = case.field("Customer")
    greeting = f"Hello {customer}, " if customer else "Hello, "
    calls: list[tuple[str, dict[str, Any]]] = []
    if "update_ticket" in case.offered and not case.tried("update_ticket"):
        calls.append(("update_ticket", change))
    return Plan(calls=[*calls, ("reply_to_customer", {"message": greeting + text})])


def _human_answer(content: str) -> tuple[str, str]:
    """The text of a developer's answer and who gave it, from JSON or from plain text."""
    try:
        data = msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.DecodeError:
        return content.strip(), ""
    text = next((data[key] for key in ("answer", "text", "response") if data.get(key)), content)
    return str(text).strip(), str(data.get("by") or "")


def _records(content: str) -> list[dict[str, str]]:
    try:
        return msgspec.json.decode(content, type=list[dict[str, str]])
    except msgspec.DecodeError:
        return []


def _digest(request: ModelRequest) -> str:
    return "call_" + hashlib.blake2b(msgspec.json.encode(request), digest_size=6).hexdigest()
