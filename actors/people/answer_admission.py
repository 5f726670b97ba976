"""Which answers a question accepts: by their form, and by who vouches for the sender."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from ...bus.names import Names
from ...bus.token import encode
from ...runtime.entry import Answered, Voted
from ...runtime.signature import HEADER
from ...runtime.tally import why_not_entitled
from ...runtime.vouched import NATS, NONE, SIGNATURE
from ...runtime.vouching import must_sign, refused
from .answer import Given, Sent, WhyNot, unfit
from .answer_lines import APPROVAL, YOUR_NAME, accepted_from, through
from .parked_question import ParkedQuestion

if TYPE_CHECKING:
    from ...runtime.host import Host


class AnswerAdmission:
    """Admits the answers to one role, by the same rule as the fold of the log."""

    def __init__(self, role: str, host: Host, names: Names) -> None:
        self._role = role
        self._host = host
        self._names = names

    def rule_for(self, ticket: str) -> WhyNot:
        """The rule for the questions on one ticket."""
        return partial(self.why_not, ticket)

    def why_not(self, ticket: str, question: ParkedQuestion, sent: Sent) -> str:
        """Why a question does not accept an answer, and how to answer; empty when it does."""
        role = sent.role or self._role
        is_signed = must_sign(question, role, self._host.ports.signers)
        reason = self._why_unvouched(ticket, question, sent, is_signed=is_signed)
        if reason:
            return reason
        if question.only and sent.given.responder != question.only:
            return f"only {question.only} may answer this question"
        if question.quorum is not None:
            reason = why_not_entitled(question, role, sent.given.responder)
            if reason:
                return reason
        reason = unfit(question, sent.given)
        return _generic_reason(question) if reason and question.confidential else reason

    def _why_unvouched(
        self, ticket: str, question: ParkedQuestion, sent: Sent, *, is_signed: bool
    ) -> str:
        given, role = sent.given, sent.role or self._role
        named_subject = self._names.subject(f"{role}.response.{encode(ticket)}.{YOUR_NAME}")
        if not is_signed:
            accept = accepted_from(question, role)
            if not accept or given.vouched in accept:
                return ""
            return _why_not_vouched(question, accept, given, named_subject)
        how = f"answer on {named_subject} with a {HEADER}: `layby answer` and `layby sign` make one"
        if not given.responder:
            return f"the role {role!r} takes signed answers only: {how}"
        live = self._host.cache.warm(question.run)
        asked = live.state.questions.get(question.id) if live is not None else None
        record: Answered | Voted
        if question.quorum is None:
            record = self.answered(question.id, sent)
        else:
            record = voted(question, sent, role)
        signers = self._host.ports.signers
        refusal = refused(ticket, question.run, asked or question, record, signers)
        return f"{refusal.why}; {how}" if refusal is not None else ""

    def answered(self, question_id: str, winner: Sent) -> Answered:
        """The record for the log that an answer has closed a question."""
        return answered(question_id, winner, signed=self._role in self._host.ports.signers)


def _why_not_vouched(
    question: ParkedQuestion, accept: Sequence[str], given: Given, named_subject: str
) -> str:
    """Why what vouches for an answer is not enough, and where to answer."""
    several = question.quorum is not None
    if only := through(accept):
        what = "votes" if several else "answers"
        return f"the question accepts only {what} through {' or '.join(only)}"
    if NATS not in accept:
        others = [each for each in accept if each != NONE]
        also = f", and answers through {' or '.join(others)}" if others else ""
        return f"the question accepts only unnamed answers ({NONE}): leave the name out{also}"
    if given.via:
        return (
            f"what comes through {given.via} does not count for this question: answer with your "
            f"own login, on {named_subject}"
        )
    if several:
        return f"several people decide this, each under their own name: {named_subject}"
    return f"the question accepts only answers whose subject names you: {named_subject}"


def _generic_reason(question: ParkedQuestion) -> str:
    """Why an answer does not fit, without quoting the question."""
    how = f"answer one of: {APPROVAL}" if question.digest else "`layby questions` shows it"
    where = "" if question.digest else " where LAYBY_KEYS is set"
    return f"the answer does not have the form that the question needs: {how}{where}"


def answered(question_id: str, winner: Sent, *, signed: bool = False) -> Answered:
    """The record for the log that an answer has closed a question.

    `signed`: its role takes signed answers only.
    """
    given = winner.given
    return Answered(
        id=question_id,
        text=given.text,
        by=given.by,
        at=winner.at,
        seq=winner.seq,
        vouched=SIGNATURE if signed else given.vouched,
        signature=given.signature if signed else "",
    )


def voted(question: ParkedQuestion, sent: Sent, role: str) -> Voted:
    """The record for the log that somebody has voted for `role`."""
    given = sent.given
    is_signed = question.quorum is not None and role in question.quorum.signed
    return Voted(
        id=question.id,
        role=role,
        text=given.text,
        by=given.responder,
        at=sent.at,
        seq=sent.seq,
        vouched=SIGNATURE if is_signed else given.vouched,
        signature=given.signature if is_signed else "",
    )
