"""The campaign `cards`: questions are shown on channels that fail, by workers that die."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from layby.actors.people.published_questions import RUNG
from layby.runtime.card_records import FAILED, FIRST, Notified, Undelivered
from layby.runtime.entry import Answered, Cancelled, Ended, Expired
from layby.runtime.ladder_records import Laddered, Reached
from layby.runtime.state import OPEN, Question, RunState
from tests.notifier_app import POINTS

from .app import Op
from .board import Board, Call
from .callers import Callers
from .campaign import Campaign
from .checker import CARDS
from .crowd import CHANNELS, CHIEF, FRONT, MUTE, NIGHT, OPS, Climb
from .deliveries import STEADY, Carded, Noted, Published, Seen, outages, wrongs
from .fronts import Fronts
from .plan import Ticket
from .polls import Crowd
from .report import Report
from .siege import Siege
from .violation import Violation

_PATIENT = 60.0
_MANNERS = ("prompt", "shown", "race", "race", "reminded", "escalated", "never")
_BY_NOTIFIERS = ("after_card_sent", "after_card_recorded")
_FRONTED = 6
"""One of so many tickets is asked in Slack and by mail."""
_DOWN = 2.0
"""Seconds for which the board takes nothing."""


def carded(draw: random.Random, n: int) -> Ticket:
    """A ticket on which somebody is asked on a channel, until they answer or never."""
    role = draw.choice([OPS, OPS, MUTE, NIGHT])
    manner = draw.choice(_MANNERS)
    reminded = manner == "reminded" or draw.random() < 0.3
    after = draw.uniform(0.5, 2.0) if manner == "escalated" else 40.0
    climb = Climb(
        role=role,
        remind=[draw.uniform(0.4, 1.5)] if reminded and manner != "never" else [],
        escalate=[(after, f"role:{CHIEF}")] if manner != "never" else [],
        manner=manner,
    )
    seconds = draw.uniform(2.0, 5.0) if manner == "never" else _PATIENT
    is_cancelled = manner == "never" and draw.random() < 0.4
    ask = Op(kind="climb", name="0-climb", seconds=seconds, climb=climb)
    return Ticket(
        n=n,
        ops=[ask, Op(kind="step", name="1-last")],
        cancel_after=draw.uniform(0.5, 2.0) if is_cancelled else None,
    )


def shown(draw: random.Random, n: int) -> Ticket:
    """The same; every so many are asked in Slack and by mail instead."""
    ticket = carded(draw, n)
    if n % _FRONTED:
        return ticket
    first = ticket.ops[0]
    assert first.climb is not None
    manner = first.climb.manner if first.climb.manner in {"prompt", "never"} else "later"
    climb = Climb(role=FRONT, remind=first.climb.remind, manner=manner)
    ops = [msgspec.structs.replace(first, climb=climb), *ticket.ops[1:]]
    return msgspec.structs.replace(ticket, ops=ops)


def hopeless(draw: random.Random, n: int) -> Ticket:
    """A ticket whose question is closed before a channel is back that is down."""
    climb = Climb(role=draw.choice([OPS, CHIEF]), manner="never")
    ask = Op(kind="climb", name="0-climb", seconds=draw.uniform(1.5, 2.5), climb=climb)
    return Ticket(n=n, ops=[ask, Op(kind="step", name="1-last")])


def nightly(draw: random.Random, n: int) -> Ticket:
    """A ticket whose card is held, more often than not, until somebody answers on it."""
    climb = Climb(role=NIGHT, manner=draw.choice(["shown", "race"]))
    ask = Op(kind="climb", name="0-climb", seconds=_PATIENT, climb=climb)
    return Ticket(n=n, ops=[ask, Op(kind="step", name="1-last")])


class Cards:
    """Judges the cards of a campaign's questions, and what people who clicked on them were told."""

    def __init__(self, c: Campaign, board: Board, siege: Siege) -> None:
        self._c = c
        self._board = board
        self._siege = siege

    async def look(self) -> None:
        """Nothing: what was recorded is enough."""

    def violations(self) -> list[Violation]:
        """What is wrong by now."""
        seen = self._seen()
        history = self._c.driver.history
        found: list[Violation] = []
        for run in history.states.values():
            for question in run.questions.values():
                if question.role == FRONT:
                    continue  # `Fronts` judges them
                found += wrongs(self._carded(run, question), seen)
        return [*found, *self._letters(), *self._clicks()]

    def _seen(self) -> Seen:
        sent: defaultdict[str, list[Call]] = defaultdict(list)
        for call in self._board.calls:
            if call.what == "send":
                sent[call.key].append(call)
        died = {each.pid: each.died_at for each in self._c.fleet.workers.values() if each.died_at}
        file = self._c.folder / "unheard"
        unheard = set(file.read_text().split()) if file.exists() else set[str]()
        delayed = self._siege.was_delayed
        return Seen(sent, self._board.shown, died, unheard, delayed, outages(self._board.downs))

    def _carded(self, run: RunState, question: Question) -> Carded:
        history = self._c.driver.history
        noted: list[Noted] = []
        gone: list[tuple[int, Undelivered]] = []
        reached: list[tuple[int, Reached]] = []
        planned: Laddered | None = None
        closed_n, closed_at = 0, time.time()
        for entry in history.logs[run.id]:
            records = entry.envelope.records
            for record in records:
                ends = isinstance(record, Ended | Cancelled)
                if not ends and getattr(record, "id", "") != question.id:
                    continue
                if ends or isinstance(record, Answered | Expired):
                    if not closed_n and question.status != OPEN:
                        closed_n, closed_at = entry.n, entry.at
                elif isinstance(record, Notified):
                    noted.append(Noted(entry.n, entry.at, record, tuple(records)))
                elif isinstance(record, Undelivered):
                    gone.append((entry.n, record))
                elif isinstance(record, Reached):
                    reached.append((entry.n, record))
                elif isinstance(record, Laddered):
                    planned = record
        return Carded(
            question.id,
            CHANNELS,
            planned.rungs if planned is not None else (),
            list(self._published(question)),
            noted,
            gone,
            reached,
            question.deadline,
            closed_n,
            closed_at,
            question.status,
            run.status if run.ended else "",
        )

    def _published(self, question: Question) -> Iterator[Published]:
        history = self._c.driver.history
        first = history.shown.get((question.id, question.role))
        if first is not None:
            yield Published(first.at, question.role, FIRST)
        for stored in history.rungs:
            if msgspec.json.decode(stored.data)["id"] == question.id:
                role = stored.subject.partition(".")[0]
                yield Published(stored.at, role, int(stored.headers[RUNG]))

    def _letters(self) -> Iterator[Violation]:
        """Whether the message of each card that was given up is a dead letter, and no other."""
        history = self._c.driver.history
        letters = [
            (stored.subject, msgspec.json.decode(stored.data))
            for stored in history.dead
            if stored.subject.startswith(CARDS)
        ]
        given_up = {
            (f"{CARDS}{record.role}-{record.channel}", record.seq)
            for log in history.logs.values()
            for entry in log
            for record in entry.envelope.records
            if isinstance(record, Notified) and record.status == FAILED and record.seq
        }
        there = {(subject, letter["seq"]) for subject, letter in letters}
        for place in given_up - there:
            yield Violation("failed card not put aside", f"{place}")
        for subject, letter in letters:
            if (subject, letter["seq"]) not in given_up:
                yield Violation("dead letter", f"{subject}: {letter['reason']}")

    def _clicks(self) -> Iterator[Violation]:
        """Whether everybody who clicked was told what their answer's receipt says."""
        history = self._c.driver.history
        outcomes: defaultdict[int, set[str]] = defaultdict(set)
        for _, receipt in history.receipts:
            outcomes[receipt.seq].add(receipt.outcome)
        said: defaultdict[tuple[str, str, str, str], set[str]] = defaultdict(set)
        for each in history.answers.values():
            body = _body(each.data)
            place = each.role, str(body.get("questionId", "")), each.by, str(body.get("answer", ""))
            said[place] |= outcomes[each.seq]
        for clicked in self._board.clicks.values():
            click = clicked.click
            if not clicked.told:
                yield Violation("click without outcome", f"{click}")
            possible = said[click.role, click.question, click.person, click.answer] | {"stored"}
            if wrong := set(clicked.told) - possible:
                text = f"{click}: told {wrong}, the receipts say {possible}"
                yield Violation("told otherwise on the channel", text)


def _body(data: bytes) -> Mapping[str, Any]:
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}


async def cards(c: Campaign, *, rounds: int = 0, tickets: int = 4) -> Report:
    """Questions are shown while workers and notifiers die, and channel and server fail."""
    board = c.board
    assert board is not None
    c.witnesses.append(Crowd(c.driver))
    callers = Callers(c.driver, board, c.seed)
    siege = Siege(
        c,
        shown,
        callers.early,
        mailboxes=[],
        notifiers=2,
    )

    async def down() -> None:
        """Let the board take nothing for a while."""
        c.note("channel down")
        with board.down():
            siege.open(3, hopeless)
            siege.open(3, nightly)
            await c.while_looking(_DOWN)

    async def idle() -> None:
        """The same, but let the board be up long enough between: or all that is late is excused."""
        if board.downs and time.time() - board.downs[-1][1] < STEADY:
            await c.while_looking(_DOWN)
        else:
            await down()

    siege.faults = (down, *siege.faults)
    fronts = Fronts(c, siege)
    c.witnesses += [Cards(c, board, siege), fronts]
    siege.idle = idle  # or nothing would be left unsent
    points = (*POINTS, *(f"{point}@notify" for point in _BY_NOTIFIERS))
    report = await siege.run(points, rounds=rounds, tickets=tickets)
    calls = board.calls
    report.notes.append(
        f"{sum(call.what == 'send' for call in calls)} cards sent, of {len(calls)} calls "
        f"{sum(call.fate not in {'done', 'slow'} for call in calls)} failed or were not confirmed; "
        f"{len(board.clicks)} clicks; {fronts.told}"
    )
    return report
