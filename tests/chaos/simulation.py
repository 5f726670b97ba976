"""The decisions alone, in virtual time, on schedules drawn from a seed.

Writers have stale views, mail comes late, twice or out of order, and crashes come anywhere. The
pure parts are the engine's own: `fold`, `conflicts`, `judge`, the record of a ticket, the owner of
a strand. What performs them is played by generators that may be stopped at every `yield`, where the
engine awaits.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from typing import NamedTuple, TypeAlias

import msgspec

from layby.actors.people.answer import Given, Sent, judge
from layby.actors.people.answer_admission import answered
from layby.actors.people.contest import Contest
from layby.actors.people.parked_question import Shown
from layby.actors.people.tickets import ParkedRecord, with_question
from layby.runtime import journal
from layby.runtime.conflicts import conflicts
from layby.runtime.entry import (
    ROOT,
    Answered,
    Asked,
    Ended,
    Expired,
    Record,
    Slept,
    Started,
    Stepped,
    Woken,
)
from layby.runtime.envelope import Envelope
from layby.runtime.state import OPEN, Question, RunState
from layby.runtime.strand import Position, Strand

Play: TypeAlias = Generator[None, None, None]
ROLE = "developer"
RUN = "run"
_STEPS = 4_000
"""Moves after which a schedule that has not come to its end counts as stuck."""


class Broken(AssertionError):
    """A promise that a schedule has broken."""


class _Fenced(Exception):
    pass


class _Parked(Exception):
    pass


class Mail(NamedTuple):
    """Something to deliver, at least once: a position, an answer, a deadline, a wake-up."""

    kind: str
    n: int = 0
    name: str = ""
    at: float = 0.0


class Item(NamedTuple):
    """Something that the simulated body does; its branches run side by side."""

    branches: tuple[tuple[str, ...], ...]


class Writer:
    """One worker: what it believes of the run."""

    def __init__(self) -> None:
        self.view = RunState(id=RUN)
        self.plays: list[tuple[Mail, Play]] = []


class _Body(NamedTuple):
    """One entry of the body: by whom, for which mail, and its mark in what it appends."""

    writer: Writer
    cause: int
    op: str


class World:
    """One schedule."""

    def __init__(self, seed: int) -> None:
        draw = self.draw = random.Random(seed)  # noqa: S311
        self.now = 1.0
        self.log: list[tuple[str, Envelope]] = []
        self.stored_at: list[float] = []
        self.record: ParkedRecord | None = None
        self.revision = 0
        self.answers: list[tuple[float, Given]] = []
        self.receipts: dict[int, set[tuple[str, str | None]]] = {}
        self.shown: dict[str, float] = {}
        self.pending: list[Mail] = [Mail("event")]
        self.delivered: dict[Mail, int] = {}
        self.ran: dict[str, set[int]] = {}
        self.refused: list[Record] = []
        self.bodies = 0
        self.crashes = draw.randint(0, 6)
        self.repeats = draw.randint(0, 6)
        self.writers = [Writer() for _ in range(draw.randint(1, 4))]
        self.program = _program(draw)
        self.patience = draw.choice([3.0, 30.0])

    # -- the scheduler ---------------------------------------------------------------------------

    def run(self) -> None:
        """Play it to its end. Raises Broken."""
        for _ in range(_STEPS):
            if not self._move():
                break
        else:
            raise Broken(f"stuck after {_STEPS} moves")
        self._judge()

    def _move(self) -> bool:
        draw = self.draw
        playing = [writer for writer in self.writers if writer.plays]
        due = [mail for mail in self.pending if mail.at <= self.now]
        if playing and self.crashes and draw.random() < 0.03:
            self.crashes -= 1
            self._crash(draw.choice(playing))
        elif due and (not playing or draw.random() < 0.35):
            self._deliver(draw.choice(due), draw.choice(self.writers))
        elif playing:
            self._step(draw.choice(playing))
        elif self.pending:
            self.now = min(mail.at for mail in self.pending)
        else:
            return False
        self.now += draw.random() * 0.05
        return True

    def _deliver(self, mail: Mail, writer: Writer) -> None:
        self.pending.remove(mail)
        count = self.delivered[mail] = self.delivered.get(mail, 0) + 1
        if self.repeats and self.draw.random() < 0.1:
            self.repeats -= 1
            self.pending.append(mail)  # somebody else gets it too
        writer.plays.append((mail, self._handler(mail)(writer, mail, count > 1)))

    def _handler(self, mail: Mail) -> Callable[[Writer, Mail, bool], Play]:
        handlers: dict[str, Callable[[Writer, Mail, bool], Play]] = {
            "event": self._event,
            "mail": self._mail,
            "question": self._question,
            "answer": self._answer,
            "due": self._due,
            "wake": self._wake,
        }
        return handlers[mail.kind]

    def _step(self, writer: Writer) -> None:
        place = self.draw.randrange(len(writer.plays))
        mail, play = writer.plays[place]
        try:
            next(play)
        except StopIteration:
            del writer.plays[place]
        except _Fenced:
            del writer.plays[place]
            self.pending.append(mail)

    def _crash(self, writer: Writer) -> None:
        """The writer is gone; another one starts in its place, and its mail comes again."""
        self.pending += [mail for mail, _ in writer.plays]
        self.writers[self.writers.index(writer)] = Writer()

    # -- the log ---------------------------------------------------------------------------------

    def _catch_up(self, writer: Writer) -> None:
        for n in range(writer.view.tail, len(self.log)):
            journal.fold(writer.view, n + 1, self.log[n][1])

    def _append(self, writer: Writer, to: str, cause: int, *records: Record, op: str = "") -> Play:
        """The fence: position n is created once; a loser looks again."""
        envelope = Envelope(op=op, at=self.now, cause=cause, records=list(records))
        while True:
            for record in records:
                if conflicts(writer.view, record):
                    self.refused.append(record)
                    raise _Fenced
                if isinstance(record, Started):
                    break
            n = writer.view.tail + 1
            yield
            if n == len(self.log) + 1:
                break
            self._catch_up(writer)
        self.log.append((to, envelope))
        self.stored_at.append(self.now)
        if to == "human":
            self.pending.append(Mail("question", n))
        elif to == "workflow":
            self.pending.append(Mail("mail", n))
        yield  # the acknowledgement is on its way
        self._catch_up(writer)

    # -- the workflow ----------------------------------------------------------------------------

    def _event(self, writer: Writer, mail: Mail, again: bool) -> Play:  # noqa: FBT001
        del mail
        if again:
            self._catch_up(writer)
            yield
        if not writer.view.frames:
            opening = Started(
                workflow="w", actor="workflow", version="1", ticket="T", event=msgspec.Raw(b"{}")
            )
            try:
                yield from self._append(writer, "log", 1, opening)
            except _Fenced:
                self._catch_up(writer)
        if not writer.view.ended:
            yield from self._body(writer, 1)

    def _mail(self, writer: Writer, mail: Mail, again: bool) -> Play:  # noqa: FBT001
        if again or writer.view.tail < mail.n:
            self._catch_up(writer)
            yield
        if not writer.view.ended:
            yield from self._body(writer, mail.n)

    def _body(self, writer: Writer, cause: int) -> Play:
        """Enter the body from its start: replay, then go on where this mail's handler may."""
        while True:
            seen = writer.view.tail
            self.bodies += 1
            op = str(self.bodies)
            line = Strand(1, 1)
            try:
                for item in self.program:
                    yield from self._item(_Body(writer, cause, op), line, item)
                if line.may_continue(cause):
                    ended = Ended(status="completed")
                    yield from self._append(writer, "log", cause, ended, op=op)
            except _Parked:
                pass
            else:
                return
            own = sum(envelope.op == op for _, envelope in self.log[seen : writer.view.tail])
            if writer.view.ended or writer.view.tail - seen == own:
                return

    def _item(self, body: _Body, line: Strand, item: Item) -> Play:
        parked = False
        lines: list[Strand] = []
        for branch in item.branches:
            strand = line.fork()
            lines.append(strand)
            try:
                for word in branch:
                    kind, _, key = word.partition(":")
                    yield from self._verb(body, strand, kind, key)
            except _Parked:
                parked = True
        for strand in lines:
            line.join(strand)
        if parked:
            raise _Parked

    def _verb(self, body: _Body, line: Strand, kind: str, key: str) -> Play:
        slot = body.writer.view.slot(ROOT, key)
        if slot is not None and slot.settled:
            line.consume(slot.settled, slot.owner)
            return
        if slot is not None and kind == "sleep":
            self._arm(key, slot.wake_at)
        if slot is not None or not line.may_continue(body.cause):
            raise _Parked
        if kind == "step":
            yield from self._effect(body, line, key)
            return
        if kind == "ask":
            asked = Asked(
                frame=ROOT,
                key=key,
                id=f"q-{key.replace('.', '-')}",
                role=ROLE,
                question=key,
                deadline=self.now + self.patience,
            )
            yield from self._append(body.writer, "human", body.cause, asked, op=body.op)
        else:
            slept = Slept(frame=ROOT, key=key, until=self.now + 1)
            yield from self._append(body.writer, "log", body.cause, slept, op=body.op)
            self._arm(key, slept.until)
        raise _Parked

    def _arm(self, key: str, at: float) -> None:
        wake = Mail("wake", name=key, at=at)
        if wake not in self.pending:
            self.pending.append(wake)

    def _effect(self, body: _Body, line: Strand, key: str) -> Play:
        self.ran.setdefault(key, set()).add(body.cause)
        yield
        position = line.own = Position()
        stepped = Stepped(frame=ROOT, key=key, result=msgspec.Raw(b"1"))
        yield from self._append(body.writer, "log", body.cause, stepped, op=body.op)
        slot = body.writer.view.slot(ROOT, key)
        assert slot is not None
        position.n = slot.settled

    def _wake(self, writer: Writer, mail: Mail, again: bool) -> Play:  # noqa: FBT001
        del again
        self._catch_up(writer)
        yield
        try:
            woken = Woken(frame=ROOT, key=mail.name)
            yield from self._append(writer, "workflow", 0, woken)
        except _Fenced:
            return

    # -- the person ------------------------------------------------------------------------------

    def _change(self, writer: Writer, question_id: str, since: float = 0.0) -> Play:
        while True:
            old, revision = self.record or ParkedRecord(ticket="T"), self.revision
            question = writer.view.questions[question_id]
            new = with_question(old, writer.view, question, Shown(since))
            yield
            if new == old:
                return
            if revision == self.revision:
                self.record, self.revision = new, revision + 1
                return

    def _question(self, writer: Writer, mail: Mail, again: bool) -> Play:  # noqa: FBT001
        if again or writer.view.tail < mail.n:
            self._catch_up(writer)
            yield
        asked = self.log[mail.n - 1][1].records[-1]
        assert isinstance(asked, Asked)
        if writer.view.questions[asked.id].status == OPEN:
            if asked.id not in self.shown:
                self.shown[asked.id] = self.now
                self._people_answer(asked.id)
            yield
            yield from self._change(writer, asked.id, self.shown[asked.id])
            self.pending.append(Mail("due", name=asked.id, at=asked.deadline))

    def _people_answer(self, question_id: str) -> None:
        for _ in range(self.draw.choice([0, 1, 1, 2, 3])):
            named = self.draw.random() < 0.6
            self.answers.append((self.now, Given(f"a{len(self.answers)}", question_id * named)))
            self.pending.append(Mail("answer", len(self.answers), at=self.now))

    def _answer(self, writer: Writer, mail: Mail, again: bool) -> Play:  # noqa: FBT001
        del again  # whoever shares answers with others is always in doubt
        at, given = self.answers[mail.n - 1]
        while True:
            yield from self._caught_up(writer)
            contest = self._contest(self.record, mail.n - 1)
            yield  # what is shown meanwhile is not in the record that was read
            verdict = judge(contest.record, ROLE, given, seq=mail.n, at=at)
            question = verdict.question
            judged = [Sent(mail.n, at, given), *contest.winners.values()]
            if any(self._is_coming(contest.record, sent.given, sent.at) for sent in judged):
                self.pending.append(mail)
                return
            if question is not None and question.id in contest.winners:
                won = contest.winners[question.id]
            elif verdict.outcome == "accepted" and question is not None:
                won = Sent(mail.n, at, given)
            else:
                self._receipt(mail.n, verdict.outcome, question.id if question else None)
                return
            if question.status == "answered" and question.id not in contest.winners:
                self._receipt(mail.n, "accepted", question.id)
                return
            yield from self._close(writer, answered(question.id, won))
            yield from self._change(writer, question.id)
            closed = writer.view.questions[question.id]
            if (closed.status, closed.seq) == ("answered", won.seq):
                self._receipt(mail.n, verdict.outcome, question.id)
                return

    def _is_coming(self, record: ParkedRecord, given: Given, at: float) -> bool:
        """Whether a question that the answer may be for was shown, and has no record yet."""
        known = {shown.id for shown in record.questions}
        coming = {ref for ref, since in self.shown.items() if since <= at} - known
        return given.question_id in coming if given.question_id else bool(coming)

    def _caught_up(self, writer: Writer) -> Play:
        """Bring the record in line with the log."""
        self._catch_up(writer)
        yield
        for shown in self.record.questions if self.record else ():
            known = writer.view.questions.get(shown.id)
            if known is not None and known.status != shown.status:
                yield from self._change(writer, shown.id)

    def _contest(self, record: ParkedRecord | None, upto: int) -> Contest:
        contest = Contest(record or ParkedRecord(ticket="T"), ROLE)
        for seq, (at, given) in enumerate(self.answers[:upto], 1):
            contest.add(Sent(seq, at, given))
        return contest

    def _close(self, writer: Writer, record: Answered | Expired) -> Play:
        try:
            yield from self._append(writer, "workflow", 0, record)
        except _Fenced:
            return

    def _due(self, writer: Writer, mail: Mail, again: bool) -> Play:  # noqa: FBT001
        del again
        if mail.name not in writer.view.questions:
            self._catch_up(writer)
            yield
        yield from self._caught_up(writer)
        contest = self._contest(self.record, len(self.answers))
        yield
        if any(self._is_coming(contest.record, s.given, s.at) for s in contest.winners.values()):
            self.pending.append(mail)
            return
        won = contest.winners.get(mail.name)
        end = answered(mail.name, won) if won else Expired(id=mail.name)
        yield from self._close(writer, end)
        yield from self._change(writer, mail.name)

    def _receipt(self, seq: int, outcome: str, question: str | None) -> None:
        self.receipts.setdefault(seq, set()).add((outcome, question))

    # -- the verdict -----------------------------------------------------------------------------

    def _judge(self) -> None:
        state = self._refold()
        _must(state.status == "completed", f"the run is {state.status}")
        for word in (word for item in self.program for branch in item.branches for word in branch):
            kind, _, key = word.partition(":")
            slot = state.slot(ROOT, key)
            _must(slot is not None and slot.settled > 0, f"{word} is not settled")
            if kind == "step":
                _must(len(self.ran[key]) == 1, f"{word} was run by handlers of {self.ran[key]}")
        for question in state.questions.values():
            _must(question.status in {"answered", "expired"}, f"{question.id} {question.status}")
            _must(question.id in self.shown, f"{question.id} was never shown")
            self._judge_record(question)
        self._judge_receipts(state)
        self._judge_winners(state)
        for record in self.refused:
            _must(conflicts(state, record), f"{record} was refused and is not in the way")

    def _refold(self) -> RunState:
        """Fold again from nothing: every prefix folds, and nothing in it had lost already."""
        state = RunState(id=RUN)
        ends = 0
        for n, (_, envelope) in enumerate(self.log, 1):
            for record in envelope.records:
                lost = state.frames and conflicts(state, record)
                _must(not lost, f"{record} at {n} had lost")
                ends += isinstance(record, Ended)
            journal.fold(state, n, envelope)
        _must(ends == 1, f"the run ended {ends} times")
        for writer in self.writers:
            self._catch_up(writer)
            _must(writer.view == state, "two writers read one log differently")
        return state

    def _judge_record(self, question: Question) -> None:
        record = self.record or ParkedRecord(ticket="T")
        shown = next((q for q in record.questions if q.id == question.id), None)
        status = shown.status if shown else "missing"
        _must(status == question.status, f"{question.id}: {question.status}, parked {status}")

    def _judge_winners(self, state: RunState) -> None:
        """Whether each question was closed by the first valid answer that the stream has for it."""
        record = self.record or ParkedRecord(ticket="T")
        opened = tuple(
            msgspec.structs.replace(shown, status="open", seq=0) for shown in record.questions
        )
        record = msgspec.structs.replace(record, questions=opened)
        first = self._contest(record, len(self.answers)).winners
        wanted = {ref: sent.seq for ref, sent in first.items()}
        won = {q.id: q.seq for q in state.questions.values() if q.status == "answered"}
        _must(won == wanted, f"closed by {won}, the first valid answers are {wanted}")

    def _judge_receipts(self, state: RunState) -> None:
        for question in state.questions.values():
            if question.status == "answered":
                at, given = self.answers[question.seq - 1]
                named = given.question_id or question.id
                _must(named == question.id, f"{question.id} was closed by an answer to {named}")
                _must(at >= question.asked_at, f"{question.id} was closed by an earlier answer")
        won = {q.seq: q.id for q in state.questions.values() if q.status == "answered"}
        for seq in range(1, len(self.answers) + 1):
            told = self.receipts.get(seq, set())
            _must(bool(told), f"answer {seq} has no receipt")
            accepted = {question for outcome, question in told if outcome == "accepted"}
            wanted = {won[seq]} if seq in won else set[str]()
            _must(accepted == wanted, f"answer {seq} was told {told}, it closed {wanted}")


def _must(holds: bool, what: str) -> None:  # noqa: FBT001
    if not holds:
        raise Broken(what)


def _program(draw: random.Random) -> list[Item]:
    """A body: items one after another, branches side by side in some of them."""
    program: list[Item] = []
    for place in range(draw.randint(1, 3)):
        width = draw.choice([1, 1, 2, 3])
        branches = (_branch(draw, f"{place}.{number}") for number in range(width))
        program.append(Item(tuple(branches)))
    return program


def _branch(draw: random.Random, name: str) -> tuple[str, ...]:
    kinds = draw.choice(
        [("step",), ("ask",), ("ask", "step"), ("step", "ask", "step"), ("sleep", "step")]
    )
    return tuple(f"{kind}:{name}.{number}" for number, kind in enumerate(kinds))
