"""What a run's log holds: records, several to a message, and the envelope they travel in.

A message is appended as a whole, so records that belong together (a step's result and the
question that follows it) become true together. A record that is mail wakes the actor that the
message is addressed to and is the last of its message.

Records are trees: `gc=False` keeps them out of the cyclic collector, which costs a busy worker a
quarter of its time otherwise.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias, get_args

import msgspec

from .call import Call

Raw: TypeAlias = msgspec.Raw
NULL = msgspec.Raw(b"null")

ROOT = "w"
"""The frame of the workflow function itself."""


class Place(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A line of user code."""

    file: str
    """As the app imports it: `shop/app.py`, without the machine's folders."""
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.function} ({self.file}:{self.line})"


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Why something failed, without a stack trace and without values of variables."""

    type: str
    message: str
    attempts: int = 1
    place: Place | None = None
    """The innermost line of user code; None: it failed in none, or an older log does not say."""
    causes: list[str] = []
    """The classes of the exceptions that led to it, the nearest first."""


class _Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="k"):
    """The base of all records; `k` tells them apart."""


class Origin(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a child run was called from."""

    run: str
    frame: str
    key: str


class Started(_Record, frozen=True, kw_only=True, gc=False, tag="started"):
    """A run began. Opens the root frame."""

    workflow: str
    actor: str
    version: str
    ticket: str
    event: Raw
    parent: Origin | None = None
    seq: int = 0
    """The event's sequence in the stream of events; 0: unknown."""
    on: str = ""
    """The event's subject; empty: unknown."""


class Stepped(_Record, frozen=True, kw_only=True, gc=False, tag="step"):
    """A step finished, well or badly; it never runs again."""

    frame: str
    key: str
    result: Raw = NULL
    error: Failure | None = None
    ms: float = 0.0
    note: str = ""
    """What a person should read beside the key in a timeline."""


class Failed(_Record, frozen=True, kw_only=True, gc=False, tag="failed"):
    """An attempt of a step failed and is repeated at `retry_at` (Unix seconds)."""

    frame: str
    key: str
    error: Failure
    retry_at: float


class Called(_Record, frozen=True, kw_only=True, gc=False, tag="called"):
    """A frame waits for another actor's work, which opens the frame `child`. Mail."""

    frame: str
    key: str
    child: str
    actor: str
    input: Raw = NULL
    note: str = ""


class Returned(_Record, frozen=True, kw_only=True, gc=False, tag="returned"):
    """The frame `frame` is done, well or badly; its caller goes on. Mail."""

    frame: str
    result: Raw = NULL
    error: Failure | None = None
    steps: list[str] = []
    """Keys of the frame whose recorded failures `error` comes from."""


class Asked(_Record, frozen=True, kw_only=True, gc=False, tag="asked"):
    """A frame waits for a person. Mail to the person's actor."""

    frame: str
    key: str
    id: str
    role: str
    question: str
    context: str = ""
    agent: str = ""
    deadline: float
    """Unix seconds."""
    form: dict[str, Any] | None = None
    """JSON Schema that an answer must satisfy; None: any text."""
    digest: str = ""
    """Of the call that is to be approved; no other question has it."""
    accept: list[str] = []
    """Who must vouch for whoever answers; empty: nobody."""
    call: Call | None = None
    """What is to be approved, where the answer is to be signed."""


class Answered(_Record, frozen=True, kw_only=True, gc=False, tag="answered"):
    """A question was answered by a person. Mail."""

    id: str
    text: str
    by: str = ""
    at: float = 0.0
    """When the stream of answers stored it, Unix seconds."""
    seq: int = 0
    """Its sequence in that stream."""
    vouched: str = ""
    """Who vouches for `by`: `nats`, `signature` or `none`; empty in older logs."""
    signature: str = ""
    """The header `Layby-Signature` as it came, where the answer had to be signed."""


class Expired(_Record, frozen=True, kw_only=True, gc=False, tag="expired"):
    """A question's deadline passed without an answer. Mail."""

    id: str


class Slept(_Record, frozen=True, kw_only=True, gc=False, tag="slept"):
    """A frame sleeps until `until` (Unix seconds)."""

    frame: str
    key: str
    until: float


class Woken(_Record, frozen=True, kw_only=True, gc=False, tag="woken"):
    """A sleep or a back-off is over. Mail."""

    frame: str
    key: str


class Awaited(_Record, frozen=True, kw_only=True, gc=False, tag="awaited"):
    """A frame waits for an event."""

    frame: str
    key: str
    subject: str
    match: dict[str, Any] = {}
    """Fields of the event and the values they must have."""
    until: float = 0.0
    """When it goes on without, Unix seconds; 0: never."""


class Arrived(_Record, frozen=True, kw_only=True, gc=False, tag="arrived"):
    """The event that a frame waits for is there. Mail."""

    frame: str
    key: str
    event: Raw
    seq: int = 0
    """Its sequence in the stream of events."""


class Spawned(_Record, frozen=True, kw_only=True, gc=False, tag="spawned"):
    """A frame waits for a run of another workflow."""

    frame: str
    key: str
    run: str
    workflow: str
    event: Raw
    detached: bool = False
    """Whether it goes on when nobody here waits for it any more."""


class Joined(_Record, frozen=True, kw_only=True, gc=False, tag="joined"):
    """The other run is over. Mail."""

    frame: str
    key: str
    result: Raw = NULL
    error: Failure | None = None


class Withdrawn(_Record, frozen=True, kw_only=True, gc=False, tag="withdrawn"):
    """A frame no longer waits for `key`. Mail to the person's actor where it was a question."""

    frame: str
    key: str


class Blocked(_Record, frozen=True, kw_only=True, gc=False, tag="blocked"):
    """A mail cannot be handled until people have mended something; then it is handled again."""

    cause: int
    """The mail's position."""
    frame: str
    """The frame that it was handled for."""
    key: str = ""
    """The step that could not be done; empty where it was the body itself."""
    kind: str
    """What must be mended: `code`, `version`, `setup`, `key`, `budget` or `permission`."""
    reason: str
    needs: str
    """What people can do about it, in a sentence."""
    fingerprint: str = ""
    """Of the worker that could not; it is not tried there again by itself."""


class Unblocked(_Record, frozen=True, kw_only=True, gc=False, tag="unblocked"):
    """The blocked mail `cause` is to be handled again. Mail."""

    cause: int
    by: str = ""
    """The person who asked for it; empty when a worker tries by itself."""
    why: str = ""
    fingerprint: str = ""
    """Of the worker that tries; empty: any worker may."""
    command: str = ""
    """Of the command that asked for it: its id; empty where none did."""


class Reopened(_Record, frozen=True, kw_only=True, gc=False, tag="reopened"):
    """A run that ended badly goes on from what failed; what is recorded stays. Mail."""

    by: str
    why: str = ""
    origin: str = ""
    """Of a child: its parent, and the position at which that was reopened."""
    command: str = ""
    """Of the command that asked for it: its id; empty where none did."""


class Retried(_Record, frozen=True, kw_only=True, gc=False, tag="retried"):
    """What failed in a run that has not ended is done again, as a person answered. Mail."""

    frame: str
    steps: list[str] = []
    """Keys of the frame whose records are forgotten."""
    whole: bool = False
    """Whether the body itself had failed: what it does from here on is this mail's."""
    event: Raw = NULL
    """What takes the place of the run's event; null: it stays."""
    input: Raw = NULL
    """What takes the place of the input of the first of `steps`; null: it stays."""
    question: str = ""
    """The question that was answered so."""


class Resumed(_Record, frozen=True, kw_only=True, gc=False, tag="resumed"):
    """A frame that was left when its run ended, or failed, is entered again. Mail."""

    frame: str


class Cancelled(_Record, frozen=True, kw_only=True, gc=False, tag="cancelled"):
    """Somebody cancelled the run. Mail to the workflow, which tidies up."""

    reason: str = ""
    parent: str = ""
    """The run that it was a child of, and that has ended or no longer waits for it."""
    by: str = ""
    """The person who cancelled it; empty where an event or its parent did."""
    command: str = ""
    """Of the command that asked for it: its id; empty where none did."""
    at: int = 0
    """The position of the parent's log by which it had; 0: written by an earlier release."""


class Claimed(_Record, frozen=True, kw_only=True, gc=False, tag="claimed"):
    """The parent, reopened at its position `at`, waits for this run: what it did before is void."""

    at: int


class Removed(_Record, frozen=True, kw_only=True, gc=False, tag="removed"):
    """A run that is over is being removed: it cannot be taken up again."""


class Ended(_Record, frozen=True, kw_only=True, gc=False, tag="ended"):
    """The run is over."""

    status: str
    result: Raw = NULL
    error: str = ""
    steps: list[str] = []
    """Keys of the root frame whose recorded failures `error` comes from."""
    failure: Failure | None = None
    """What `error` is the message of, where an exception ended the run."""


Record: TypeAlias = (
    Started
    | Stepped
    | Failed
    | Called
    | Returned
    | Asked
    | Answered
    | Expired
    | Slept
    | Woken
    | Awaited
    | Arrived
    | Spawned
    | Joined
    | Withdrawn
    | Blocked
    | Unblocked
    | Reopened
    | Retried
    | Resumed
    | Cancelled
    | Claimed
    | Removed
    | Ended
)


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One message of a log."""

    op: str
    """Names this very append, so that a writer recognises its own after a lost acknowledgement."""
    at: float
    """When it was written, Unix seconds by the writer's clock; for people only."""
    cause: int = 0
    """The position whose handling wrote it; 0 for what came from outside the run."""
    records: list[Record]


UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What a decoder of JSON says of what it does not understand."""

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Envelope).decode
"""Read an entry. Raises one of UNREADABLE."""


def read(data: bytes) -> Envelope | None:
    """An entry; None: Layby, as far as this release knows it, has not written that.

    The fold skips it: every worker comes to the same state, and the next position is free.
    """
    try:
        return decode(data)
    except UNREADABLE:
        return None


class _Kind(msgspec.Struct):
    k: str


class _Outline(msgspec.Struct):
    """As much of an envelope as every release writes."""

    op: str
    at: float
    records: list[_Kind]


_outline = msgspec.json.Decoder(_Outline).decode
_KINDS: Final = {each.__struct_config__.tag for each in get_args(Record)}


def is_newer(data: bytes) -> bool:
    """Whether an entry that cannot be read has records of a kind that a later release knows."""
    try:
        return any(record.k not in _KINDS for record in _outline(data).records)
    except UNREADABLE:
        return False
