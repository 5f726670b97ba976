"""What a decision's file shows about the votes of several people. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from ..actors.people.answer import Given, understood
from ..actors.people.answer_subject import sender_in
from ..runtime.entry import Asked, Expired, Record, Voted
from ..runtime.signature import Signature
from ..runtime.state import ANSWERED, OPEN, Question
from ..runtime.vouched import SIGNATURE, word_of
from ..runtime.vouching import Signers
from ..views.counted_answers import CountedAnswers
from .decision_file import Check, Checks, Decision, Sent
from .message_checks import in_time, unix


def check_votes(decision: Decision, records: Iterable[Record], signers: Signers | None) -> Checks:
    """Count the votes again, and look at what vouches for each of them."""
    asked, outcome = decision.question, decision.outcome
    poll, refusals, expired = _recounted(decision, records, signers)
    for why in refusals:
        yield Check(ok=False, what=why)
    votes = poll.votes if poll is not None else []
    told = [(each.by, each.role, each.text, each.seq) for each in outcome.votes]
    same = told == [(each.by, each.role, each.text, each.seq) for each in votes]
    yield Check(same, f"the log has these {len(votes)} votes")
    if poll is not None and poll.status != OPEN:
        logged = (poll.status, poll.text, poll.by, poll.seq)
        ended = (outcome.status, outcome.answer, outcome.by, outcome.seq)
        same = logged == ended
        yield Check(same, f"they amount to {poll.status}" + (f" by {poll.by}" if poll.by else ""))
    elif expired:
        yield Check(outcome.status == "expired", "the log says that too few voted in time")
    else:
        yield Check(outcome.status in {"open", "cancelled"}, "they do not decide it")
    for vote in votes:
        sent = next((each for each in decision.answers if each.seq == vote.seq), None)
        if sent is None:
            yield Check(ok=False, what=f"the vote {vote.seq} is not in the file")
        else:
            yield Check(_says(sent, vote, asked.ticket), f"message {sent.seq} is that vote")
            yield in_time(sent, asked)
        receipts = {each.outcome for each in decision.receipts if each.answer == vote.seq}
        decides = poll is not None and poll.status == ANSWERED and poll.seq == vote.seq
        taken = receipts == {"accepted" if decides else "counted"}
        how = "it decided" if decides else "it was counted"
        yield Check(taken, f"the receipt of {vote.seq} says that {how}")
        yield _vouched(vote, signers)


def _recounted(
    decision: Decision, records: Iterable[Record], signers: Signers | None
) -> tuple[Question | None, list[str], bool]:
    """The question with the votes that count; why others do not; whether its time was up."""
    asked = decision.question
    answers, expired = CountedAnswers(asked.run, signers), False
    answers.ticket = asked.ticket
    refusals: list[str] = []
    for record in records:
        if isinstance(record, Asked) and record.id == asked.id:
            answers.add(record)
        elif isinstance(record, Voted) and record.id == asked.id:
            why = answers.vote_refusal(record)
            if not why and record.at > unix(asked.deadline):
                why = "it was stored after the deadline"
            if why and not expired:
                who = f"the log has the vote {record.seq} of {record.by!r}, which is not valid"
                refusals.append(f"{who}: {why}")
        elif isinstance(record, Expired) and record.id == asked.id:
            expired = True
    return answers.poll(asked.id), refusals, expired


def _says(sent: Sent, vote: Voted, ticket: str) -> bool:
    sender = sender_in(sent.subject, vote.role)
    given = understood(sent.body.encode(), ticket, sender, sent.signature)
    return (
        isinstance(given, Given)
        and (given.text, given.responder) == (vote.text, vote.by)
        and vote.signature in {"", given.signature}
    )


def _vouched(vote: Voted, signers: Signers | None) -> Check:
    signature = Signature.parse(vote.signature)
    if vote.vouched != SIGNATURE or signature is None:
        whose = word_of(vote.vouched) or "nobody"
        named = f"{vote.by!r} voted by the word of {whose}, and nothing is signed"
        return Check(signers is None, named)
    if signers is None:
        what = f"it is signed with {signature.key}: only --keys FILE shows whose key that is"
        return Check(ok=False, what=what)
    return Check(ok=True, what=f"{vote.by!r} has signed it, with {signature.key}")
