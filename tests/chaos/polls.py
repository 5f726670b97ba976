"""What became of questions that several people decide, against what the stream of answers says."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from layby.runtime.entry import Voted
from layby.runtime.state import Question, RunState

from .app import EXPIRED, NO_QUORUM
from .ballots import ANSWERED, LATE, OPEN, Asked, Cast, Ruling, ruled
from .ballots import NO_QUORUM as UNDECIDED
from .crowd import NAMES
from .driver import Driver
from .history import History
from .plan import Ticket
from .violation import Violation

_OVER = {ANSWERED, UNDECIDED, "expired"}


class Crowd:
    """Shown all that a driver records; judges the questions that crowds answer."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def look(self) -> None:
        """Nothing: what was recorded is enough."""

    def violations(self) -> list[Violation]:
        """What is wrong by now."""
        history = self._driver.history
        casts: dict[str, list[Cast]] = defaultdict(list)
        for answer in history.answers.values():
            if answer.role in NAMES:
                cast = Cast(answer.seq, answer.role, answer.by, answer.at, answer.data)
                casts[answer.ticket].append(cast)
        found: list[Violation] = []
        for ticket in self._driver.tickets.values():
            run = history.run_of(ticket.id)
            if run is None:
                continue
            asked = {each.id: each for each in _asked(ticket, run, history)}
            rulings = ruled(list(asked.values()), casts[ticket.id])
            found += told(rulings, casts[ticket.id], history)
            for ref, each in asked.items():
                found += counted(each, recorded(history, run.id, ref), rulings)
                found += decided(each, run.questions[ref], rulings)
            found += _result(ticket, run, asked)
        return found


def _asked(ticket: Ticket, run: RunState, history: History) -> Iterator[Asked]:
    """The questions to crowds on a ticket: what its plan says, and when they were shown."""
    polls = {f"{ticket.n}/{op.name}": op for op in ticket.ops if op.kind in {"poll", "climb"}}
    for question in run.questions.values():
        op = polls.get(question.question)
        if op is None:
            continue
        shown = {
            role: stored for (ref, role), stored in history.shown.items() if ref == question.id
        }
        if shown:
            body: dict[str, Any] = msgspec.json.decode(min(shown.values()).data)
            deadline = datetime.fromisoformat(body["deadline"]).timestamp()
            if question.stops:  # whether its clock was right is judged by `inquiries`
                deadline = question.deadline
            since = {role: stored.at for role, stored in shown.items()}
            yield Asked(question.id, since, deadline, op.poll)


def recorded(history: History, run: str, question: str) -> list[Voted]:
    """The votes on a question that a log holds, in its order."""
    return [
        record
        for entry in history.logs[run]
        for record in entry.envelope.records
        if isinstance(record, Voted) and record.id == question
    ]


def counted(asked: Asked, votes: list[Voted], rulings: dict[int, Ruling]) -> Iterator[Violation]:
    """Whether the votes in a log are those that count, each once, in their order."""
    name = f"question {asked.id}"
    for by, times in Counter(vote.by for vote in votes).items():
        if times > 1:
            yield Violation("one person voted twice", f"{name}: {by}")
    for vote in votes:
        ruling = rulings.get(vote.seq)
        outcome = ruling.outcome if ruling is not None else "never sent"
        text = f"{name}: answer {vote.seq} of {vote.by} is {outcome}, and was counted"
        if outcome in {"already_answered", "too_late", LATE}:
            yield Violation("vote after the close", text)
        elif outcome not in {"accepted", "counted", "already_voted"}:
            yield Violation("vote without a right", text)
    ours, theirs = [vote.seq for vote in asked.votes], [vote.seq for vote in votes]
    if theirs != ours[: len(theirs)]:
        yield Violation("votes out of order", f"{name}: {theirs} instead of {ours}")
    elif len(theirs) < len(ours):
        yield Violation("vote lost", f"{name}: {theirs} of {ours}")


def decided(asked: Asked, question: Question, rulings: dict[int, Ruling]) -> Iterator[Violation]:
    """Whether a question that is over was decided as its answers say."""
    if question.status not in _OVER:
        return
    wanted = ("expired" if asked.status == OPEN else asked.status, asked.seq)
    got = (question.status, question.seq)
    if got == wanted and question.by == asked.by:
        return
    text = f"question {asked.id}: {got} by {question.by!r} instead of {wanted} by {asked.by!r}"
    ruling = rulings.get(question.seq)
    is_later = asked.poll is None and ruling is not None and 0 < asked.seq < question.seq
    yield Violation("a later answer won" if is_later else "wrong decision", text)


def told(
    rulings: dict[int, Ruling], casts: Iterable[Cast], history: History
) -> Iterator[Violation]:
    """Whether every answer was told the truth."""
    receipts = {cast.seq: set[tuple[Any, ...]]() for cast in casts}
    for _, receipt in history.receipts:
        if receipt.seq in receipts:
            votes = receipt.votes
            given = votes.given if votes is not msgspec.UNSET else 0
            receipts[receipt.seq].add((receipt.outcome, receipt.question, given))
    for seq, said in receipts.items():
        wanted = rulings[seq]
        if not said:
            yield Violation("answer without receipt", f"answer {seq}")
        if len(said) > 1:
            yield Violation("receipts disagree", f"answer {seq}: {said}")
        for outcome, question, given in said:
            if not _is_true(wanted, outcome, question, given):
                got = (outcome, question, given)
                yield Violation("wrong receipt", f"answer {seq}: told {got}, but is {wanted}")


def _is_true(wanted: Ruling, outcome: str, question: str | None, given: int) -> bool:
    if outcome not in wanted.outcome.split(" or "):
        return False
    if outcome in {"accepted", "counted"}:
        return question == wanted.question and given == wanted.given
    return outcome == "invalid" or (question or "") == wanted.question


def _result(ticket: Ticket, run: RunState, asked: dict[str, Asked]) -> Iterator[Violation]:
    """Whether a run was given what people decided."""
    if run.status != "completed":
        return
    result = msgspec.json.decode(run.result)
    by_text = {run.questions[ref].question: each for ref, each in asked.items()}
    for op, got in zip(ticket.ops, result, strict=True):
        each = by_text.get(f"{ticket.n}/{op.name}")
        if each is not None and got != (wanted := _given(each)):
            text = f"{ticket.id}: {op.name} gave {got} instead of {wanted}"
            yield Violation("wrong decision", text)


def _given(asked: Asked) -> Any:
    """What a step that asks gives."""
    if asked.status == OPEN:
        return EXPIRED
    if asked.status == UNDECIDED:
        return NO_QUORUM
    if asked.poll is None:
        return asked.text
    value = asked.text if asked.poll.colours else asked.text == "yes"
    return [value, asked.by, [[vote.by, vote.role, vote.choice] for vote in asked.votes]]
