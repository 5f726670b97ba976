"""What a run's log holds: records, several to a message.

A record that is mail wakes the actor that the message is addressed to and is the last of its
message; `envelope` says what they travel in.

Records are trees: `gc=False` keeps them out of the cyclic collector, which costs a busy worker a
quarter of its time otherwise.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from .act_records import ClaimedQuestion, Declined, Passed
from .ask_back_records import AskedBack, Replied
from .call import Call
from .card_records import Notified, Undelivered
from .code_place import Place
from .ladder_records import Laddered, Reached
from .opened_records import OpenedQuestion
from .quorum import Quorum
from .spent import Spent
from .unseen_records import Claimed, Removed

Raw: TypeAlias = msgspec.Raw
NULL = msgspec.Raw(b"null")

ROOT = "w"
"""The frame of the workflow function itself."""


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Why something failed, without a stack trace and without values of variables."""

    type: str
    message: str
    attempts: int = 1
    place: Place | None = None
    """The innermost line of user code; None: there is none, or an older log does not say."""
    causes: list[str] = []
    """The classes of the exceptions that led to it, nearest first."""


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
    title: str = ""
    """What the run is about, for lists."""
    labels: dict[str, str] = {}
    """Values by name, by which lists filter it."""


class Stepped(_Record, frozen=True, kw_only=True, gc=False, tag="step"):
    """A step succeeded or failed; it never runs again."""

    frame: str
    key: str
    result: Raw = NULL
    error: Failure | None = None
    ms: float = 0.0
    note: str = ""
    """What a timeline shows next to the key."""
    sent: Raw = NULL
    """What it sent outside, a `Sent`; null: not recorded."""
    spent: Spent | None = None
    """What its model used; None: nothing, or an older log does not say."""


class Failed(_Record, frozen=True, kw_only=True, gc=False, tag="failed"):
    """An attempt of a step failed and is repeated at `retry_at` (Unix seconds)."""

    frame: str
    key: str
    error: Failure
    retry_at: float
    sent: Raw = NULL
    """Like that of `Stepped`."""


class Called(_Record, frozen=True, kw_only=True, gc=False, tag="called"):
    """A frame waits for another actor's work, which opens the frame `child`. Mail."""

    frame: str
    key: str
    child: str
    actor: str
    input: Raw = NULL
    note: str = ""


class Returned(_Record, frozen=True, kw_only=True, gc=False, tag="returned"):
    """The frame `frame` succeeded or failed; its caller continues. Mail."""

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
    """The digest of the call to approve; empty for other questions."""
    accept: list[str] = []
    """Who must vouch for the person who answers; empty: nobody."""
    call: Call | None = None
    """What is to be approved, when the answer must be signed."""
    confidential: bool = False
    """Whether what it says is encrypted wherever it is shown."""
    quorum: Quorum | None = None
    """What it takes to decide it; None: one answer."""
    only: str = ""
    """The one person who may answer it; empty: anybody who may answer for the role."""
    stops: bool = False
    """Whether its clock stops while something that was asked back has no reply."""
    about: str = ""
    """For a request for such a reply: the id of the question that it is about."""


class Addressed(Asked, frozen=True, kw_only=True, gc=False, tag="addressed"):
    """A frame waits for one certain person. A separate kind, at which earlier releases stop."""


class Proposed(Asked, frozen=True, kw_only=True, gc=False, tag="proposed"):
    """A frame waits for several people. A separate kind, at which earlier releases stop."""


class Voted(_Record, frozen=True, kw_only=True, gc=False, tag="voted"):
    """A person voted on what was proposed. Mail if that closes the question."""

    id: str
    role: str
    """The role that the vote counts for."""
    text: str
    by: str
    at: float
    seq: int
    vouched: str
    signature: str = ""
    """These are as in `Answered`."""


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
    """The header `Layby-Signature` as received, when the answer had to be signed."""


class Expired(_Record, frozen=True, kw_only=True, gc=False, tag="expired"):
    """A question's deadline passed without an answer. Mail."""

    id: str
    due: float = 0.0
    """The deadline, Unix seconds, if the question's clock may stop; 0: it may not."""


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
    """When the frame continues without it, Unix seconds; 0: never."""


class Arrived(_Record, frozen=True, kw_only=True, gc=False, tag="arrived"):
    """The event that a frame waits for has arrived. Mail."""

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
    """Whether it continues when this run no longer waits for it."""


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
    """A mail cannot be handled until people have fixed something; then it is handled again."""

    cause: int
    """The mail's position."""
    frame: str
    """The frame that it was handled for."""
    key: str = ""
    """The step that could not run; empty for the body itself."""
    kind: str
    """What must be fixed: `code`, `version`, `setup`, `key`, `budget` or `permission`."""
    reason: str
    needs: str
    """What people can do about it, in one sentence."""
    fingerprint: str = ""
    """The fingerprint of the worker that could not handle it, which does not retry by itself."""


class Unblocked(_Record, frozen=True, kw_only=True, gc=False, tag="unblocked"):
    """The blocked mail `cause` is handled again. Mail."""

    cause: int
    by: str = ""
    """The person who asked for it; empty when a worker retries on its own."""
    why: str = ""
    fingerprint: str = ""
    """The fingerprint of the worker that tries; empty: any worker may."""
    command: str = ""
    """The id of the command that asked for it; empty if none did."""


class Reopened(_Record, frozen=True, kw_only=True, gc=False, tag="reopened"):
    """A failed run continues from what failed; what is recorded stays. Mail."""

    by: str
    why: str = ""
    origin: str = ""
    """For a child: its parent, and the position at which the parent was reopened."""
    command: str = ""
    """The id of the command that asked for it; empty if none did."""


class Retried(_Record, frozen=True, kw_only=True, gc=False, tag="retried"):
    """A person decided to retry what failed in a run that has not ended. Mail."""

    frame: str
    steps: list[str] = []
    """Keys of the frame whose records are forgotten."""
    whole: bool = False
    """Whether the body itself failed: this mail owns what it does from here on."""
    event: Raw = NULL
    """Replaces the run's event; null: it stays."""
    input: Raw = NULL
    """Replaces the input of the first of `steps`; null: it stays."""
    question: str = ""
    """The id of the question that was answered so."""


class Resumed(_Record, frozen=True, kw_only=True, gc=False, tag="resumed"):
    """A frame that was left when its run ended or failed is entered again. Mail."""

    frame: str


class Cancelled(_Record, frozen=True, kw_only=True, gc=False, tag="cancelled"):
    """Somebody cancelled the run. Mail to the workflow, which cleans up."""

    reason: str = ""
    parent: str = ""
    """The parent run, which has ended or no longer waits for it."""
    by: str = ""
    """The person who cancelled it; empty if an event or its parent did."""
    command: str = ""
    """The id of the command that asked for it; empty if none did."""
    at: int = 0
    """The position of the parent's log at that time; 0: written by an earlier release."""


class Ended(_Record, frozen=True, kw_only=True, gc=False, tag="ended"):
    """The run is over."""

    status: str
    result: Raw = NULL
    error: str = ""
    steps: list[str] = []
    """Keys of the root frame whose recorded failures `error` comes from."""
    failure: Failure | None = None
    """The failure that `error` is the message of, when an exception ended the run."""


Record: TypeAlias = (
    Started
    | Stepped
    | Failed
    | Called
    | Returned
    | Laddered
    | Asked
    | Reached
    | ClaimedQuestion
    | Passed
    | Declined
    | AskedBack
    | Replied
    | OpenedQuestion
    | Notified
    | Undelivered
    | Addressed
    | Proposed
    | Voted
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
