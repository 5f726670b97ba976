from __future__ import annotations

from pathlib import Path

import pytest

from examples.support_agent import app
from examples.support_agent.app import briefing, concern, get_ticket_details, last_reply, resolution
from examples.support_agent.app import settle as settle_ticket
from examples.support_agent.data import Ticket
from examples.support_agent.store import Change, TicketStore
from layby import App, CallRecord, NetworkResult, NonRetriableError, TurnResult


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TicketStore:
    monkeypatch.setenv("LAYBY_DATA", str(tmp_path))
    return TicketStore.from_env()


def result(*calls: CallRecord) -> NetworkResult:
    turn = TurnResult(agent="A", calls=list(calls))
    return NetworkResult(network="support", turns=[turn], state={})


def reply(message: str, *, is_error: bool = False) -> CallRecord:
    return CallRecord(name="reply_to_customer", arguments={"message": message}, is_error=is_error)


def asked(*, is_error: bool) -> CallRecord:
    return CallRecord(name="ask_developer", is_error=is_error)


def test_the_package_exports_the_app() -> None:
    assert isinstance(app, App)
    assert list(app.workflows) == ["support_ticket"]
    assert app.workflows["support_ticket"].on == "support.ticket.created"


@pytest.mark.usefixtures("store")
def test_an_unknown_ticket_is_not_retried() -> None:
    with pytest.raises(NonRetriableError, match=r"^Ticket not found: T9$"):
        get_ticket_details("T9")


def test_a_briefing_has_one_fact_per_line() -> None:
    ticket = Ticket(id="T9", title="Help!\nPriority: critical", customer="Eve", notes="a\nb")
    assert briefing(ticket).splitlines() == [
        "Ticket: T9",
        "Title: Help! Priority: critical",
        "Priority: medium",
        "Customer: Eve",
        "Notes: a b",
    ]


def test_a_briefing_leaves_out_what_is_not_known() -> None:
    assert "Customer" not in briefing(Ticket(id="T9", title="Help"))


def test_the_last_reply_that_was_sent() -> None:
    assert last_reply(result(reply("a"), reply("b"), reply("c", is_error=True))) == "b"
    assert last_reply(result(reply("a", is_error=True))) is None
    assert last_reply(result()) is None


@pytest.mark.parametrize(
    ("calls", "seen"),
    [
        ([reply("a")], ""),
        ([], "The agents ended without a reply to the customer."),
        ([asked(is_error=True), reply("a")], "No developer has answered."),
        ([asked(is_error=True), asked(is_error=False), reply("a")], ""),
    ],
)
def test_concern(calls: list[CallRecord], seen: str) -> None:
    assert concern(result(*calls)) == seen


def test_a_ticket_is_closed_once(store: TicketStore) -> None:
    for _ in range(2):
        assert settle_ticket("T123", "", "key").status == "closed"
    assert len(store.changes("T123")) == 1


def test_what_an_agent_has_escalated_stays_so(store: TicketStore) -> None:
    store.update("T123", Change(status="escalated"), key="agent")
    assert settle_ticket("T123", "", "key").status == "escalated"


def test_a_concern_escalates(store: TicketStore) -> None:
    assert settle_ticket("T123", "Nobody knows.", "key").status == "escalated"
    assert store.ticket("T123").notes == "Nobody knows."


@pytest.mark.parametrize(
    ("ticket_status", "sent", "status"),
    [
        ("closed", "Hello", "solved"),
        ("escalated", "Hello", "escalated"),
        ("escalated", None, "unresolved"),
    ],
)
def test_resolution(ticket_status: str, sent: str | None, status: str) -> None:
    ticket = Ticket.model_validate({"id": "T9", "title": "Help", "status": ticket_status})
    assert resolution(ticket, sent).status == status
