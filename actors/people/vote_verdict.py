"""What a receipt says about a vote. Pure."""

from __future__ import annotations

from ...runtime.choice import choice_of
from ...runtime.entry import Voted
from ...runtime.state import ANSWERED, NO_QUORUM, Question
from ...runtime.tally import same_choice, standing_of
from .answer import Sent, Verdict, VoteCount
from .parked_question import ParkedQuestion


def counted(parked: ParkedQuestion, question: Question, vote: Voted) -> Verdict:
    """The verdict on a vote that the log has: the same whenever it is asked for."""
    quorum = question.quorum
    if quorum is None:
        return Verdict("accepted", parked)
    until = [each for each in question.votes if each.seq <= vote.seq]
    count = VoteCount(
        choice=choice_of(question, vote.text),
        given=len(same_choice(question, until, vote)),
        needed=quorum.number,
    )
    reason = standing_of(question, question.votes, vote)
    decides = question.seq == vote.seq and question.status == ANSWERED
    if question.seq == vote.seq and question.status == NO_QUORUM:
        reason = f"{reason}; people can no longer agree, so the question is closed"
    return Verdict("accepted" if decides else "counted", parked, reason, votes=count)


def has_voted(question: ParkedQuestion, sent: Sent) -> bool:
    """Whether a vote that counts was stored before by the same person."""
    return any(vote.by == sent.given.responder and vote.seq < sent.seq for vote in question.votes)


def already_voted(parked: ParkedQuestion, vote: Voted) -> Verdict:
    """The verdict on a second vote of one person."""
    return Verdict(
        "already_voted", parked, f"{vote.by} has voted: one person has one vote, the first counts"
    )
