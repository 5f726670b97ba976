"""The campaign `claims`: people say much besides answering, while whoever records it dies."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

import msgspec

from layby.actors.people.published_questions import RUNG
from layby.actors.people.rung_publisher import PASSED_HEADER, TOLD_HEADER
from layby.runtime.act_records import ClaimedQuestion, Declined, Passed
from layby.runtime.ask_back_records import ASK_BACK
from layby.runtime.entry import Answered, Expired
from layby.runtime.ladder_records import Laddered, Reached
from layby.runtime.state import OPEN, RunState
from layby.runtime.state import Question as Asked
from tests import ask_back_app, claims_app

from .app import Op
from .campaign import Campaign
from .claimants import Claimants
from .crowd import BOSS, GUIDE, SQUAD, Climb
from .deeds import Entry, Message, Question, Told, receipts_of_acts, wrongs
from .overheard import Overheard
from .plan import Ticket
from .polls import Crowd
from .report import Report
from .siege import Siege
from .violation import Violation

POINTS = tuple(each for each in claims_app.POINTS if each not in claims_app.OPENED_POINTS)
"""The crash points that its short form meets, and a few of the others."""
_FEW, _LAST = 3, 6
_PATIENT = 60.0
_OUTAGE = 3.0
"""Seconds in which an entry is stored that a server's death has held up."""
_MANNERS = (
    *("talk", "talk", "race", "expiry", "kept", "kept", "declined", "passed", "edge"),
    *("inquired", "inquired", "inquired", "stopped", "stopped"),
)
_SLOW = "watched"
"""A manner that takes so long that what gets lost shows; the short form has it for faults only."""
_MORE = (
    *("after_rung_published", "after_rung_recorded", "after_receipt"),
    *(*ask_back_app.POINTS, *claims_app.OPENED_POINTS),
)


def claimed(draw: random.Random, n: int, manners: Sequence[str] = _MANNERS) -> Ticket:
    """A ticket on which people say who is on it, until somebody answers or never."""
    manner = draw.choice(manners)
    ends = manner in {"edge", "stopped"}
    remind = [draw.uniform(0.3, 1.5 if ends else 3.0) for _ in range(draw.randint(0, 3))]
    if manner == "kept":
        remind = [draw.uniform(0.3, 1.0), draw.uniform(1.6, 2.4)]
    climb = Climb(
        role=SQUAD,
        remind=sorted(remind),
        escalate=[] if ends else [(draw.uniform(40.0, 50.0), f"role:{BOSS}")],
        manner=manner,
        explain=draw.choice(["code", f"role:{GUIDE}"]),
        stops=manner == "stopped" or (manner != "edge" and draw.random() < 0.3),
    )
    seconds = draw.uniform(1.6, 3.0) if ends else _PATIENT
    ask = Op(kind="climb", name="0-climb", seconds=seconds, climb=climb)
    return Ticket(n=n, ops=[ask, Op(kind="step", name="1-last")])


class Claims:
    """Judges what became of all that people said in a campaign besides answering."""

    def __init__(self, c: Campaign, siege: Siege) -> None:
        self._c = c
        self._siege = siege

    async def look(self) -> None:
        """Nothing: what was recorded is enough."""

    def violations(self) -> list[Violation]:
        """What is wrong by now."""
        history = self._c.driver.history
        told = receipts_of_acts(history)
        return [
            wrong
            for run in history.states.values()
            for question in run.questions.values()
            if not question.about
            for wrong in wrongs(self._question(run, question, told), self._was_delayed)
        ]

    def _was_delayed(self, since: float, until: float) -> bool:
        return self._siege.was_delayed(since, until, _OUTAGE)

    def _question(self, run: RunState, question: Asked, told: dict[int, set[Told]]) -> Question:
        history = self._c.driver.history
        planned: Laddered | None = None
        entries: list[Entry] = []
        closed_n, closed_at = 0, time.time()
        for entry in history.logs[run.id]:
            records = tuple(entry.envelope.records)
            for record in records:
                if getattr(record, "id", "") != question.id:
                    continue
                if isinstance(record, Answered | Expired) and question.status != OPEN:
                    closed_n, closed_at = entry.n, entry.at
                elif isinstance(record, ClaimedQuestion | Passed | Declined | Reached):
                    entries.append(Entry(entry.n, entry.at, record, records))
                elif isinstance(record, Laddered):
                    planned = record
        shown = {
            role: stored.at for (ref, role), stored in history.shown.items() if ref == question.id
        }
        return Question(
            question.id,
            shown,
            planned.rungs if planned is not None else (),
            entries,
            list(self._messages(question.id)),
            [
                act
                for act in history.acts.values()
                if act.ticket == run.ticket and act.verb != ASK_BACK
            ],
            told,
            question.deadline,
            closed_n,
            closed_at,
            self._listed(run, question.id),
        )

    def _messages(self, question: str) -> Iterator[Message]:
        for stored in self._c.driver.history.rungs:
            if msgspec.json.decode(stored.data)["id"] == question:
                yield Message(
                    stored.subject.partition(".")[0],
                    int(stored.headers[RUNG]),
                    stored.headers.get(PASSED_HEADER, ""),
                    stored.headers.get(TOLD_HEADER, ""),
                )

    def _listed(self, run: RunState, question: str) -> tuple[str, list[str]] | None:
        record = self._c.driver.history.parked.get(run.ticket)
        for each in record.questions if record is not None else ():
            if each.id == question:
                return each.claim.by if each.claim is not None else "", list(each.declined)
        return None


def _more(c: Campaign, rounds: int) -> Sequence[str]:
    """The points besides those of an act; a seeded fault may keep everybody from the later ones."""
    if rounds:
        return _MORE
    return _MORE[:_FEW] if c.mutant else c.draw.sample(_MORE, _FEW)


async def claims(c: Campaign, *, rounds: int = 0, tickets: int = 4) -> Report:
    """People claim, pass on and decline while workers die and stop, and the server is killed."""
    c.witnesses.append(Crowd(c.driver))
    claimants = Claimants(c.driver, c.seed)
    mailboxes = [f"{kind}-{role}" for role in (SQUAD, BOSS) for kind in ("answers", "acts")]
    manners = (*_MANNERS, _SLOW) if rounds or c.mutant else _MANNERS
    siege = Siege(c, partial(claimed, manners=manners), claimants.early, mailboxes=mailboxes)
    c.witnesses += [Claims(c, siege), Overheard(c, siege)]

    def over() -> None:
        """Have something watched when nothing fails any more: only then does its loss show."""
        if rounds or c.mutant:
            siege.open(_LAST, partial(claimed, manners=[_SLOW]))

    points = (*POINTS, *_more(c, rounds))
    report = await siege.run(points, rounds=rounds, tickets=tickets, over=over)
    verbs = Counter(act.verb for act in c.driver.history.acts.values())
    back, looks = verbs.pop(ASK_BACK, 0), len(c.driver.history.looks)
    report.notes.append(
        f"{verbs.total()} claims, passes and declines, {back} times asked back, {looks} looks"
    )
    return report
