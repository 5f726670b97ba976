"""Judges a history: what was promised against what was recorded and what the outside world saw."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from layby.runtime.card_records import Notified
from layby.runtime.conflicts import conflicts
from layby.runtime.entry import (
    Answered,
    Asked,
    Cancelled,
    Expired,
    Reopened,
    Stepped,
    Unblocked,
    Voted,
)
from layby.runtime.journal import fold
from layby.runtime.state import Question, RunState

from . import crowd, signers
from .app import NOT_YET
from .driver import Driver
from .expectation import effects_of, expected, in_order, plain
from .history import AnswerSent, History, Stored
from .ledger import Entry as LedgerEntry
from .plan import Ticket
from .violation import Violation


class Recorded(NamedTuple):
    """Where the result of a step is in the log, and when it was stored there."""

    n: int
    at: float


class Pause(NamedTuple):
    """A process that was stopped and continued: what it was amid may happen after `until`."""

    pid: int
    since: float
    until: float


CARDS = "dead.cards-"
"""The first characters of the subjects of letters about cards."""
_PURGE = "layby.do.purge."
_RACED = 0.25
"""Seconds after a record in which a second worker, cut off or taken for dead, may still begin."""
_ZOMBIE = 0.5
"""Seconds after its continuation in which a process may be amid what it was amid before."""


class Checker:
    """Judges what a driver's history holds once the faults are over."""

    def __init__(
        self,
        driver: Driver,
        effects: Iterable[LedgerEntry],
        pauses: Sequence[Pause] = (),
        *,
        calm: bool = False,
    ) -> None:
        self._driver = driver
        self._history: History = driver.history
        self._pauses = pauses
        self._calm = calm
        """Nothing was made to fail: then nothing has a reason to run twice."""
        self._by_effect: dict[str, list[LedgerEntry]] = defaultdict(list)
        self._by_key: dict[str, list[LedgerEntry]] = defaultdict(list)
        self.zombies = 0
        """Tries that a stopped process had begun before it was stopped."""
        self.raced = 0
        """Tries that began as another worker's record of the step was being stored."""
        self.repeated = 0
        """Tries beyond the first: at-least-once, with the same key."""
        for entry in effects:
            self._by_effect[entry.effect].append(entry)
            self._by_key[entry.key].append(entry)

    def violations(self) -> list[Violation]:
        """Everything that is wrong."""
        self.zombies = self.raced = self.repeated = 0
        found: list[Violation] = []
        runs: dict[str, list[RunState]] = defaultdict(list)
        for state in self._history.states.values():
            runs[state.ticket].append(state)
        for ticket in self._driver.tickets.values():
            found += self._ticket(ticket, runs[ticket.id])
        for run, state in self._history.states.items():
            found += self._log(run)
            found += self._questions(state)
            found += self._derived(state) if run not in self._driver.purged else ()
            found += self._children(state)
        found += self._answers()
        found += self._commands()
        found += [Violation("unfoldable log", text) for text in self._history.broken]
        found += [
            Violation("dead letter", f"{d.subject}: {d.data[:300]!r}")
            for d in self._history.dead
            if not d.subject.startswith(CARDS)  # judged by who knows which cards had to fail
        ]
        return found

    def _commands(self) -> Iterator[Violation]:
        """What people commanded: each has one outcome, and the logs bear it out."""
        done: Counter[tuple[int, str]] = Counter()
        for log in self._history.logs.values():
            for record in (record for entry in log for record in entry.envelope.records):
                if isinstance(record, Cancelled | Reopened | Unblocked) and record.command:
                    what = f"{type(record).__name__} {getattr(record, 'cause', '')}"
                    done[int(record.command.partition("@")[0]), what] += 1
        for (seq, what), times in done.items():
            if times > 1:
                yield Violation("command done twice", f"number {seq}: {what} {times} times")
        numbers = {seq for seq, _ in done}
        for seq, stored in self._history.commands.items():
            outcomes = self._history.outcomes.get(seq, [])
            name = f"number {seq}, {stored.subject}"
            if not outcomes:
                yield Violation("command without outcome", name)
            elif stored.subject.startswith(_PURGE):
                continue  # of a run that is gone nothing is left to bear it out
            elif len(outcomes) > 1 or (outcomes[0].outcome == "done") != (seq in numbers):
                text = f"{name}: {[(each.outcome, each.reason) for each in outcomes]}"
                yield Violation("wrong outcome", f"{text}, in a log: {seq in numbers}")

    # -- runs ------------------------------------------------------------------------------------

    def _ticket(self, ticket: Ticket, runs: list[RunState]) -> Iterator[Violation]:
        if not runs:
            yield Violation("lost run", f"{ticket.id}: no run")
            return
        if len(runs) > 1:
            yield Violation("run started twice", f"{ticket.id}: {[run.id for run in runs]}")
        for run in runs:
            yield from self._end(ticket, run)
            yield from self._effects(ticket, run)
            yield from self._order(ticket, run)

    def _end(self, ticket: Ticket, run: RunState) -> Iterator[Violation]:
        name = f"{ticket.id} (run {run.id})"
        if not run.ended:
            yield Violation("stuck run", f"{name} is {run.status} at {run.tail}: {_open(run)}")
            return
        if run.status == "cancelled" and ticket.cancel_after is not None:
            return
        fails = any(op.kind == "boom" for op in ticket.ops)
        wanted = "failed" if fails else "completed"
        if run.status == "failed" and NOT_YET in run.error:
            yield Violation("stuck run", f"{name} waits to be retried: {run.error}")
            return
        if run.status != wanted:
            yield Violation("wrong end", f"{name} is {run.status}: {run.error}")
            return
        if wanted == "completed":
            result = msgspec.json.decode(run.result)
            wanted_result = [expected(op, ticket, run, self._history.said) for op in ticket.ops]
            if plain(result) != plain(wanted_result):
                text = f"{name}: result {result} instead of {wanted_result}"
                yield Violation("wrong end", text)

    def _effects(self, ticket: Ticket, run: RunState) -> Iterator[Violation]:
        done = run.status == "completed"
        for effect in effects_of(ticket):
            tries = self._by_effect.get(effect, [])
            made = {entry.key for entry in tries if entry.made}
            self.repeated += max(0, sum(not entry.made for entry in tries) - 1)
            if done and not made:
                yield Violation("effect applied 0 times", f"{effect} of run {run.id}")
            if self._calm and sum(entry.made for entry in tries) > 1:
                yield Violation("step ran twice without a fault", f"{effect} of run {run.id}")
            if len(made) > 1:
                yield Violation("effect applied 2 times", f"{effect}: keys {sorted(made)}")

    def _order(self, ticket: Ticket, run: RunState) -> Iterator[Violation]:
        """An effect that began, in whatever process, before what precedes it was recorded.

        Log and outside world are stamped by one clock here, the machine's. Two results in one
        message show it without any: the second step began while the first was in memory alone.
        """
        recorded = self._recorded(run.id)
        for before, after in in_order(ticket):
            begun = [entry.at for entry in self._by_effect.get(after, ()) if not entry.made]
            if not begun:
                continue
            first, second = self._place(recorded, before), self._place(recorded, after)
            if first is None:
                how = "never recorded"
            elif first.at > min(begun):
                how = f"recorded {first.at - min(begun):.3f} s later"
            elif second is not None and second.n <= first.n:
                how = f"recorded with it at {first.n}"
            else:
                continue
            text = f"{after} of run {run.id} began; {before}, which precedes it, was {how}"
            yield Violation("effect before the last record", text)

    def _place(self, recorded: dict[str, Recorded], effect: str) -> Recorded | None:
        keys = {entry.key for entry in self._by_effect.get(effect, ())}
        return next((recorded[key] for key in keys if key in recorded), None)

    def _recorded(self, run: str) -> dict[str, Recorded]:
        """The results that a run's log holds, by idempotency key."""
        return {
            f"{run}/{record.frame}/{record.key}": Recorded(entry.n, entry.at)
            for entry in self._history.logs[run]
            for record in entry.envelope.records
            if isinstance(record, Stepped)
        }

    # -- logs ------------------------------------------------------------------------------------

    def _log(self, run: str) -> Iterator[Violation]:
        state = RunState(id=run)
        mended = self._mended(run)
        for entry in self._history.logs[run]:
            records = entry.envelope.records
            # What follows the opening of a run in its message cannot be asked about before it.
            if state.frames and any(conflicts(state, record) for record in records):
                yield Violation("fence broken", f"run {run} at {entry.n}: {records}")
            for record in records:
                if isinstance(record, Stepped) and not (record.error and entry.n < mended):
                    yield from self._ran_again(f"{run}/{record.frame}/{record.key}", entry.at)
            fold(state, entry.n, entry.envelope)

    def _mended(self, run: str) -> int:
        """Where a run was reopened last: what failed before is done again."""
        log = self._history.logs[run]
        reopened = (any(isinstance(r, Reopened) for r in entry.envelope.records) for entry in log)
        return max((entry.n for entry, is_ in zip(log, reopened, strict=True) if is_), default=0)

    def _ran_again(self, key: str, recorded: float) -> Iterator[Violation]:
        for entry in self._by_key.get(key, []):
            if entry.made or entry.at <= recorded:
                continue
            if self._was_amid(entry):
                self.zombies += 1
                continue
            late = entry.at - recorded
            if late < _RACED:
                self.raced += 1
                continue
            yield Violation("recorded step ran again", f"{key}, {late:.3f} s after its record")

    def _was_amid(self, entry: LedgerEntry) -> bool:
        return any(
            pause.pid == entry.pid and pause.since <= entry.at <= pause.until + _ZOMBIE
            for pause in self._pauses
        )

    # -- questions and answers -------------------------------------------------------------------

    def _questions(self, run: RunState) -> Iterator[Violation]:
        closings = self._closings(run.id)
        for question in run.questions.values():
            name = f"question {question.id} of run {run.id} ({question.question})"
            shown = self._history.questions.get(question.id)
            if question.status in {"answered", "expired", "no_quorum"}:
                if shown is None:
                    yield Violation("lost question", f"{name} was {question.status}, never shown")
                elif shown.at > closings[question.id]:
                    yield Violation("lost question", f"{name} was shown after it was closed")
            elif question.status == "open" and shown is None:
                yield Violation("lost question", f"{name} is open and was never shown")
            if question.role in crowd.NAMES:
                continue  # its answers are judged by who knows what was said
            if question.status == "expired":
                yield from self._in_time(run, question.id, question.deadline, name)
            if question.status == "answered":
                yield from self._genuine(question, name)
                yield from self._applied(question.seq, question.id, name)
                yield from self._meant(question.seq, question.id, name, shown)
                yield from self._first(run, question, name, shown)
                yield from self._alone(run, question, name)

    def _genuine(self, question: Question, name: str) -> Iterator[Violation]:
        """Whether an answer that had to be signed is the one that was."""
        wanted = signers.right(question.question)
        if question.role == signers.ROLE and (question.text, question.by) != (wanted, "alice"):
            text = f"{name}: {question.text!r} by {question.by!r}"
            yield Violation("a forged answer counted", text)

    def _closings(self, run: str) -> dict[str, float]:
        return {
            record.id: entry.at
            for entry in reversed(self._history.logs[run])
            for record in entry.envelope.records
            if isinstance(record, Answered | Expired | Voted)
        }

    def _in_time(self, run: RunState, question: str, deadline: float, name: str) -> Iterator[Any]:
        """An answer that can have meant this question alone, came before its deadline, and lost."""
        for answer in self._history.answers.values():
            if answer.given is None or answer.ticket != run.ticket or answer.at >= deadline:
                continue
            if answer.role != run.questions[question].role:
                continue
            named = answer.given.question_id
            if named == question or (not named and self._is_for(answer, run, question)):
                early = deadline - answer.at
                yield Violation(
                    "answer in time refused", f"{name}: answer {answer.seq}, {early:.3f} s early"
                )

    def _is_for(self, answer: AnswerSent, run: RunState, question: str) -> bool:
        """Whether this was the one open question that the sender of an unnamed answer saw."""
        closings = self._closings(run.id)
        shown = {key: self._history.questions.get(key) for key in run.questions}
        seen = [
            key
            for key, stored in shown.items()
            if stored is not None and stored.at <= answer.at <= closings.get(key, float("inf"))
        ]
        won = any(q.status == "answered" and q.seq == answer.seq for q in run.questions.values())
        return seen == [question] and not won

    def _meant(
        self, seq: int, question: str, name: str, shown: Stored | None
    ) -> Iterator[Violation]:
        """Whether an answer was for the question that it closed, and could have been."""
        answer = self._history.answers.get(seq)
        if answer is None or answer.given is None:
            return
        if answer.given.question_id not in {"", question}:
            named = answer.given.question_id
            yield Violation("answer closed another question", f"{name}: answer {seq} to {named}")
        if shown is not None and shown.at > answer.at:
            early = shown.at - answer.at
            yield Violation(
                "answer closed an unseen question", f"{name}: answer {seq}, {early:.3f} s early"
            )

    def _first(
        self, run: RunState, question: Question, name: str, shown: Stored | None
    ) -> Iterator[Violation]:
        """Whether an earlier answer, stored while it was open, can have meant this one alone."""
        since = shown.at if shown is not None else float("inf")
        for answer in self._history.answers.values():
            if answer.ticket != run.ticket or answer.given is None or answer.given.structured:
                continue
            if answer.role != question.role:
                continue
            named = answer.given.question_id
            meant = named == question.id or (not named and len(run.questions) == 1)
            if meant and answer.seq < question.seq and since <= answer.at <= question.deadline:
                text = f"{name}: answer {question.seq} won over answer {answer.seq}"
                yield Violation("a later answer won", text)
                return

    def _alone(self, run: RunState, question: Question, name: str) -> Iterator[Violation]:
        """Whether an answer that names none came while another question was shown and open."""
        answer = self._history.answers.get(question.seq)
        if answer is None or answer.given is None or answer.given.question_id:
            return
        for other in run.questions.values():
            shown = self._history.questions.get(other.id)
            if other is question or other.role != question.role:
                continue
            if shown is None or shown.at > answer.at:
                continue
            later = other.status == "answered" and other.seq > question.seq
            if later or (other.status == "expired" and other.deadline >= answer.at):
                text = f"{name}: answer {answer.seq} may have meant {other.id}"
                yield Violation("answer closed one of several", text)

    def _applied(self, seq: int, question: str, name: str) -> Iterator[Violation]:
        outcomes = {(r.outcome, r.question) for _, r in self._history.receipts if r.seq == seq}
        if outcomes and outcomes != {("accepted", question)}:
            yield Violation("wrong receipt", f"{name}: answer {seq} closed it, told {outcomes}")

    def _answers(self) -> Iterator[Violation]:
        receipts: dict[int, set[tuple[str, str | None]]] = defaultdict(set)
        for _, receipt in self._history.receipts:
            receipts[receipt.seq].add((receipt.outcome, receipt.question))
        won = {
            question.seq: question.id
            for state in self._history.states.values()
            for question in state.questions.values()
            if question.status == "answered"
        }
        for seq in self._driver.acked:
            if seq not in self._history.answers:
                yield Violation("lost acked answer", f"answer {seq} is not in the stream")
        for seq, answer in self._history.answers.items():
            if answer.role in crowd.NAMES:
                continue
            yield from self._told(answer, receipts.get(seq, set()), won.get(seq))

    def _told(
        self, answer: AnswerSent, told: set[tuple[str, str | None]], won: str | None
    ) -> Iterator[Violation]:
        """Whether an answer was told the truth, once or several times."""
        name = f"answer {answer.seq} on {answer.ticket}"
        if not told:
            yield Violation("answer without receipt", name)
        if len(told) > 1:
            yield Violation("receipts disagree", f"{name}: {told}")
        for outcome, question in told:
            if outcome == "accepted" and won != question:
                yield Violation("accepted but not applied", f"{name}: {question}")
            if outcome == "invalid" and answer.given and not answer.given.question_id:
                yield Violation("wrong receipt", f"{name} is valid, told {outcome}")
            if outcome == "accepted" and answer.given is None:
                yield Violation("wrong receipt", f"{name} is invalid, told {outcome}")
        yield from self._unknown(answer.seq, answer.ticket, told)

    def _unknown(self, seq: int, ticket: str, told: set[Any]) -> Iterator[Violation]:
        """`unknown_ticket` is for what was sent before the first question was asked."""
        if not any(outcome == "unknown_ticket" for outcome, _ in told):
            return
        asked = [
            entry.at
            for run, log in self._history.logs.items()
            if self._history.states[run].ticket == ticket
            for entry in log
            if any(isinstance(record, Asked) for record in entry.envelope.records)
        ]
        if asked and self._history.answers[seq].at > min(asked) + 1.0:
            yield Violation("wrong receipt", f"answer {seq} on {ticket}: unknown_ticket")

    # -- what is derived -------------------------------------------------------------------------

    def _derived(self, run: RunState) -> Iterator[Violation]:
        yield from self._listed(run)
        record = self._history.parked.get(run.ticket)
        shown = {q.id: q.status for q in record.questions} if record else {}
        for question in run.questions.values():
            status = shown.get(question.id)
            if status is None and question.status == "cancelled":
                continue
            if status != question.status:
                yield Violation(
                    "status disagrees",
                    f"question {question.id} of {run.id}: {question.status}, parked {status}",
                )
        if record is not None and run.ended and run.id in record.runs:
            yield Violation("status disagrees", f"run {run.id} is over, but still parked")

    def _children(self, run: RunState) -> Iterator[Violation]:
        """Whether the children that nobody waits for any more have ended."""
        for child in run.abandoned():
            state = self._history.states.get(child)
            if state is not None and not state.ended:
                text = f"{child} is {state.status}, its parent {run.id} {run.status}"
                yield Violation("child outlives its parent", text)

    def _listed(self, run: RunState) -> Iterator[Violation]:
        """Whether people are told of a run, and of its questions, what its log says."""
        kind = "index disagrees with the log"
        row = self._history.index.get(run.id)
        if row is None:
            yield Violation(kind, f"run {run.id} is {run.status} and not in the index")
        elif row.status != run.status:
            yield Violation(kind, f"run {run.id} is {run.status}, the index says {row.status}")
        elif row.pos > run.tail or (run.ended and row.pos < self._told_of(run)):
            yield Violation(kind, f"run {run.id} is at {run.tail}, the index says {row.pos}")
        if (run.id in self._history.blocked) != bool(run.blocked):
            how = "not " if run.blocked else ""
            yield Violation(kind, f"run {run.id} is {run.status} and {how}listed as blocked")
        for question in run.questions.values():
            listed = question.id in self._history.listed
            if listed != (question.status == "open"):
                how = "listed" if listed else "not listed"
                yield Violation(kind, f"question {question.id} is {question.status} and {how}")

    def _told_of(self, run: RunState) -> int:
        """The last position of which a row must tell: a card may be sent after the end."""
        log = self._history.logs[run.id]
        of_cards = (all(isinstance(r, Notified) for r in e.envelope.records) for e in log)
        return max(e.n for e, is_of in zip(log, of_cards, strict=True) if not is_of)


def _open(run: RunState) -> str:
    waits = [f"{q.id} {q.status}" for q in run.questions.values() if q.status == "open"]
    waits += [
        f"{frame.id}:{key}"
        for frame in run.frames.values()
        for key, slot in frame.slots.items()
        if not slot.settled
    ]
    return ", ".join(waits)
