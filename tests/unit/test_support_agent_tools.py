from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from examples.support_agent.store import TicketNotFoundError, TicketStore
from examples.support_agent.tools import (
    reply_to_customer,
    search_knowledge_base,
    search_latest_release_notes,
    update_ticket,
)
from layby import Step, Tool, ToolContext
from layby.tools.errors import InvalidArguments


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TicketStore:
    monkeypatch.setenv("LAYBY_DATA", str(tmp_path))
    return TicketStore.from_env()


def context(key: str = "run/call", ticket: str = "T125") -> ToolContext:
    return ToolContext(
        run_id="run",
        ticket=ticket,
        agent="Technical Support",
        network="support",
        step=cast("Step", None),
        idempotency_key=key,
    )


async def call(tool: Tool[..., Any], key: str = "run/call", **arguments: Any) -> Any:
    return await tool.invoke(context(key), tool.validate(arguments))


async def test_searching() -> None:
    assert [a.id for a in await call(search_knowledge_base, keyword="login")] == ["KB1"]
    notes = await call(search_latest_release_notes, query="users endpoint")
    assert [note.id for note in notes] == ["RN3"]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        (search_knowledge_base, {"keyword": " "}),
        (search_latest_release_notes, {}),
        (reply_to_customer, {"message": "\n"}),
        (update_ticket, {"priority": "sky-high"}),
        (update_ticket, {"status": "closed"}),
    ],
)
def test_what_does_not_fit_is_refused(tool: Tool[..., Any], arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArguments):
        tool.validate(arguments)


def test_models_do_not_see_the_context() -> None:
    assert set(reply_to_customer.parameters["properties"]) == {"message"}
    assert set(update_ticket.parameters["properties"]) == {"priority", "status", "note"}


async def test_a_reply_is_sent_once_even_if_its_call_runs_twice(store: TicketStore) -> None:
    for _ in range(2):
        await call(reply_to_customer, message=" Hello ")
    [reply] = store.replies("T125")
    assert (reply.message, reply.author) == ("Hello", "Technical Support")


async def test_two_calls_are_two_replies(store: TicketStore) -> None:
    await call(reply_to_customer, "run/1", message="Hello")
    await call(reply_to_customer, "run/2", message="Hello")
    assert len(store.replies("T125")) == 2


async def test_an_update_happens_once_and_shows_the_ticket(store: TicketStore) -> None:
    for _ in range(2):
        ticket = await call(update_ticket, priority="high", note="Known")
        assert (ticket.priority, ticket.status, ticket.notes) == ("high", "open", "Known")
    assert len(store.changes("T125")) == 1


@pytest.mark.usefixtures("store")
def test_an_unknown_ticket_is_an_error() -> None:
    with pytest.raises(TicketNotFoundError):
        reply_to_customer(context(ticket="T9"), "Hello")
