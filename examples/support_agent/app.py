"""The app: an event opens a ticket, the network works on it, the ticket is closed."""

from __future__ import annotations

import os
from typing import Literal

from pydantic import BaseModel

from layby import App, CallRecord, LaybyError, Network, NetworkResult, NonRetriableError, Step

from .agents import customer_support, technical_support
from .data import Priority, Ticket, TicketStatus
from .models import default_model
from .store import Change, TicketNotFoundError, TicketStore
from .supervisor import supervisor

support = Network(
    "support",
    agents=[customer_support, technical_support],
    router=supervisor,
    default_model=default_model(),
    max_turns=10,
)
app = App(
    "support",
    networks=[support],
    ask_timeout=os.environ.get("LAYBY_ASK_TIMEOUT") or "4h",
    max_questions=5,
)


class TicketCreated(BaseModel):
    """A customer opened or reopened a ticket."""

    ticketId: str  # noqa: N815 - the help desk's spelling


class Resolution(BaseModel):
    """The outcome of a run for its ticket."""

    ticket_id: str
    status: Literal["solved", "escalated", "unresolved"]
    """escalated: the customer knows that the team is on it. unresolved: nobody replied."""
    reply: str | None
    """The last message to the customer."""
    priority: Priority
    ticket_status: TicketStatus


@app.workflow(on="support.ticket.created", key="ticketId")
async def support_ticket(event: TicketCreated, step: Step) -> Resolution:
    """Work on a ticket until the customer has a reply or a person must take over."""
    ticket = await step.run("get_ticket_details", get_ticket_details, event.ticketId)
    if ticket.status != "open":
        ticket = await step.run(
            "reopen_ticket", update, ticket.id, Change(status="open"), step.idempotency_key("open")
        )
    try:
        result = await step.network(
            support, briefing(ticket), state={"ticket": ticket.id, "priority": ticket.priority}
        )
    except LaybyError as problem:
        failed = Change(status="escalated", note=f"The agents failed: {problem}")
        await step.run("escalate_ticket", update, ticket.id, failed, step.idempotency_key("fail"))
        raise
    key = step.idempotency_key("settle")
    ticket = await step.run("settle_ticket", settle, ticket.id, concern(result), key)
    return resolution(ticket, last_reply(result))


def get_ticket_details(ticket_id: str) -> Ticket:
    """Read the ticket."""
    try:
        return TicketStore.from_env().ticket(ticket_id)
    except TicketNotFoundError as error:
        raise NonRetriableError(str(error)) from error


def update(ticket_id: str, change: Change, key: str) -> Ticket:
    """Change the ticket, once per `key`."""
    return TicketStore.from_env().update(ticket_id, change, key=key)


def settle(ticket_id: str, concern: str, key: str) -> Ticket:
    """Close the ticket, unless a concern or an agent's escalation is left for a person."""
    if concern:
        return update(ticket_id, Change(status="escalated", note=concern), key)
    ticket = get_ticket_details(ticket_id)
    if ticket.status == "escalated":
        return ticket
    return update(ticket_id, Change(status="closed"), key)


def briefing(ticket: Ticket) -> str:
    """The ticket in words for the agents and the supervisor."""
    facts = {
        "Ticket": ticket.id,
        "Title": ticket.title,
        "Priority": ticket.priority,
        "Customer": ticket.customer,
        "Notes": ticket.notes,
    }
    lines = {name: " ".join(value.split()) for name, value in facts.items()}
    return "\n".join(f"{name}: {line}" for name, line in lines.items() if line)


def last_reply(result: NetworkResult) -> str | None:
    """The last message that was sent to the customer."""
    for call in reversed(calls_of(result, "reply_to_customer")):
        if not call.is_error:
            return str(call.arguments["message"]).strip()
    return None


def concern(result: NetworkResult) -> str:
    """Why the ticket must not be closed, whatever the agents say; "" if it may be."""
    if last_reply(result) is None:
        return "The agents ended without a reply to the customer."
    asked = calls_of(result, "ask_developer")
    if asked and all(call.is_error for call in asked):
        return "No developer has answered."
    return ""


def calls_of(result: NetworkResult, tool: str) -> list[CallRecord]:
    """The calls of `tool`, oldest first."""
    return [call for turn in result.turns for call in turn.calls if call.name == tool]


def resolution(ticket: Ticket, reply: str | None) -> Resolution:
    """Summarize the outcome for the ticket."""
    return Resolution(
        ticket_id=ticket.id,
        status=_status(ticket, reply),
        reply=reply,
        priority=ticket.priority,
        ticket_status=ticket.status,
    )


def _status(ticket: Ticket, reply: str | None) -> Literal["solved", "escalated", "unresolved"]:
    if reply is None:
        return "unresolved"
    return "escalated" if ticket.status == "escalated" else "solved"
