"""What people command, as it travels: an entry of the trail, the signs of work, what came of it.

A command is stored before anybody acts on it, on `layby.do.<verb>.<person>`, and the worker that
takes it acts on that entry and nothing else. What came of it is created once, on
`layby.done.<person>.<number>`: the number is the command's sequence in the stream.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from .bus.errors import InvalidTicket, LaybyError
from .bus.names import Names
from .bus.token import decode as decode_token
from .bus.token import encode

STREAM = "AUDIT"
CONSUMER = "commands"
ALL = "layby.do.*.*"
"""The subjects of all commands."""
TRAIL = "layby.*.*.*"
"""The subjects of all that the stream holds: commands, and what came of them."""
NOBODY = "?"
"""In the place of a person whose name in the subject cannot be read."""

CANCEL = "cancel"
RETRY = "retry"
PURGE = "purge"
ERASE = "erase"
DEAD_RETRY = "dead-retry"
DEAD_DROP = "dead-drop"
VERBS = (CANCEL, RETRY, PURGE, ERASE, DEAD_RETRY, DEAD_DROP)
"""What can be commanded. Later releases add verbs; a worker that does not know one says so."""


class NotDoneYet(LaybyError):
    """A command is stored, and no worker has said what came of it yet."""


class CommandRefused(LaybyError):
    """A worker has taken a command and did not do it; the message says why."""


class RunOver(LaybyError):
    """The run has ended already."""


class NotRetryable(LaybyError):
    """A run is in no state to be taken up again."""


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


Kind = Literal["done", "refused", "failed", "invalid"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of a command: one for each, and it never changes."""

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
    """It was delivered before: what a worker had done that died with it is not in `result`."""
    result: dict[str, Any] = {}
    """What was done, by verb."""


class Sign(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's word that it is at a command; not stored."""

    done: int = 0
    """How many runs it has dealt with so far."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A command as it was stored."""

    verb: str
    by: str
    """Who: the server's word, where its permissions give each user their own name only."""
    seq: int
    at: float
    """When it was stored, Unix seconds."""
    command: Command

    @property
    def id(self) -> str:
        """What names it in the logs of runs."""
        return f"{self.seq}@{self.at:.3f}"

    @property
    def takes_long(self) -> bool:
        """Whether it is about any number of runs or entries."""
        return self.verb in {PURGE, ERASE} or (self.verb == RETRY and not self.command.run)


class Unreadable(LaybyError):
    """A command that cannot be understood."""


_decode = msgspec.json.Decoder(Command).decode


def order(names: Names, subject: str, data: bytes, seq: int, at: float) -> Order:
    """Read a stored command. Raises Unreadable."""
    verb, by = addressed(names, subject)
    if by == NOBODY:
        raise Unreadable("the last word of the subject is nobody's name: write it as a token")
    if verb not in VERBS:
        raise Unreadable(f"this release knows no command {verb[:40]!r}")
    try:
        command = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"the body is no command: {str(error)[:200]}") from None
    return Order(verb=verb, by=by, seq=seq, at=at, command=command)


def addressed(names: Names, subject: str) -> tuple[str, str]:
    """The verb and the person that a command's subject names; `NOBODY` where that is no name."""
    parts = names.own(subject).split(".")
    try:
        return parts[2], decode_token(parts[3])
    except (InvalidTicket, IndexError):
        return parts[2] if len(parts) > 2 else "", NOBODY  # noqa: PLR2004


def command_subject(names: Names, verb: str, by: str) -> str:
    """Where a person's command is published. Raises InvalidTicket for what can be no name."""
    try:
        return names.subject(f"layby.do.{verb}.{encode(by)}")
    except InvalidTicket:
        shown = f"{by[:40]}..." if len(by) > 40 else by  # noqa: PLR2004
        raise InvalidTicket(
            f"{shown!r} can be nobody's name: use 1 to 200 characters of text"
        ) from None


def outcome_subject(names: Names, by: str, seq: int | str) -> str:
    """Where it is published what came of a person's command; seq = "*": of all of them."""
    return names.subject(f"layby.done.{encode(by)}.{seq}")


def sign_subject(names: Names, by: str, seq: int | str) -> str:
    """Where a worker says that it is at a person's command; seq = "*": of all of them."""
    return names.subject(f"layby.doing.{encode(by)}.{seq}")


def stored_at(text: str) -> float:
    """Unix seconds of a time in a message's headers."""
    return datetime.fromisoformat(text).timestamp()
