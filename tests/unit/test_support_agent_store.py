from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from examples.support_agent.data import TICKETS, Ticket
from examples.support_agent.store import Change, TicketNotFoundError, TicketStore

ROOT = Path(__file__).parents[2]
WRITER = """
from pathlib import Path
from sys import argv
from examples.support_agent.store import Change, TicketStore

store = TicketStore(Path(argv[1]))
print("ready", flush=True)
input()
for n in range(10):
    store.reply("T125", f"from {argv[2]}", author="an agent", key=f"reply {n}")
    store.update("T125", Change(note=f"note {n}"), key=f"update {n}")
"""


@pytest.fixture
def store(tmp_path: Path) -> TicketStore:
    return TicketStore(tmp_path / "data")


def test_a_new_store_has_the_first_tickets(store: TicketStore) -> None:
    assert [store.ticket(ticket.id) for ticket in TICKETS] == list(TICKETS)


def test_unknown_ticket(store: TicketStore) -> None:
    with pytest.raises(TicketNotFoundError, match=r"^Ticket not found: T9$"):
        store.ticket("T9")
    with pytest.raises(TicketNotFoundError):
        store.update("T9", Change(note="x"), key="1")
    with pytest.raises(TicketNotFoundError):
        store.reply("T9", "x", author="an agent", key="1")
    assert store.replies("T9") == []


@pytest.mark.parametrize("ticket_id", ["ACME-1.2", "#45 21", "../T125", "T125'; --", "票/1", "*"])
def test_any_ticket_id(store: TicketStore, ticket_id: str) -> None:
    store.add(Ticket(id=ticket_id, title="Help"))
    store.update(ticket_id, Change(status="closed"), key="1")
    assert store.ticket(ticket_id).status == "closed"
    assert store.ticket("T125").status == "open"


def test_adding_a_known_ticket_changes_nothing(store: TicketStore) -> None:
    store.add(Ticket(id="T125", title="Another"))
    assert store.ticket("T125") == TICKETS[2]


def test_an_update_changes_what_it_names(store: TicketStore) -> None:
    store.update("T125", Change(note="first"), key="1")
    ticket = store.update("T125", Change(priority="high", note="second"), key="2")
    assert ticket == store.ticket("T125")
    assert (ticket.priority, ticket.status, ticket.notes) == ("high", "open", "first\nsecond")
    assert store.ticket("T124") == TICKETS[1]


def test_a_key_takes_effect_once(store: TicketStore) -> None:
    for _ in range(2):
        store.update("T123", Change(note="once", status="closed"), key="update")
    sent = [store.reply("T123", "Hello", author="an agent", key="reply") for _ in range(2)]
    assert store.ticket("T123").notes == "once"
    assert store.changes("T123") == [Change(note="once", status="closed")]
    assert sent[0] == sent[1]
    assert store.replies("T123") == sent[:1]


def test_a_late_repetition_does_not_undo_a_newer_update(store: TicketStore) -> None:
    store.update("T123", Change(status="escalated"), key="older")
    store.update("T123", Change(status="closed"), key="newer")
    assert store.update("T123", Change(status="escalated"), key="older").status == "closed"
    assert store.ticket("T123").status == "closed"


def test_it_survives_a_restart(store: TicketStore) -> None:
    store.reply("T123", "Hello", author="an agent", key="1")
    again = TicketStore(store.file.parent)
    assert [reply.message for reply in again.replies("T123")] == ["Hello"]


def test_nothing_but_the_database_is_left_in_the_folder(store: TicketStore) -> None:
    store.ticket("T123")
    assert list(store.file.parent.iterdir()) == [store.file]


def test_the_folder_is_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LAYBY_DATA", raising=False)
    assert TicketStore.from_env().file == Path(".layby/tickets.sqlite3")
    monkeypatch.setenv("LAYBY_DATA", str(tmp_path / "elsewhere"))
    TicketStore.from_env().ticket("T123")
    assert (tmp_path / "elsewhere" / "tickets.sqlite3").is_file()


def test_threads_write_in_parallel(store: TicketStore) -> None:
    def write(n: int) -> None:
        store.update("T125", Change(note=f"note {n % 10}"), key=f"update {n % 10}")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(40)))
    assert sorted(store.ticket("T125").notes.splitlines()) == [f"note {n}" for n in range(10)]


def test_processes_create_and_write_in_parallel(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen(  # noqa: S603 - our own text
            [sys.executable, "-c", WRITER, str(tmp_path / "data"), str(n)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(4)
    ]
    for writer in writers:
        assert writer.stdout
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate()
    assert [writer.returncode for writer in writers] == [0] * 4
    store = TicketStore(tmp_path / "data")
    assert len(store.replies("T125")) == 10
    assert sorted(store.ticket("T125").notes.splitlines()) == [f"note {n}" for n in range(10)]
