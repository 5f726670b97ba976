"""The help desk's ticket store: one SQLite file that survives restarts and many workers.

If a worker dies before a step's or tool's result is recorded, it runs again, with the same
idempotency key. Each write stores its key in the same transaction as its effect, and does nothing
if the key exists already, so a reply is sent once even if the step runs twice.

Calls block for a moment: make them from sync tools and steps, which Layby runs in a thread.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from .data import TICKETS, Priority, Record, Ticket, TicketStatus

_BUSY_SECONDS = 10.0
_SCHEMA = """
    PRAGMA journal_mode = WAL;
    CREATE TABLE tickets (
        id TEXT PRIMARY KEY, title TEXT NOT NULL, status TEXT NOT NULL,
        priority TEXT NOT NULL, notes TEXT NOT NULL, customer TEXT NOT NULL
    );
    CREATE TABLE changes (
        key TEXT PRIMARY KEY, ticket TEXT NOT NULL, priority TEXT, status TEXT,
        note TEXT NOT NULL, at TEXT NOT NULL
    );
    CREATE TABLE outbox (
        key TEXT PRIMARY KEY, ticket TEXT NOT NULL, message TEXT NOT NULL,
        author TEXT NOT NULL, at TEXT NOT NULL
    );
"""


class TicketNotFoundError(LookupError):
    """The store has no such ticket. Closed tickets stay in the store."""

    def __init__(self, ticket_id: str) -> None:
        super().__init__(f"Ticket not found: {ticket_id}")


class Reply(Record):
    """A message that went out to a ticket's customer."""

    ticket: str
    message: str
    author: str
    at: str
    """When it was sent: ISO 8601, UTC."""


class Change(Record):
    """One update of a ticket; None and "" mean that a field stays as it is."""

    priority: Priority | None = None
    status: TicketStatus | None = None
    note: str = ""


class TicketStore:
    """Tickets, their changes and the replies to customers, in one file in `folder`.

    It holds no connection: any number of threads and processes may use the same folder.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / "tickets.sqlite3"

    @classmethod
    def from_env(cls) -> TicketStore:
        """The store in the folder that LAYBY_DATA names, `.layby` by default."""
        return cls(Path(os.environ.get("LAYBY_DATA") or ".layby"))

    def add(self, ticket: Ticket) -> None:
        """Add a ticket; an existing one with the same id stays as it is."""
        with self._transaction() as connection:
            _insert(connection, ticket)

    def ticket(self, ticket_id: str) -> Ticket:
        """Read a ticket.

        Raises:
            TicketNotFoundError: there is none with this id.
        """
        with self._transaction() as connection:
            return _ticket(connection, ticket_id)

    def update(self, ticket_id: str, change: Change, *, key: str) -> Ticket:
        """Apply `change` once per `key`, and return the ticket after it.

        Raises:
            TicketNotFoundError: there is none with this id.
        """
        with self._transaction() as connection:
            ticket = _ticket(connection, ticket_id)
            written = connection.execute(
                "INSERT OR IGNORE INTO changes VALUES (?, ?, ?, ?, ?, ?)",
                (key, ticket_id, change.priority, change.status, change.note, _now()),
            )
            return _rewrite(connection, ticket, change) if written.rowcount else ticket

    def reply(self, ticket_id: str, message: str, *, author: str, key: str) -> Reply:
        """Send `message` to the ticket's customer once per `key`; later calls return that reply.

        Raises:
            TicketNotFoundError: there is none with this id.
        """
        with self._transaction() as connection:
            _ticket(connection, ticket_id)
            connection.execute(
                "INSERT OR IGNORE INTO outbox VALUES (?, ?, ?, ?, ?)",
                (key, ticket_id, message, author, _now()),
            )
            sent = connection.execute("SELECT * FROM outbox WHERE key = ?", (key,)).fetchone()
        return Reply.model_validate(dict(sent))

    def replies(self, ticket_id: str) -> list[Reply]:
        """The replies that the ticket's customer got, oldest first."""
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT * FROM outbox WHERE ticket = ? ORDER BY rowid", (ticket_id,)
            ).fetchall()
        return [Reply.model_validate(dict(row)) for row in rows]

    def changes(self, ticket_id: str) -> list[Change]:
        """The changes of the ticket, oldest first."""
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT * FROM changes WHERE ticket = ? ORDER BY rowid", (ticket_id,)
            ).fetchall()
        return [Change.model_validate(dict(row)) for row in rows]

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        """Hold the file's write lock, so that what a transaction reads stays true as it writes."""
        if not self.file.exists():
            self._create()
        with closing(_open(self.file)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            with connection:  # commits, or rolls back when something is raised
                yield connection

    def _create(self) -> None:
        """Create the file under another name, so that other workers only see it complete."""
        folder = self.file.parent
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder) as aside:
            new = Path(aside) / self.file.name
            with closing(_open(new)) as connection:
                connection.executescript(_SCHEMA)
                for ticket in TICKETS:
                    _insert(connection, ticket)
            with suppress(FileExistsError):  # another worker was faster
                os.link(new, self.file)


def _open(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=_BUSY_SECONDS, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


def _insert(connection: sqlite3.Connection, ticket: Ticket) -> None:
    connection.execute(
        "INSERT OR IGNORE INTO tickets (id, title, status, priority, notes, customer)"
        " VALUES (:id, :title, :status, :priority, :notes, :customer)",
        ticket.model_dump(),
    )


def _ticket(connection: sqlite3.Connection, ticket_id: str) -> Ticket:
    row = connection.execute("SELECT * FROM tickets WHERE id = ?", (ticket_id,)).fetchone()
    if row is None:
        raise TicketNotFoundError(ticket_id)
    return Ticket.model_validate(dict(row))


def _rewrite(connection: sqlite3.Connection, ticket: Ticket, change: Change) -> Ticket:
    changed = ticket.model_copy(
        update={
            "priority": change.priority or ticket.priority,
            "status": change.status or ticket.status,
            "notes": "\n".join(line for line in (ticket.notes, change.note) if line),
        }
    )
    connection.execute(
        "UPDATE tickets SET priority = :priority, status = :status, notes = :notes WHERE id = :id",
        changed.model_dump(),
    )
    return changed


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
