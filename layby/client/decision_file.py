"""The form of a decision's file: what was asked, who answered what, and what proves it.

The form is a contract, by its `format`: fields may be added, never renamed. It is described in
docs/signed-answers.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import msgspec

from ..runtime.call import Call
from ..runtime.quorum import Quorum

FORMAT = "layby.decision/1"


class Matter(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked."""

    id: str
    ticket: str
    run: str
    role: str
    question: str
    context: str
    agent: str
    form: dict[str, Any] | None
    call: Call | None
    """The call to approve, with its exact arguments, where the answer had to be signed."""
    arguments: Any = None
    """The arguments of a call to approve, as the agent gave them."""
    accept: list[str]
    digest: str
    """Twelve digits of a call to approve, for people to compare; empty if there is no call."""
    sha256: str
    """The digest of the fields above, from `question` to `call`."""
    asked_at: str
    deadline: str
    only: str = ""
    """The one person who may answer it; empty: anybody who may answer for the role."""
    quorum: Quorum | None = None
    """If several people decide: how many, and who; covered by the digest."""
    to: str = ""
    """The person that it is meant for, `person:ada`; empty: everybody with the role."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """How people were asked."""

    subject: str
    seq: int
    at: str
    """By the server's clock."""
    people: list[str] = []
    """Who could sign; empty where nobody had to."""
    role: str = ""
    """Who was asked; empty in files of earlier releases."""
    rung: int | None = None
    """Of a reminder or escalation: its place in the ladder, from 0."""
    told: list[str] = []
    """Of a reminder or escalation: who was told, by name; empty: everybody with the role."""


class Rung(msgspec.Struct, frozen=True, kw_only=True):
    """A reminder or an escalation that was planned when the question was asked."""

    kind: str
    """asked, reminder or escalation."""
    due: str
    to: str = ""
    """Who is asked by an escalation: `role:lead` or `person:cto`."""
    rota: str = ""
    """The rota that says who is told; empty: none."""
    reached: str = ""
    """When its entry was stored, by the server's clock; empty: it was not reached."""
    entry: int = 0
    """The position of its entry in the log; 0: it was not reached."""
    told: list[str] = []
    absent: dict[str, str] = {}
    """By the name of a person who was told: the absent person they stood in for."""
    nobody: bool = False
    """Whether nobody was on duty."""
    early: bool = False
    """Whether it was reached before its time, because nobody was on duty before it."""


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A message that answers the question, as it was stored."""

    subject: str
    """Its words after the ticket are the answerer's name, and what vouches for it."""
    seq: int
    at: str
    by: str
    vouched: str
    """Who vouches for `by`, see docs/people.md: `nats`, `slack`, `signature`, `none`..."""
    signature: str = ""
    """The header `Layby-Signature`."""
    body: str


class Receipted(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt for one of the answers."""

    seq: int
    at: str
    answer: int
    """The sequence of the answer."""
    outcome: str
    reason: str | None = None
    by: str | None = None


class Logged(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the run's log that is about the question."""

    n: int
    seq: int
    at: str
    subject: str
    body: str


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """A vote that counts."""

    by: str
    role: str
    """The role that it counts for."""
    choice: str
    text: str
    at: str
    seq: int
    """The sequence of its message."""
    vouched: str
    """Who vouches for `by`; never `none`."""
    signature: str = ""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a card: the question as it was sent to a channel of a role."""

    role: str
    channel: str = ""
    """Its name; empty if the status is `undelivered`: no channel of the role could be reached."""
    rung: int | None = None
    """The rung that it was sent for; None: the question was asked."""
    status: str
    """sent, failed, held or undelivered."""
    reason: str = ""
    ref: str = ""
    """The reference by which its channel finds it again."""
    message: int = 0
    """The sequence of the published question."""
    entry: int
    """The position in the log."""
    at: str = ""
    """When that was stored, by the server's clock."""


class AskBack(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asked back before the decision, and the reply."""

    by: str
    role: str
    """The role for which they asked."""
    at: str
    seq: int
    """The sequence of its message in the stream of answers."""
    vouched: str
    """Who vouches for `by`, as of an answer."""
    text: str
    reply: str = ""
    """The reply, or why there is none; empty: the question was closed before."""
    replied_by: str = ""
    """The agent or the person who replied; empty: the app's code."""
    replier: str = ""
    """agent, code or person; empty: there is no reply."""
    failed: bool = False


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A person's first look at the question, by an entry of the log."""

    by: str
    at: str
    vouched: str
    channel: str = ""
    """Where: `console`, `slack`; empty: not known."""
    message: int
    """The sequence of what says so, in the stream of answers."""
    entry: int
    """The position in the log."""


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How the question ended, as the log says."""

    status: str
    """open, answered, expired, cancelled or no_quorum."""
    answer: str = ""
    by: str = ""
    at: str = ""
    seq: int = 0
    """The sequence of the answer that closed it."""
    vouched: str = ""
    signature: str = ""
    votes: list[Counted] = []
    """If several people decide: their votes, in the order of their stream."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The file."""

    format: str = FORMAT
    made_at: str
    question: Matter
    outcome: Ended
    shown: list[Shown]
    answers: list[Sent]
    receipts: list[Receipted]
    entries: list[Logged]
    ladder: list[Rung] | None = None
    """What reminded people, in the order of time; None: a file of an earlier release."""
    cards: list[Delivery] | None = None
    """What became of the question on each channel; None: a file of an earlier release."""
    asked_back: list[AskBack] | None = None
    """What people asked back, in the order of their stream; None: a file of an earlier release."""
    opened: list[Seen] | None = None
    """Who looked at the question; None: a file of an earlier release."""


class Check(NamedTuple):
    """One thing that was looked at."""

    ok: bool
    what: str


Checks: TypeAlias = Iterator[Check]
