"""The campaign `ladders`: nobody answers yet, while everything that reminds people fails."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import msgspec

from layby.actors.people.published_questions import RUNG
from layby.actors.people.rung_publisher import TOLD_HEADER
from layby.runtime.entry import Answered, Expired, Voted
from layby.runtime.ladder_records import Laddered, Reached
from layby.runtime.quorum import roles_of
from layby.runtime.state import OPEN, Question, RunState
from tests.ladder_app import POINTS

from .app import Op
from .campaign import Campaign
from .climbers import Climbers, Editors
from .crowd import DESK, FLOOR, Climb, Poll
from .plan import Ticket
from .polls import Crowd
from .report import Report
from .rungs import Entry, Ladder, Message, World, lost_edits, wrongs
from .siege import Siege
from .violation import Violation
from .voters import Voters

_PATIENT = 60.0
_MANNERS = ("early", "between", "last", "race", "lead", "never", "edge")
_IN_TIME = {"never", "edge"}


def climbed(draw: random.Random, n: int) -> Ticket:
    """A ticket on which people are asked, and asked again, until somebody answers or never."""
    if draw.random() < 0.2:
        poll = Poll(role="finance", groups={"finance": 2, "legal": 1}, remind=[0.2, 0.7])
        ops = [Op(kind="poll", name="0-poll", seconds=_PATIENT, poll=poll)]
        return Ticket(n=n, ops=[*ops, Op(kind="step", name="1-last")])
    manner = draw.choice(_MANNERS)
    climb = Climb(
        role=draw.choice([DESK, FLOOR]),
        remind=[draw.uniform(0.3, 1.5) for _ in range(draw.randint(0, 3))],
        escalate=[
            (draw.uniform(0.4, 1.5), to)
            for to in ("role:lead", "person:cto")
            if draw.random() < 0.6 or (to == "role:lead" and manner in {"race", "lead"})
        ],
        manner=manner,
    )
    seconds = draw.uniform(1.6, 3.0) if manner in _IN_TIME else _PATIENT
    ask = Op(kind="climb", name="0-climb", seconds=seconds, climb=climb)
    return Ticket(n=n, ops=[ask, Op(kind="step", name="1-last")])


class Ladders:
    """Judges the ladders of a campaign's questions, and the rota that its editors made."""

    def __init__(self, c: Campaign, siege: Siege, editors: Editors) -> None:
        self._c = c
        self._siege = siege
        self._editors = editors
        self._on_duty: set[str] | None = None

    async def look(self) -> None:
        """Read the rota, once nobody edits it any more."""
        self._on_duty = await self._editors.on_duty()

    def violations(self) -> list[Violation]:
        """What is wrong by now."""
        world = World(self._editors.edits, self._siege.delays, self._siege.absences())
        found = [
            wrong
            for run in self._c.driver.history.states.values()
            for ladder in self._ladders(run)
            for wrong in wrongs(ladder, world)
        ]
        if self._on_duty is not None and self._editors.are_done:
            on_duty = dict.fromkeys(self._on_duty, True)
            found += lost_edits(self._editors.edits, on_duty)
        return found

    def _ladders(self, run: RunState) -> Iterator[Ladder]:
        history = self._c.driver.history
        for question in run.questions.values():
            planned = next((p for p in self._records(run, Laddered) if p.id == question.id), None)
            if planned is None:
                continue
            closed_n, closed_at = self._closed(run, question)
            messages = [
                Message(
                    stored.at,
                    stored.subject.partition(".")[0],
                    int(stored.headers[RUNG]),
                    tuple(filter(None, stored.headers.get(TOLD_HEADER, "").split(","))),
                )
                for stored in history.rungs
                if msgspec.json.decode(stored.data)["id"] == question.id
            ]
            yield Ladder(
                question.id,
                roles_of(question),
                planned.rungs,
                question.deadline,
                list(self._entries(run, question)),
                messages,
                closed_n,
                closed_at,
            )

    def _records(self, run: RunState, kind: type[Laddered]) -> Iterator[Laddered]:
        for entry in self._c.driver.history.logs[run.id]:
            yield from (each for each in entry.envelope.records if isinstance(each, kind))

    def _entries(self, run: RunState, question: Question) -> Iterator[Entry]:
        for entry in self._c.driver.history.logs[run.id]:
            for record in entry.envelope.records:
                if isinstance(record, Reached) and record.id == question.id:
                    is_last = record is entry.envelope.records[-1]
                    yield Entry(entry.n, entry.at, record, is_last)

    def _closed(self, run: RunState, question: Question) -> tuple[int, float]:
        """Where and when a question was closed."""
        if question.status == OPEN:
            return 0, time.time()
        ends = [
            (entry.n, entry.at)
            for entry in self._c.driver.history.logs[run.id]
            for record in entry.envelope.records
            if isinstance(record, Answered | Expired | Voted) and record.id == question.id
        ]
        return ends[-1] if ends else (run.tail, run.updated_at)


async def ladders(c: Campaign, *, rounds: int = 0, tickets: int = 4) -> Report:
    """People are reminded while workers die, stop and are cut off, and the server is killed."""
    c.witnesses.append(Crowd(c.driver))
    Voters(c.driver, c.seed)
    climbers, editors = Climbers(c.driver, c.seed), Editors(c.driver, c.seed)
    siege = Siege(
        c, climbed, climbers.early, mailboxes=[f"answers-{each}" for each in (DESK, FLOOR)]
    )
    c.witnesses.append(Ladders(c, siege, editors))
    editors.start()
    points = (*POINTS, "before_expired")
    return await siege.run(points, rounds=rounds, tickets=tickets, over=editors.stop)
