"""What a worker remembers of the answers that it has judged, and whether it still holds. Pure.

Nearly all of a thousand answers to one question change nothing: the person has voted, or the
question does not accept what they say. Which ones those are depends only on the questions and on
the votes in their logs. While both are as they were, or have only got the votes that were
judged to come, the few answers that did change something are all that has to be judged again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from ...runtime.state import OPEN, Question
from .answer import Sent
from .contest import Contest
from .parked_question import ParkedQuestion
from .tickets import ParkedRecord

_OF_NO_MATTER = frozenset(
    {
        "answer_with",
        "asked_back",
        "cards",
        "claim",
        "declined",
        "ladder",
        "opened",
        "pos",
        "stopped_at",
        "votes",
    }
)
"""What an answer is not judged by, and what people can change; votes are compared with the logs."""
_OF_CLOSED = tuple(name for name in ParkedQuestion.__struct_fields__ if name not in _OF_NO_MATTER)
_OF_OPEN = tuple(name for name in _OF_CLOSED if name != "deadline")
_ANSWER_BYTES, _VOTE_BYTES, _JUDGED_BYTES = 500, 40, 2_000
"""What each takes in memory, about, besides text."""
_encode = msgspec.json.Encoder().encode


class PollVotes(NamedTuple):
    """The votes on a question in its log."""

    status: str
    seqs: tuple[int, ...]
    """Their sequences in the stream of answers."""


class Basis(NamedTuple):
    """All that answers are judged by, besides the answers."""

    interruptions: int
    """After one, the server may have forgotten answers, and reused their sequences."""
    questions: bytes
    """A digest."""
    deadlines: Mapping[str, float]
    """The deadlines of the open questions, Unix seconds."""
    polls: Mapping[str, PollVotes]
    """The votes on the open questions that several people decide."""


def basis_of(
    record: ParkedRecord,
    roles: Sequence[str],
    polls: Mapping[str, Question],
    interruptions: int,
) -> Basis:
    """What answers for `roles` are judged by; the open questions are in plain."""
    asked = [each for each in record.questions if not set(roles).isdisjoint(each.roles)]
    content = [_content(each, polls.get(each.id)) for each in asked]
    return Basis(
        interruptions,
        blake2b(_encode([roles, content]), digest_size=32).digest(),
        {
            each.id: datetime.fromisoformat(each.deadline).timestamp()
            for each in asked
            if each.status == OPEN
        },
        {ref: _votes_of(poll) for ref, poll in polls.items()},
    )


def _content(question: ParkedQuestion, poll: Question | None) -> list[Any]:
    """What answers to a question are judged by, besides its deadline and the votes in its log."""
    if question.status != OPEN:
        return [getattr(question, name) for name in _OF_CLOSED]
    logged = {vote.seq for vote in poll.votes} if poll is not None else set[int]()
    only_shown = [vote.seq for vote in question.votes if vote.seq not in logged]
    return [only_shown, *(getattr(question, name) for name in _OF_OPEN)]


def _votes_of(poll: Question) -> PollVotes:
    return PollVotes(poll.status, tuple(vote.seq for vote in poll.votes))


class JudgedAnswers:
    """The answers to the open questions on a ticket that were judged, from the first one on."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis
        self._expected = {ref: poll.seqs for ref, poll in basis.polls.items()}
        """By question: the votes that its log will have once the judged ones are recorded."""
        self._decisive: list[Sent] = []
        """Those that changed something, unless the logs have them."""
        self._latest = 0.0
        """When the latest of the judged ones was stored."""
        self.end = 0
        """All up to this place in the stream are judged."""

    @property
    def size(self) -> int:
        """What it takes in memory, about."""
        texts = sum(4 * len(each.given.text) + _ANSWER_BYTES for each in self._decisive)
        return _JUDGED_BYTES + texts + _VOTE_BYTES * sum(map(len, self._expected.values()))

    def holds(self, now: Basis) -> bool:
        """Whether judging all of them again now would give the same result."""
        before = self._basis
        if (now.interruptions, now.questions) != (before.interruptions, before.questions):
            return False
        if now.polls.keys() != before.polls.keys():
            return False
        same_times = all(
            at == before.deadlines[ref] or min(at, before.deadlines[ref]) >= self._latest
            for ref, at in now.deadlines.items()
        )
        return same_times and all(map(self._has_come, now.polls, now.polls.values()))

    def _has_come(self, ref: str, now: PollVotes) -> bool:
        """Whether a log has got the expected votes, in order, and others only after them."""
        before, expected = self._basis.polls[ref], self._expected[ref]
        common = min(len(now.seqs), len(expected))
        return (
            now.status == before.status
            and len(now.seqs) >= len(before.seqs)
            and now.seqs[:common] == expected[:common]
            and all(seq > self.end for seq in now.seqs[common:])
        )

    def go_on(self, now: Basis) -> None:
        """Continue with what answers are judged by now, for which it holds."""
        recorded = {seq for poll in now.polls.values() for seq in poll.seqs}
        self._basis = now
        self._decisive = [each for each in self._decisive if each.seq not in recorded]

    def replay(self, contest: Contest, before: float) -> None:
        """Bring a new contest to where it is after all that were stored before a place."""
        for each in self._decisive:
            if each.seq < before:
                contest.add(each)

    def add(self, contest: Contest, sent: Sent) -> None:
        """Judge the next answer, in a contest in which all others were replayed."""
        if contest.add(sent):
            self._decisive.append(sent)
        self.end, self._latest = sent.seq, max(self._latest, sent.at)

    def expect(self, contest: Contest) -> None:
        """Expect the logs to get the votes that this contest has counted."""
        self._expected = {ref: _votes_of(poll).seqs for ref, poll in contest.polls.items()}
