"""The commands of people on the wire: the stored command, heartbeats, and the outcome.

A command is stored on `layby.do.<verb>.<person>` before anybody acts on it, and the worker that
handles it acts on that message alone. Its outcome is created once, on
`layby.done.<person>.<number>`: the number is the command's sequence in the stream.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from .actors.people.rota import Window
from .bus.errors import InvalidTicket, LaybyError
from .bus.names import Names
from .bus.token import decode as decode_token
from .bus.token import encode
from .runtime.envelope import UNREADABLE

STREAM = "AUDIT"
CONSUMER = "commands"
ALL = "layby.do.*.*"
"""The subjects of all commands."""
TRAIL = "layby.*.*.*"
"""The subjects of everything in the stream: commands and their outcomes."""
NOBODY = "?"
"""Stands for a person whose name in the subject cannot be read."""

CANCEL = "cancel"
RETRY = "retry"
PURGE = "purge"
ERASE = "erase"
DEAD_RETRY = "dead-retry"
DEAD_DROP = "dead-drop"
ROTA = "rota"
VERBS = (CANCEL, RETRY, PURGE, ERASE, DEAD_RETRY, DEAD_DROP, ROTA)
"""The commands. Later releases add verbs; a worker that does not know one refuses it."""


class NotDoneYet(LaybyError):
    """A command is stored, but no worker has reported its outcome yet; `seq` is its number."""

    def __init__(self, message: str = "", seq: int = 0) -> None:
        super().__init__(message)
        self.seq = seq

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.seq)


class CommandRefused(LaybyError):
    """A worker refused a command; the message says why."""


class RunOver(LaybyError):
    """The run has ended already."""


class NotRetryable(LaybyError):
    """A run cannot be retried in its state."""


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a command; which fields count depends on the verb."""

    why: str = ""
    """The reason, in the person's words."""
    asked_at: str = ""
    """When the person asked, by the clock of their machine; the stream says when it was stored."""
    run: str = ""
    """`cancel`, `retry`, `erase`: the run's id."""
    workflow: str = ""
    """`retry` without a run: all runs of this workflow that can be retried."""
    since: float | None = None
    """Of these, the ones that changed in so many seconds before the command was stored."""
    status: str | None = None
    """Of these, the ones with this status."""
    older_than: float | None = None
    """`purge`: the runs that had ended so many seconds before the command was stored."""
    app: str = ""
    """`erase`: the app that keeps the thread."""
    thread: str = ""
    """`erase`: the thread's name."""
    person: str = ""
    """`erase`: the record of a person's key, a pseudonym: their name would stay in this stream."""
    letter: int = 0
    """`dead-retry`, `dead-drop`: the dead letter's number."""
    rota: str = ""
    """`rota`: the rota whose shifts change; empty: the absences change."""
    add: tuple[Window, ...] = ()
    """`rota`: what is added to them."""
    remove: tuple[Window, ...] = ()
    """`rota`: what is removed from them. What is not there is left out."""


Kind = Literal["done", "refused", "failed", "invalid"]


class CommandOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The outcome of a command: one for each, and it never changes."""

    outcome: Kind
    """`refused`: it cannot be done as things are. `failed`: the worker could not do it. `invalid`:
    it cannot be understood."""
    verb: str
    by: str
    seq: int
    """The command's number."""
    at: str
    reason: str = ""
    """Why it was not done."""
    error: str = ""
    """The kind of refusal, `RunOver` for instance."""
    again: bool = False
    """It was delivered before: what a worker that died had done is not in `result`."""
    result: dict[str, Any] = {}
    """What was done, by verb."""


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """Says that a worker is working on a command; not stored."""

    done: int = 0
    """How many runs it has handled so far."""


class StoredCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A command as it was stored."""

    verb: str
    by: str
    """Who sent it. The server guarantees it if its permissions hold each user to their own name."""
    seq: int
    at: float
    """When it was stored, Unix seconds."""
    command: Command

    @property
    def id(self) -> str:
        """Its id in the logs of runs."""
        return f"{self.seq}@{self.at:.3f}"

    @property
    def takes_long(self) -> bool:
        """Whether it may concern many runs or entries."""
        return self.verb in {PURGE, ERASE} or (self.verb == RETRY and not self.command.run)


class InvalidCommand(LaybyError):
    """A command that cannot be read."""


_decode = msgspec.json.Decoder(Command).decode


def read_command(names: Names, subject: str, data: bytes, seq: int, at: float) -> StoredCommand:
    """Read a stored command. Raises InvalidCommand."""
    verb, by = parse_subject(names, subject)
    if by == NOBODY:
        raise InvalidCommand("the last word of the subject is not a name: encode it as a token")
    if verb not in VERBS:
        raise InvalidCommand(f"this release knows no command {verb[:40]!r}")
    try:
        command = _decode(data)
    except UNREADABLE as error:
        raise InvalidCommand(f"the body is not a command: {str(error)[:200]}") from None
    return StoredCommand(verb=verb, by=by, seq=seq, at=at, command=command)


def parse_subject(names: Names, subject: str) -> tuple[str, str]:
    """The verb and the person in a command's subject; `NOBODY` if the person cannot be read."""
    parts = names.own(subject).split(".")
    try:
        return parts[2], decode_token(parts[3])
    except (InvalidTicket, IndexError):
        return parts[2] if len(parts) > 2 else "", NOBODY  # noqa: PLR2004


def command_subject(names: Names, verb: str, by: str) -> str:
    """Where a person's command is published. Raises InvalidTicket if the name cannot be one."""
    try:
        return names.subject(f"layby.do.{verb}.{encode(by)}")
    except InvalidTicket:
        shown = f"{by[:40]}..." if len(by) > 40 else by  # noqa: PLR2004
        raise InvalidTicket(
            f"{shown!r} cannot be a name: use 1 to 200 characters of text"
        ) from None


def outcome_subject(names: Names, by: str, seq: int | str) -> str:
    """The subject of the outcome of a person's command; seq = "*": of all their commands."""
    return names.subject(f"layby.done.{encode(by)}.{seq}")


def heartbeat_subject(names: Names, by: str, seq: int | str) -> str:
    """The subject of the heartbeats of a person's command; seq = "*": of all their commands."""
    return names.subject(f"layby.doing.{encode(by)}.{seq}")
