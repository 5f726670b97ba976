"""Checks a decision's file by itself, without a server. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from ..actors.people.answer import Given, understood
from ..actors.people.answer_subject import NOBODY, sender_in
from ..runtime.entry import Answered, Asked, Expired, Record, Stepped
from ..runtime.envelope import read
from ..runtime.role import Role
from ..runtime.signature import Signature, digest
from ..runtime.vouched import SIGNATURE, word_of
from ..runtime.vouching import Signers, refused
from .approved_call import prepared, prepares, shown_digest
from .ask_back_checks import check_ask_backs
from .card_checks import check_cards
from .decision_file import Check, Checks, Decision, Ended, Sent
from .ladder_checks import check_ladder
from .message_checks import check_messages, in_time, roles_asked
from .opened_checks import check_opened
from .vote_checks import check_votes


def verify(decision: Decision, roles: Iterable[Role] | None = None) -> list[Check]:
    """Check everything that a file can prove by itself.

    `roles` have the keys that are trusted. If given, every answer must be signed with one of them.
    """
    signers = None if roles is None else Signers(roles)
    if decision.question.quorum is not None:
        decided = [*check_votes(decision, _records(decision), signers)]
    else:
        decided = [*_check_outcome(decision, signers), *_check_answer(decision, signers)]
    return [
        *_check_question(decision),
        *_check_arguments(decision),
        *decided,
        *check_messages(decision),
        *check_ladder(decision, _records(decision)),
        *check_ask_backs(decision, _records(decision), signers),
        *check_cards(decision, _numbered_records(decision)),
        *check_opened(decision, _numbered_records(decision)),
    ]


def _check_question(decision: Decision) -> Checks:
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


def _check_arguments(decision: Decision) -> Checks:
    """Check that the call to approve is the one that was prepared in the log."""
    asked = decision.question
    logged = next(
        (r for r in _records(decision) if isinstance(r, Asked) and r.id == asked.id), None
    )
    if logged is None or not asked.digest:
        return
    found = next((r for r in _records(decision) if prepares(r, logged)), None)
    call = prepared(bytes(found.result)) if isinstance(found, Stepped) else None
    if found is None:
        yield Check(ok=False, what="no entry of the log prepares the call that is to be approved")
    elif call is None:
        yield Check(ok=True, what="the call is too large for its entry, and was not compared")
    else:
        same = call.arguments == asked.arguments
        yield Check(same, "the log's entry prepares a call with these arguments")
        shown = shown_digest(call, asked.id)
        yield Check(shown == asked.digest == logged.digest, f"the digest of the call is {shown}")


def _check_outcome(decision: Decision, signers: Signers | None) -> Checks:
    """Check that the log ends the question as the file says."""
    end, why = _closing_record(decision, signers)
    outcome = decision.outcome
    if isinstance(end, Answered):
        logged = (end.text, end.by, end.seq, end.signature)
        same = logged == (outcome.answer, outcome.by, outcome.seq, outcome.signature)
        yield Check(same and outcome.status == "answered", "the log's entry answers the same")
    elif isinstance(end, Expired):
        yield Check(outcome.status == "expired", "the log says that nobody answered in time")
    elif why:
        yield Check(outcome.status != "answered", f"the log holds no answer that counts: {why}")
    else:
        yield Check(outcome.status in {"open", "cancelled"}, "the log holds no answer")


def _closing_record(
    decision: Decision, signers: Signers | None
) -> tuple[Answered | Expired | None, str]:
    """The first record in the log that closes the question; if none does, the reasons."""
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


def _check_answer(decision: Decision, signers: Signers | None) -> Checks:
    outcome, asked = decision.outcome, decision.question
    if outcome.status != "answered":
        return
    sent = next((each for each in decision.answers if each.seq == outcome.seq), None)
    if sent is None:
        yield Check(ok=False, what=f"the answer {outcome.seq} is not in the file")
    else:
        yield Check(_says(sent, outcome, decision), f"message {sent.seq} is that answer")
        yield in_time(sent, asked)
    receipts = [each for each in decision.receipts if each.answer == outcome.seq]
    accepted = bool(receipts) and all(each.outcome == "accepted" for each in receipts)
    yield Check(accepted, "its receipt says that it was accepted")
    end, _ = _closing_record(decision, signers)
    if isinstance(end, Answered):
        yield from _check_signature(decision, end, signers)


def _says(sent: Sent, outcome: Ended, decision: Decision) -> bool:
    asked = decision.question
    senders = (sender_in(sent.subject, role) for role in roles_asked(decision))
    sender = next((each for each in senders if each != NOBODY), NOBODY)
    given = understood(sent.body.encode(), asked.ticket, sender, sent.signature)
    return (
        isinstance(given, Given)
        and (given.text, given.by) == (outcome.answer, outcome.by)
        and outcome.signature in {"", given.signature}
    )


def _check_signature(decision: Decision, end: Answered, signers: Signers | None) -> Checks:
    asked = decision.question
    if SIGNATURE not in asked.accept and signers is None:
        whose = word_of(end.vouched)
        named = f"{end.by!r} is who answered by the word of {whose}, and nothing is signed"
        yield Check(ok=True, what=named if whose else _CLAIMED)
        return
    put = msgspec.structs.replace(asked, accept=[SIGNATURE])
    refusal = refused(asked.ticket, asked.run, put, end, signers)
    signature = Signature.parse(end.signature)
    if refusal is not None or signature is None:
        yield Check(ok=False, what=refusal.why if refusal is not None else "it is not signed")
    elif signers is None:
        what = f"it is signed with {signature.key}: only --keys FILE shows whose key that is"
        yield Check(ok=False, what=what)
    else:
        yield Check(ok=True, what=f"{end.by!r} has signed it, with {signature.key}")


_CLAIMED = "it is not signed, and nothing vouches for the name of the answerer"


def _records(decision: Decision) -> Iterator[Record]:
    return (record for _, record in _numbered_records(decision))


def _numbered_records(decision: Decision) -> Iterator[tuple[int, Record]]:
    """The records of the entries, with their positions."""
    for entry in decision.entries:
        envelope = read(entry.body.encode())
        for record in envelope.records if envelope is not None else ():
            yield entry.n, record
