"""Which of a ticket's answers win, judged in the order of their stream. Pure."""

from __future__ import annotations

import msgspec

from ...runtime import tally
from ...runtime.entry import Voted
from ...runtime.state import ANSWERED, OPEN, Question
from ...runtime.times import iso
from .answer import Sent, WhyNot, is_named, judge, unfit
from .answer_admission import voted
from .asked_of import record_for
from .parked_question import ParkedQuestion
from .tickets import ParkedRecord


def _any_form(question: ParkedQuestion, sent: Sent) -> str:
    return unfit(question, sent.given)


class Contest:
    """Judges answers: the first valid one wins a question, or as many votes as it takes."""

    def __init__(
        self,
        record: ParkedRecord,
        role: str,
        why_not: WhyNot | None = None,
        polls: dict[str, Question] | None = None,
    ) -> None:
        """Begin with the record of the ticket.

        Args:
            record: The record, as recent as the first answer needs.
            role: The role whose answers are judged, unless an answer says another.
            why_not: Why a question does not accept an answer; default: its form.
            polls: The questions that several people decide, with the votes in their logs.
        """
        self._why_not = why_not or _any_form
        self.record = record
        """The record after the answers so far."""
        self.winners: dict[str, Sent] = {}
        """By the id of a question that was open: the answer that closes it."""
        self.votes: dict[str, list[Voted]] = {}
        """By the id of a question: the votes that are missing in its log, in order."""
        self.closed: set[str] = set()
        """The questions that these have closed."""
        self.unnamed: dict[str, float] = {}
        """By role: when the last answer that names no question was stored."""
        self.polls = {ref: msgspec.structs.replace(each) for ref, each in (polls or {}).items()}
        """The questions that several people decide, after the answers so far."""
        self._role = role

    def add(self, sent: Sent) -> bool:
        """Judge the next answer. Returns whether it changes anything for those after it."""
        role = sent.role or self._role
        view = record_for(self.record, role)
        verdict = judge(view, role, sent.given, seq=sent.seq, at=sent.at)
        question = verdict.question
        if verdict.outcome != "accepted" or question is None or question.status != OPEN:
            return False
        if self._why_not(question, sent):
            return False
        if question.quorum is not None:
            return self._vote(question, sent, role)
        self._note_unnamed(sent, role)
        self.winners[question.id] = sent
        self._close(question, sent, ANSWERED, sent.given.by)
        return True

    def _note_unnamed(self, sent: Sent, role: str) -> None:
        if not is_named(record_for(self.record, role), role, sent.given):
            self.unnamed[role] = max(sent.at, self.unnamed.get(role, 0.0))

    def _vote(self, question: ParkedQuestion, sent: Sent, role: str) -> bool:
        """Count a vote; False: it does not count."""
        poll, vote = self.polls.get(question.id), voted(question, sent, role)
        if poll is None or tally.why_no_vote(poll, vote):
            return False
        self._note_unnamed(sent, role)
        tally.count(poll, vote)
        self.votes.setdefault(question.id, []).append(vote)
        if poll.status != OPEN:
            self._close(question, sent, poll.status, poll.by)
        return True

    def _close(self, question: ParkedQuestion, sent: Sent, status: str, by: str) -> None:
        self.closed.add(question.id)
        end = {"status": status, "seq": sent.seq, "by": by, "closed_at": iso(sent.at)}
        questions = tuple(
            msgspec.structs.replace(each, **end) if each.id == question.id else each
            for each in self.record.questions
        )
        self.record = msgspec.structs.replace(self.record, questions=questions)
