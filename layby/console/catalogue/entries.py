"""What the catalogue answers with."""

from __future__ import annotations

from typing import Generic, Literal, NamedTuple, TypeVar

import msgspec

from ...views.rows import QuestionRow, RunRow

T = TypeVar("T")


class Due(NamedTuple, Generic[T]):
    """What happens by itself before a time.

    Attributes:
        rows: The next ones.
        total: How many there are.
    """

    rows: list[T]
    total: int


class RunPage(msgspec.Struct, kw_only=True, frozen=True):
    """A page of a list of runs.

    Attributes:
        runs: Its runs.
        next: The cursor of the page with older runs; None: there is none.
        previous: The cursor of the page with newer runs; None: there is none.
    """

    runs: list[RunRow]
    next: str | None = None
    previous: str | None = None


class Bar(msgspec.Struct, kw_only=True, frozen=True):
    """A bar of the chart: the runs of a stretch of time.

    Attributes:
        start: Where it begins, ISO 8601.
        end: Where it ends.
        counts: Runs by shown status.
    """

    start: str
    end: str
    counts: dict[str, int]


class Overview(msgspec.Struct, kw_only=True, frozen=True):
    """How many runs fit a query, and when they were.

    Attributes:
        counts: By shown status, whatever status the query asks for.
        bars: The chart: those with a status that the query asks for.
    """

    counts: dict[str, int]
    bars: list[Bar]


class Progress(msgspec.Struct, kw_only=True, frozen=True):
    """How far the catalogue is.

    Attributes:
        done: Messages read.
        total: Messages to read before it is complete.
        live: Whether it is complete, and follows what happens.
        problem: Why it is not; empty if nothing is wrong.
    """

    done: int = 0
    total: int = 0
    live: bool = False
    problem: str = ""


class AnswerRow(msgspec.Struct, kw_only=True, frozen=True):
    """An answer and what became of it.

    Attributes:
        outcome: `accepted`, `invalid`, `too_late`, `already_answered` and so on.
        by: Who gave it; if another answer won, who gave that one.
        at: When.
        seq: The answer's sequence in the stream of answers.
        reason: Why it was not accepted.
        text: What it says; None if it is not known here.
    """

    outcome: str
    by: str = ""
    at: str = ""
    seq: int = 0
    reason: str = ""
    text: str | None = None


class QuestionThread(msgspec.Struct, kw_only=True, frozen=True):
    """A question, open or closed, with its answers.

    Attributes:
        question: The question.
        status: `open`, `answered`, `expired`, `no_quorum` or `closed` (the run no longer needs the
            answer).
        answers: The answers that named it or were accepted for it, in the order of their stream.
    """

    question: QuestionRow
    status: str
    answers: list[AnswerRow] = []

    @property
    def won(self) -> AnswerRow | None:
        """The answer that was accepted."""
        return next((each for each in self.answers if each.outcome == "accepted"), None)


class HistoryPage(msgspec.Struct, kw_only=True, frozen=True):
    """Closed questions, the one that was asked last first.

    Attributes:
        items: The questions with their answers.
        next: The cursor of the page with older ones; None: there is none.
    """

    items: list[QuestionThread]
    next: str | None = None


class Change(msgspec.Struct, kw_only=True, frozen=True):
    """A change of something in the catalogue.

    Attributes:
        kind: `run`: a run's row. `question`: a question was opened or closed. `receipt`: an answer
            got its receipt. `progress`: the catalogue is complete, or starts over.
        id: The run's or question's id; empty for `progress`.
        seq: Counts the changes of this catalogue.
    """

    kind: Literal["run", "question", "receipt", "progress"]
    id: str = ""
    seq: int = 0
