"""Random answers to a ticket whose questions, votes and deadlines change while they are judged.

Handlers judge side by side, and go on from what one of them has judged. Each must come to what
judging every answer from the first one on comes to.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from layby.actors.people import earlier_answers
from layby.actors.people.answer import Given, Sent
from layby.actors.people.answer_admission import AnswerAdmission
from layby.actors.people.asked_of import related
from layby.actors.people.contest import Contest
from layby.actors.people.earlier_answers import EarlierAnswers
from layby.actors.people.judged_answers import basis_of
from layby.actors.people.parked_question import CastVote, ParkedQuestion
from layby.actors.people.shown_acts import ShownClaim
from layby.actors.people.shown_ladder import ShownTo
from layby.actors.people.tickets import ParkedRecord
from layby.bus.names import Names
from layby.runtime import tally
from layby.runtime.choice import choice_of
from layby.runtime.entry import Voted
from layby.runtime.quorum import Quorum
from layby.runtime.state import OPEN, Question
from layby.runtime.times import iso

TICKET = "T1"
_ROLES = ("developer", "lead")
_PEOPLE = ("ada", "bob", "cleo", "mallory", "")
_DIGESTS = ("aaaaaaaaaaaa", "bbbbbbbbbbbb")
_TEXTS = ("yes", "no", "perhaps", *(f"approve {each}" for each in _DIGESTS))
_HOST: Any = SimpleNamespace(interruptions=0, ports=SimpleNamespace(signers=None))
_ADMISSION = AnswerAdmission(_ROLES[0], _HOST, Names())


class Broken(Exception):
    """Answers were judged otherwise than from the first one on."""


class Trial:
    """One ticket, whoever answers, and one worker's handlers of a role's answers."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.now = 1_000.0
        self.answers: list[Sent] = []
        self.record = ParkedRecord(ticket=TICKET)
        self.polls: dict[str, Question] = {}
        self.interruptions = 0
        self.read = 0
        """Answers read from the stream."""
        self.handlers = _Handlers(self)

    def run(self) -> None:
        """Let people answer, questions change and handlers judge. Raises Broken."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        self.ask()
        for _ in range(12):
            for _ in range(self.rng.randrange(8)):
                self.answer()
            if self.rng.random() < 0.1:
                self._forget()
            changes = self.rng.choices(self._changes(), k=self.rng.randrange(3))
            handlers = [self._handle() for _ in range(self.rng.randint(1, 4))]
            tasks = [self._later(each) for each in changes] + handlers
            self.rng.shuffle(tasks)
            await asyncio.gather(*tasks)

    def _changes(self) -> list[Callable[[], None]]:
        return [
            self.ask,
            self._escalate,
            self._close,
            self._expire,
            self._put_off,
            self._claim,
            self._vote,
            self._vote,
            self._show_votes,
            self._lose_a_vote,
        ]

    async def pause(self) -> None:
        """Let others go on, or not."""
        for _ in range(self.rng.randrange(3)):
            await asyncio.sleep(0)

    async def _later(self, change: Callable[[], None]) -> None:
        await self.pause()
        change()

    # -- people --------------------------------------------------------------------------------

    def answer(self) -> None:
        """Send an answer."""
        self.now += self.rng.choice((0.1, 1.0, 30.0))
        seq = (self.answers[-1].seq if self.answers else 0) + self.rng.randint(1, 3)
        named = self.rng.choice(("", *(f"q{n}" for n in range(5))))
        by = self.rng.choice(_PEOPLE)
        given = Given(self.rng.choice(_TEXTS), named, by, responder=by)
        self.answers.append(Sent(seq, self.now, given, self.rng.choice(_ROLES)))

    def _forget(self) -> None:
        """Be a server that loses what it has stored last, and gives the sequences again."""
        self.interruptions += 1
        del self.answers[len(self.answers) - self.rng.randint(0, 3) :]

    # -- questions -----------------------------------------------------------------------------

    def ask(self) -> None:
        """Ask one more question, up to five."""
        number = len(self.record.questions)
        if number == 5:
            return
        kind = self.rng.choice(("text", "approval", "votes", "votes"))
        more: dict[str, Any] = {"form": {"type": "boolean"}} if kind != "text" else {}
        if kind == "approval":
            more = {"digest": self.rng.choice(_DIGESTS)}
        if kind == "votes":
            people = {_ROLES[0]: ["ada", "bob", "cleo"]} if self.rng.random() < 0.7 else {}
            more["quorum"] = Quorum(number=self.rng.randint(1, 3), people=people)
        asked = ParkedQuestion(
            id=f"q{number}",
            run=f"run{number}",
            role=self.rng.choice((*_ROLES, _ROLES[0])),
            question="?",
            asked_at=iso(self.now),
            deadline=iso(self.now + self.rng.choice((5.0, 200.0))),
            since=self.now,
            **more,
        )
        self.record = _with(self.record, asked)
        if asked.quorum is not None:
            self.polls[asked.id] = Question(
                id=asked.id,
                frame="",
                key="",
                role=asked.role,
                question="?",
                form=asked.form,
                quorum=asked.quorum,
            )

    def _any_open(self) -> ParkedQuestion | None:
        found = [each for each in self.record.questions if each.status == OPEN]
        return self.rng.choice(found) if found else None

    def _set(self, question: ParkedQuestion | None, **changes: Any) -> None:
        if question is not None:
            self.record = _with(self.record, msgspec.structs.replace(question, **changes))

    def _escalate(self) -> None:
        found = self._any_open()
        others = set(_ROLES) - set(found.roles) if found is not None else set[str]()
        if found is not None and others and found.quorum is None:
            self._set(found, also={others.pop(): ShownTo(since=self.now, seq=1)})

    def _put_off(self) -> None:
        self._set(self._any_open(), deadline=iso(self.now + self.rng.choice((-1.0, 1.0, 100.0))))

    def _claim(self) -> None:
        claim = ShownClaim(by="ada", until=iso(self.now + 5))
        self._set(self._any_open(), claim=claim, declined=["bob"], pos=self.rng.randrange(99))

    def _expire(self) -> None:
        found = self._any_open()
        if found is not None and found.deadline < iso(self.now):
            self._set(found, status="expired", closed_at=iso(self.now))
            if found.id in self.polls:
                self.polls[found.id].status = "expired"

    def _close(self) -> None:
        for ref, won in self._judged_now().winners.items():
            found = next(each for each in self.record.questions if each.id == ref)
            end = {"status": "answered", "seq": won.seq, "by": "ada", "closed_at": iso(won.at)}
            self._set(found, **end)

    def _vote(self) -> None:
        """Record some of the votes that a log lacks; the record of the ticket comes later."""
        for ref, votes in self._judged_now().votes.items():
            for vote in votes[: self.rng.randint(1, len(votes))]:
                tally.count(self.polls[ref], vote)

    def _lose_a_vote(self) -> None:
        """Be a server that loses the end of a log."""
        for poll in self.polls.values():
            if poll.status == OPEN and self.rng.random() < 0.2:
                poll.votes = poll.votes[:-1]

    def _show_votes(self) -> None:
        """Bring the record up to the logs."""
        for each in self.record.questions:
            poll = self.polls.get(each.id)
            if poll is None or each.status != OPEN:
                continue
            self._set(each, votes=[_cast(poll, vote) for vote in poll.votes])
            if poll.status != OPEN:
                end = {"status": poll.status, "seq": poll.seq, "closed_at": iso(poll.at)}
                self._set(self.record.questions[int(each.id[1:])], **end)

    def _judged_now(self) -> Contest:
        return from_the_first(self.record, self.polls_of(self.record), self.answers)

    def polls_of(self, record: ParkedRecord) -> dict[str, Question]:
        """What `Votes.polls` finds."""
        opened = {each.id for each in record.questions if each.status == OPEN}
        roles = set(related(record, _ROLES[0]))
        return {
            ref: msgspec.structs.replace(poll)
            for ref, poll in self.polls.items()
            if ref in opened and poll.role in roles
        }

    # -- handlers ------------------------------------------------------------------------------

    async def _handle(self) -> None:
        """Judge what was stored before an answer of the role, and compare."""
        places = [each.seq for each in self.answers if each.role == _ROLES[0]]
        if not places:
            return
        before = None if self.rng.random() < 0.1 else self.rng.choice(places)
        found = await self.handlers.contest(TICKET, before)
        record, polls = self.handlers.asked_here()
        stored = [each for each in self.answers if before is None or each.seq < before]
        wanted = from_the_first(record, polls, stored)
        if shown(found) != shown(wanted):
            raise Broken(f"{before}: {shown(found)} instead of {shown(wanted)}")


class _Handlers(EarlierAnswers):
    """Judges the answers of a trial."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._seen: dict[Any, tuple[ParkedRecord, dict[str, Question]]] = {}
        nothing = cast("Any", None)
        super().__init__(
            _ROLES[0],
            cast("Any", trial),
            cast("Any", SimpleNamespace(names=Names())),
            closer=nothing,
            votes=nothing,
            admission=_ADMISSION,
        )

    def asked_here(self) -> tuple[ParkedRecord, dict[str, Question]]:
        """By what this task has judged."""
        return self._seen[asyncio.current_task()]

    async def _asked(self, ticket: str) -> earlier_answers._Asked:  # pyright: ignore[reportPrivateUsage]
        del ticket
        trial = self._trial
        interruptions = trial.interruptions
        record = trial.record
        await trial.pause()
        polls = trial.polls_of(record)
        self._seen[asyncio.current_task()] = record, polls
        roles = related(record, _ROLES[0])
        basis = basis_of(record, roles, polls, interruptions)
        await trial.pause()
        return earlier_answers._Asked(record, roles, polls, basis)  # pyright: ignore[reportPrivateUsage]

    async def _newest(self, asked: Any) -> int:
        await self._trial.pause()
        return max([each.seq for each in self._trial.answers if each.role in asked.roles])

    async def _sent(self, asked: Any, after: int, last: int) -> AsyncGenerator[Sent]:
        for each in list(self._trial.answers):
            is_new = each.seq > after if after else each.at >= asked.shown - 1
            if each.role in asked.roles and is_new and each.seq <= last:
                self._trial.read += 1
                await self._trial.pause()
                yield each


def from_the_first(
    record: ParkedRecord, polls: dict[str, Question], answers: Sequence[Sent]
) -> Contest:
    """Judge all of the answers."""
    contest = Contest(record, _ROLES[0], _ADMISSION.rule_for(TICKET), polls)
    roles = related(record, _ROLES[0])
    opened = {q.id for q in record.questions if q.status == OPEN and _ROLES[0] in q.roles}
    for each in answers:
        if opened <= contest.closed:
            break
        if each.role in roles:
            contest.add(each)
    return contest


def shown(contest: Contest) -> tuple[Any, ...]:
    """All that a contest tells."""
    votes: dict[str, list[Voted]] = contest.votes
    return (
        contest.winners,
        votes,
        contest.closed,
        contest.unnamed,
        contest.record,
        contest.polls,
    )


def _with(record: ParkedRecord, question: ParkedQuestion) -> ParkedRecord:
    questions = {each.id: each for each in record.questions} | {question.id: question}
    return msgspec.structs.replace(record, questions=tuple(questions.values()))


def _cast(poll: Question, vote: Voted) -> CastVote:
    return CastVote(by=vote.by, role=vote.role, seq=vote.seq, choice=choice_of(poll, vote.text))
