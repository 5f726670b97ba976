"""Which of the answers in a log count, as its records are read one by one."""

from __future__ import annotations

from ..runtime import tally
from ..runtime.entry import Answered, Asked, Expired, Voted
from ..runtime.question_fields import fields_of
from ..runtime.state import OPEN, Question
from ..runtime.vouched import SIGNATURE
from ..runtime.vouching import Signers, refused


class CountedAnswers:
    """The questions of one run, as far as its log has been read."""

    def __init__(self, run: str, signers: Signers | None = None) -> None:
        self.ticket = ""
        self._run = run
        self._signers = signers
        self._asked: dict[str, Asked] = {}
        self._polls: dict[str, Question] = {}
        """The questions that several people decide, with the votes that count."""
        self._closed: set[str] = set()

    def add(self, record: Asked) -> None:
        """Add a question; the first with an id stands."""
        if record.id in self._asked:
            return
        self._asked[record.id] = record
        if record.quorum is not None:
            fields = fields_of(record)
            self._polls[record.id] = Question(**fields, frame=record.frame, key=record.key)

    def question(self, ref: str) -> Asked | None:
        """The question with an id."""
        return self._asked.get(ref)

    def refusal(self, record: Answered) -> str:
        """Why an answer does not count, by the fold's rules; one that counts closes its question.

        Empty if it counts, and for an answer to a question that nobody asked.
        """
        asked = self._asked.get(record.id)
        if asked is None:
            return ""
        if record.id in self._closed:
            return "the question was closed before"
        refusal = refused(self.ticket, self._run, asked, record, self._signers)
        if refusal is None:
            self._closed.add(record.id)
            return ""
        return refusal.why

    def vote_refusal(self, record: Voted) -> str:
        """Why a vote does not count, by the fold's rules; one that counts is added."""
        poll = self._polls.get(record.id)
        if poll is None:
            return "nobody was asked to vote on this"
        refusal = refused(self.ticket, self._run, poll, record, self._signers)
        why = refusal.why if refusal is not None else tally.why_no_vote(poll, record)
        if not why:
            tally.count(poll, record)
            if poll.status != OPEN:
                self._closed.add(record.id)
        return why

    def poll(self, ref: str) -> Question | None:
        """A question that several people decide, with the votes so far."""
        return self._polls.get(ref)

    def close(self, record: Expired) -> None:
        """Close a question that nobody answered."""
        self._closed.add(record.id)

    @property
    def keys_known(self) -> bool:
        """Whether signatures are checked against the keys of people."""
        return self._signers is not None

    def vouched(self, record: Answered) -> str:
        """Who vouches for an answer that counts."""
        asked = self._asked.get(record.id)
        signs = asked is not None and SIGNATURE in asked.accept
        if self._signers is not None and asked is not None and asked.role in self._signers:
            signs = True
        if signs:
            return SIGNATURE
        return "" if record.vouched == SIGNATURE else record.vouched

    def role(self, ref: str) -> str:
        """The role that a question was put to; `person` if no such question was asked."""
        asked = self._asked.get(ref)
        return asked.role if asked else "person"
