"""The rungs of questions' ladders: each is a schedule, then an entry of the log, then a message.

The schedule only wakes a worker. The entry `reached` decides, once: it is refused if the question
is closed or the rung was reached. It is mail to the actor of the role that is told, which publishes
the question again (`rung_publisher`). So nothing can be lost between the decision and the message,
and thousands of rungs due at once are recorded however long their publication takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from ...bus.log_subject import NOBODY
from ...bus.mailbox import Delivery
from ...bus.timers import RUNG, Timers
from ...runtime import clock, crash
from ...runtime.acts import Act, claim_at
from ...runtime.due_handler import LAGS
from ...runtime.entry import Record
from ...runtime.errors import Fenced
from ...runtime.ladder import NO_LADDER, PERSON, LadderRung
from ...runtime.ladder_records import ESCALATION, REMINDER, Reached
from ...runtime.ports import Due
from ...runtime.question_clock import TOLERANCE
from ...runtime.run import LiveRun
from ...runtime.state import OPEN, Question, RunState
from ..kinds import human_address
from .duty import Duties
from .parked_question import ParkedQuestion
from .question_closing import QuestionCloser
from .rota import OnDuty

_TRIES = 8
"""Attempts to record a rung while others of its question are being reached."""


def timer_of(question: str, rung: int | str) -> str:
    """The name of a rung's timer; `*` stands for all of the question."""
    return f"{question}.{rung}"


class Rungs:
    """Arms the rungs of the questions to one role, and records those that are due."""

    def __init__(self, timers: Timers, closer: QuestionCloser, duties: Duties) -> None:
        self._timers = timers
        self._closer = closer
        self._tickets = closer.tickets
        self._duties = duties

    async def arm(self, state: RunState, question: Question) -> None:
        """Arm every rung that was not reached yet. Repeatable."""
        rungs = state.ladders.get(question.id, NO_LADDER).rungs
        arming = [
            self._arm(state, question, place, rung)
            for place, rung in enumerate(rungs)
            if not rung.reached
        ]
        await asyncio.gather(*arming)

    async def _arm(self, state: RunState, question: Question, place: int, rung: LadderRung) -> None:
        due = Due(
            kind="rung",
            run=state.id,
            at=rung.at,
            role=question.role,
            ticket=state.ticket,
            question=question.id,
            rung=place,
        )
        moved = question.stopped_at or question.stood  # a moved schedule needs a name of its own
        name = timer_of(question.id, f"{place}={round(rung.at * 1e3)}" if moved else place)
        await self._timers.arm(name, rung.at, msgspec.json.encode(due), word=RUNG)
        crash.point("after_rung_armed")

    async def due(self, due: Due, delivery: Delivery) -> None:
        """Record that a rung is reached, unless its question is closed or it was reached before."""
        if (early := due.at - delivery.at) > 0:
            await delivery.nak(early)  # the server's clock was changed; the rung stays
            return
        record, _ = await self._tickets.get(due.ticket)
        shown = _question_in(record.questions if record is not None else (), due.question)
        if shown is not None and (shown.status != OPEN or _was_reached(shown, due.rung)):
            await delivery.ack()
            return
        live = await self._closer.live(due.run, record)
        if due.question not in live.state.questions:
            await live.catch_up()
        question = live.state.questions.get(due.question)
        if question is None and delivery.num_delivered < LAGS:
            await delivery.nak(1.0)  # a follower that lags behind its leader
            return
        if question is not None:
            # It may have come due long ago, while no worker was running.
            await self._reach(live, question, due, max(delivery.at, clock.now()))
        await delivery.ack()

    async def _reach(self, live: LiveRun, question: Question, due: Due, at: float) -> None:
        """Record a rung. After the deadline nobody is told any longer: the deadline decides."""
        place, said = due.rung, 0

        def check(state: RunState) -> None:
            if _is_put_off(state, question.id, due):
                raise Fenced(f"rung {place} of question {question.id} was put off")
            if len(state.acts.get(question.id, ())) != said:  # a claim decides who is told
                raise Fenced(f"people have said more to question {question.id}")

        ladder = live.state.ladders.get(question.id, NO_LADDER)
        for _ in range(_TRIES):
            question = live.state.questions[question.id]
            if question.status != OPEN or at >= question.deadline or ladder.was_reached(place):
                return
            if _is_put_off(live.state, question.id, due):
                await self.arm(live.state, question)
                return
            said = len(live.state.acts.get(question.id, ()))
            records, to = await self.records(live.state, question, place, at)
            crash.point("before_reached")
            try:
                await live.append(records, to=to, check=check)
            except Fenced:
                continue  # closed or claimed meanwhile, or one of these rungs was reached
            crash.point("after_reached")
            return

    async def escalated(
        self, state: RunState, question: Question, at: float
    ) -> tuple[list[Record], str]:
        """What is recorded if nobody who was asked will answer, and the actor that publishes it.

        That is the next escalation, before its time; nothing if there is none.
        """
        place = state.ladders.get(question.id, NO_LADDER).next_escalation(-1)
        if place is None or at >= question.deadline:
            return [], NOBODY
        return await self.records(state, question, place, at, early=True)

    async def records(
        self, state: RunState, question: Question, place: int, at: float, *, early: bool = False
    ) -> tuple[list[Record], str]:
        """What a rung that is due records, and the actor that publishes it.

        If nobody is on duty the next escalation is reached at once, in the same entry. The last one
        is published even then, so that people who look find it.

        `early`: it is reached before its time, because nobody could be told before it.
        """
        records: list[Record] = []
        ladder = state.ladders.get(question.id, NO_LADDER)
        role = question.role
        while 0 <= place < len(ladder.rungs):
            rung = ladder.rungs[place]
            claim = _silencing(state, question, rung, at)
            duty = OnDuty((claim.by,)) if claim else await self._told(rung, ladder.to, at)
            role = rung.role or question.role
            reached = Reached(
                id=question.id,
                rung=place,
                told=list(duty.told),
                absent=dict(duty.absent),
                nobody=duty.nobody,
                early=early,
                claimed=claim is not None,
            )
            records.append(reached)
            further = ladder.next_escalation(place) if duty.nobody else None
            if further is None:
                break
            place, early = further, True
        return records, human_address(role)

    async def _told(self, rung: LadderRung, to: str, at: float) -> OnDuty:
        """Who is told at a rung."""
        person = rung.to if rung.kind == ESCALATION else to
        if person.startswith(PERSON):
            return await self._duties.of_person(person.removeprefix(PERSON), rung.rota, at)
        return await self._duties.of_rota(rung.rota, at)


def _silencing(state: RunState, question: Question, rung: LadderRung, at: float) -> Act | None:
    """The claim because of which a reminder tells nobody else; None: there is none.

    What several people decide needs the others too, and an escalation is for somebody else.
    """
    if rung.kind != REMINDER or question.quorum is not None:
        return None
    return claim_at(state.acts.get(question.id, ()), at)


def _is_put_off(state: RunState, question: str, due: Due) -> bool:
    """Whether a rung is due later than its schedule says: the question's clock was stopped."""
    rungs = state.ladders.get(question, NO_LADDER).rungs
    return due.rung < len(rungs) and rungs[due.rung].at > due.at + TOLERANCE


def _question_in(questions: Sequence[ParkedQuestion], question: str) -> ParkedQuestion | None:
    return next((each for each in questions if each.id == question), None)


def _was_reached(question: ParkedQuestion, rung: int) -> bool:
    return rung < len(question.ladder) and bool(question.ladder[rung].reached)
