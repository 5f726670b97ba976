"""A decision as one file: what was asked, who answered what, and what proves it. Pure.

The form is a contract, by its `format`: fields may be added, never renamed. It is described in
docs/signed-answers.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

import msgspec

from .actors.answer import Given, understood
from .runtime.call import Call
from .runtime.entry import Answered, Asked, Expired, Record, read
from .runtime.role import Role
from .runtime.signature import Signature, digest
from .runtime.vouching import NATS, SIGNATURE, Signers, refused

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
    """Twelve digits of a call to approve, for eyes; empty where it is none."""
    sha256: str
    """Of the fields above from `question` to `call`."""
    asked_at: str
    deadline: str


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """How people were asked."""

    subject: str
    seq: int
    at: str
    """By the server's clock."""
    people: list[str] = []
    """Who could sign; empty where nobody had to."""


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A message that answers the question, as it was stored."""

    subject: str
    """Its last word is the name that the server vouches for, where it has four after the prefix."""
    seq: int
    at: str
    by: str
    vouched: str
    """`nats`, `signature` or `none`: who vouches for `by`."""
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


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How the question ended, as the log says."""

    status: str
    """open, answered, expired or cancelled."""
    answer: str = ""
    by: str = ""
    at: str = ""
    seq: int = 0
    """The sequence of the answer that closed it."""
    vouched: str = ""
    signature: str = ""


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


class Check(NamedTuple):
    """One thing that was looked at."""

    ok: bool
    what: str


Checks: TypeAlias = Iterator[Check]


def verify(decision: Decision, roles: Iterable[Role] | None = None) -> list[Check]:
    """Look at everything that a file can show by itself.

    `roles` are the keys that are trusted. With them whatever was answered must be signed with one.
    """
    signers = None if roles is None else Signers(roles)
    return [
        *_of_question(decision),
        *_of_outcome(decision, signers),
        *_of_answer(decision, signers),
    ]


def _of_question(decision: Decision) -> Checks:
    asked = decision.question
    actual = digest(asked)
    yield Check(actual == asked.sha256, f"the question's SHA-256 is {actual}")
    logged = next(
        (r for r in _records(decision) if isinstance(r, Asked) and r.id == asked.id), None
    )
    if logged is None:
        yield Check(ok=False, what="no entry of the log asks this question")
        return
    same = (logged.role, logged.accept, digest(logged)) == (asked.role, asked.accept, actual)
    yield Check(same, "the log's entry asks the same")


def _of_outcome(decision: Decision, signers: Signers | None) -> Checks:
    """Whether the log ends the question as the file says."""
    end, why = _end(decision, signers)
    said = decision.outcome
    if isinstance(end, Answered):
        logged = (end.text, end.by, end.seq, end.signature)
        same = logged == (said.answer, said.by, said.seq, said.signature)
        yield Check(same and said.status == "answered", "the log's entry answers the same")
    elif isinstance(end, Expired):
        yield Check(said.status == "expired", "the log says that nobody answered in time")
    elif why:
        yield Check(said.status != "answered", f"the log holds no answer that counts: {why}")
    else:
        yield Check(said.status in {"open", "cancelled"}, "the log holds no answer")


def _end(decision: Decision, signers: Signers | None) -> tuple[Answered | Expired | None, str]:
    """What closes the question in the log: the first that counts; else why none does."""
    asked, reasons = decision.question, list[str]()
    for record in _records(decision):
        if isinstance(record, Expired) and record.id == asked.id:
            return record, ""
        if isinstance(record, Answered) and record.id == asked.id:
            refusal = refused(asked.ticket, asked.run, asked, record, signers)
            if refusal is None:
                return record, ""
            reasons.append(refusal.why)
    return None, "; ".join(reasons)


def _of_answer(decision: Decision, signers: Signers | None) -> Checks:
    said, asked = decision.outcome, decision.question
    if said.status != "answered":
        return
    sent = next((each for each in decision.answers if each.seq == said.seq), None)
    if sent is None:
        yield Check(ok=False, what=f"the answer {said.seq} is not in the file")
    else:
        yield Check(_says(sent, said, asked), f"message {sent.seq} is that answer")
    receipts = [each for each in decision.receipts if each.answer == said.seq]
    accepted = bool(receipts) and all(each.outcome == "accepted" for each in receipts)
    yield Check(accepted, "its receipt says that it was accepted")
    end, _ = _end(decision, signers)
    if isinstance(end, Answered):
        yield from _of_signature(decision, end, signers)


def _says(sent: Sent, said: Ended, asked: Matter) -> bool:
    words = sent.subject.split(".")
    responder = words[-1] if words[-4:-2] == [asked.role, "response"] else ""
    given = understood(sent.body.encode(), asked.ticket, responder, sent.signature)
    return (
        isinstance(given, Given)
        and (given.text, given.by) == (said.answer, said.by)
        and said.signature in {"", given.signature}
    )


def _of_signature(decision: Decision, end: Answered, signers: Signers | None) -> Checks:
    asked = decision.question
    if SIGNATURE not in asked.accept and signers is None:
        named = f"{end.by!r} is who answered by the word of the server, and nothing is signed"
        yield Check(ok=True, what=named if end.vouched == NATS else _CLAIMED)
        return
    put = msgspec.structs.replace(asked, accept=[SIGNATURE])
    refusal = refused(asked.ticket, asked.run, put, end, signers)
    signature = Signature.parse(end.signature)
    if refusal is not None or signature is None:
        yield Check(ok=False, what=refusal.why if refusal is not None else "it is not signed")
    elif signers is None:
        what = f"it is signed with {signature.key}: only --keys FILE can tell whose key that is"
        yield Check(ok=False, what=what)
    else:
        yield Check(ok=True, what=f"{end.by!r} has signed it, with {signature.key}")


_CLAIMED = "it is not signed, and nobody vouches for the name of whoever answered"


def _records(decision: Decision) -> Iterator[Record]:
    for entry in decision.entries:
        envelope = read(entry.body.encode())
        if envelope is not None:
            yield from envelope.records
