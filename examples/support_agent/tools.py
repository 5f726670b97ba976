"""The agents' tools: look things up, change the ticket, write to the customer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from layby import ToolContext, tool

from .data import KNOWLEDGE_BASE, RELEASE_NOTES, Article, Priority, ReleaseNote, Ticket
from .search import search
from .store import Change, TicketStore

Written = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


@tool
async def search_knowledge_base(
    keyword: Annotated[Written, "One or a few keywords, such as: login cookies"],
) -> list[Article]:
    """Search the knowledge base. Articles may be out of date: release notes are newer.

    An empty list means that there is no such article.
    """
    return search(KNOWLEDGE_BASE, keyword, lambda article: f"{article.title} {article.content}")


@tool
async def search_latest_release_notes(
    query: Annotated[Written, "Words for the feature or service, such as: users endpoint"],
) -> list[ReleaseNote]:
    """Search the release notes for what changed in which version of the product.

    An empty list means that no version changed this.
    """
    return search(RELEASE_NOTES, query, lambda note: f"{note.version} {note.content}")


@tool
def update_ticket(
    ctx: ToolContext,
    priority: Annotated[Priority | None, "The new priority; leave out to keep it"] = None,
    status: Annotated[
        Literal["open", "escalated"] | None,
        "escalated: a person must take over. The ticket is closed for you after a reply",
    ] = None,
    note: Annotated[str, "A note for the team; the customer does not see it"] = "",
) -> Ticket:
    """Change the priority or status of the ticket you work on, or add a note to it."""
    change = Change(priority=priority, status=status, note=note)
    return TicketStore.from_env().update(ctx.ticket, change, key=ctx.idempotency_key)


@tool
def reply_to_customer(
    ctx: ToolContext,
    message: Annotated[Written, "The whole message, as the customer will read it"],
) -> str:
    """Send a message to the customer. It is the only thing that the customer gets to read."""
    TicketStore.from_env().reply(ctx.ticket, message, author=ctx.agent, key=ctx.idempotency_key)
    return "The reply was sent to the customer."
