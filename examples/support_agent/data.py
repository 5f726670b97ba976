"""The help desk's first data: three tickets, a knowledge base, the product's release notes.

Ticket T124 is a trap: the knowledge base (KB4) still explains a button that release note RN2 says
was removed.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

Priority: TypeAlias = Literal["low", "medium", "high", "critical"]
TicketStatus: TypeAlias = Literal["open", "escalated", "closed"]


class Record(BaseModel):
    """An immutable value of the help desk; a change makes a new one."""

    model_config = ConfigDict(frozen=True)


class Ticket(Record):
    """What a customer needs help with."""

    id: str
    title: str
    status: TicketStatus = "open"
    priority: Priority = "medium"
    notes: str = ""
    """The team's notes, one per line; customers do not see them."""
    customer: str = ""


class Article(Record):
    """One article of the knowledge base."""

    id: str
    title: str
    content: str


class ReleaseNote(Record):
    """The changes in one version of the product."""

    id: str
    version: str
    content: str


TICKETS = (
    Ticket(id="T123", title="Cannot login", priority="medium", customer="Ada"),
    Ticket(id="T124", title="How can I upvote an item?", priority="low", customer="Linus"),
    Ticket(
        id="T125",
        title="the /api/v1/users endpoint is not working and crashes my app",
        priority="critical",
        customer="Grace",
    ),
)

KNOWLEDGE_BASE = (
    Article(
        id="KB1",
        title="Login troubleshooting",
        content="If you cannot log in, clear your browser's cache and cookies, then try again.",
    ),
    Article(
        id="KB2",
        title="API Documentation",
        content="The reference of the public API is at https://docs.example.com/api.",
    ),
    Article(
        id="KB3",
        title="System Requirements",
        content="The product runs in the current versions of Chrome and Edge.",
    ),
    Article(
        id="KB4",
        title="How to upvote an item",
        content="Click the upvote button next to the item. An item can be upvoted once only.",
    ),
)

RELEASE_NOTES = (
    ReleaseNote(id="RN1", version="v1.1.3", content="Migration of the login service"),
    ReleaseNote(id="RN2", version="v1.1.2", content="Remove the upvote feature"),
    ReleaseNote(id="RN3", version="v1.0.0", content="Introduced the user management service"),
)
