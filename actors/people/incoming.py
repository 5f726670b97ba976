"""An answer that a worker is handling, and what became of it."""

from __future__ import annotations

from typing import NamedTuple

from ...bus.mailbox import Delivery
from ...runtime.run import LiveRun
from ...runtime.state import Question
from .answer import Given, Sent, Verdict


class Early(NamedTuple):
    """The place of an answer that is taken ahead of its turn."""

    seq: int
    at: float
    num_delivered: int = 1


class Incoming(NamedTuple):
    """An answer that a worker is handling."""

    ticket: str
    token: str
    given: Given
    place: Delivery | Early

    @property
    def sent(self) -> Sent:
        """The answer in its place in the stream."""
        return Sent(self.place.seq, self.place.at, self.given)


class Taken(NamedTuple):
    """What became of an answer, and the question that was closed for it."""

    verdict: Verdict
    live: LiveRun | None = None
    question: Question | None = None
