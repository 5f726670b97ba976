"""The story of one question: who asked, who answered, and what became of each answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ...runtime import entry
from ...runtime.act_records import ClaimedQuestion, Declined, Passed
from ...runtime.ask_back_records import AskedBack, Replied
from ...runtime.card_records import Notified, Undelivered
from ...runtime.ladder import NO_LADDER, ROLE
from ...runtime.ladder_records import ESCALATION, REMINDER, PlannedRung, Reached, told
from ...runtime.opened_records import Heard, OpenedQuestion
from ...runtime.quorum import roles_of
from ...runtime.state import NO_QUORUM, OPEN
from ...runtime.tally import standing_of
from ...runtime.times import iso
from ...views.card_lines import card_words
from ...views.said_line import said_line
from .detail import records
from .node import Node
from .watched import WatchedRun

Happened = Literal[
    "asked",
    "rung",
    "card",
    "next",
    "answered",
    "voted",
    "said",
    "undecided",
    "refused",
    "expired",
    "withdrawn",
    "deadline",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One thing that happened to a question, or will.

    Attributes:
        what: What.
        at: When.
        by: Who did it.
        text: What they said.
        vouched: Who vouches for them.
        receipt: The number of the answer in the stream of answers; 0: there is none.
        why: Why an answer does not count; of a vote, how many of how many there are.
        rung: What a rung of its ladder does, or what became of a card.
    """

    what: Happened
    at: str
    by: str = ""
    text: str = ""
    vouched: str = ""
    receipt: int = 0
    why: str = ""
    rung: str = ""


@dataclass(slots=True, kw_only=True)
class Thread:
    """One question.

    Attributes:
        id: Its id.
        node: Its row.
        asked: The record.
        moments: What happened, in order.
        open: Whether it waits for an answer.
        by: Who answered it.
        rungs: Its ladder.
        reached: The places of the rungs that were reached.
        asked_too: Who was asked too, by rungs and people: `role:lead` or `person:cto`.
    """

    id: str
    node: Node
    asked: entry.Asked
    moments: list[Moment] = field(default_factory=list[Moment])
    open: bool = True
    by: str = ""
    rungs: list[PlannedRung] = field(default_factory=list[PlannedRung])
    reached: set[int] = field(default_factory=set[int])
    asked_too: list[str] = field(default_factory=list[str])

    @property
    def deadline(self) -> str:
        """When it is over without an answer."""
        return iso(self.asked.deadline)

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that are asked, those that it was escalated to included."""
        also = (to.removeprefix(ROLE) for to in self.asked_too if to.startswith(ROLE))
        return tuple(dict.fromkeys((*roles_of(self.asked), *also)))

    @property
    def asked_at(self) -> str:
        """When it was asked."""
        return iso(self.node.start)


def threads(run: WatchedRun) -> list[Thread]:
    """The questions of a run: the open ones first, then the newest first."""
    found = [each for node in run.outline.questions.values() if (each := _thread(run, node))]
    found.reverse()
    return sorted(found, key=lambda each: (not each.open, each.deadline if each.open else ""))


def _thread(run: WatchedRun, node: Node) -> Thread | None:
    found: Thread | None = None
    for number, at, record in records(run, node):
        if isinstance(record, entry.Asked):
            found = Thread(id=record.id, node=node, asked=record)
            ladder = run.state.ladders.get(record.id, NO_LADDER)
            found.rungs = [PlannedRung(kind=r.kind, at=r.at, to=r.to) for r in ladder.rungs]
            found.moments.append(Moment(what="asked", at=iso(at), by=record.agent))
        elif found is not None:
            _add(run, found, number, at, record)
    if found is not None and found.open:
        for place, rung in enumerate(found.rungs):
            if place not in found.reached:
                found.moments.append(Moment(what="next", at=iso(rung.at), rung=_words(rung)))
        found.moments.append(Moment(what="deadline", at=found.deadline))
    return found


def _words(rung: PlannedRung) -> str:
    if rung.kind == ESCALATION:
        return f"asks {rung.to} too"
    return "reminder" if rung.kind == REMINDER else "on duty"


def _add(run: WatchedRun, thread: Thread, number: str, at: float, record: entry.Record) -> None:
    match record:
        case entry.Answered():
            why = run.outline.refused.get(number, "")
            thread.moments.append(
                Moment(
                    what="refused" if why else "answered",
                    at=iso(record.at or at),
                    by=record.by,
                    text=record.text,
                    vouched=run.outline.answers.vouched(record),
                    receipt=record.seq,
                    why=why,
                )
            )
            if not why:
                thread.open, thread.by = False, record.by or "somebody"
        case Reached():
            if record.rung < len(thread.rungs):
                thread.reached.add(record.rung)
                thread.asked_too.append(thread.rungs[record.rung].to)
                words = _words(thread.rungs[record.rung])
                moment = Moment(what="rung", at=iso(at), rung=words, by=told(record))
                thread.moments.append(moment)
        case ClaimedQuestion() | Passed() | Declined() | AskedBack() | Replied() | OpenedQuestion():
            _add_said(thread, record, at)
        case Notified() | Undelivered():
            thread.moments.append(_of_card(record, at))
        case entry.Voted():
            _add_vote(run, thread, number, record)
        case entry.Expired():
            thread.moments.append(Moment(what="expired", at=iso(at)))
            thread.open = False
        case entry.Withdrawn() | entry.Cancelled() | entry.Ended():
            thread.moments.append(Moment(what="withdrawn", at=iso(at)))
            thread.open = False
        case _:
            pass


def _add_said(thread: Thread, record: Heard, at: float) -> None:
    if isinstance(record, Passed):
        thread.reached.add(record.rung)
        thread.asked_too.append(record.to)
    line = said_line(record)
    stored = None if isinstance(record, Replied) else record  # in the stream of answers
    moment = Moment(
        what="said",
        at=iso(at if stored is None else stored.at),
        by=line["actor"],
        text=line["title"],
        vouched="" if stored is None else stored.vouched,
        receipt=0 if stored is None else stored.seq,
        why=line["detail"],
    )
    thread.moments.append(moment)


def _of_card(record: Notified | Undelivered, at: float) -> Moment:
    if isinstance(record, Undelivered):
        words = f"no channel of {record.role} could show it"
        return Moment(what="card", at=iso(at), rung=words)
    until = iso(record.until) if record.until else ""
    words = f"{card_words(record)} for {record.role}"
    return Moment(what="card", at=iso(at), rung=words, by=until, why=record.reason)


def _add_vote(run: WatchedRun, thread: Thread, number: str, record: entry.Voted) -> None:
    why = run.outline.refused.get(number, "")
    poll = run.outline.answers.poll(record.id)
    thread.moments.append(
        Moment(
            what="refused" if why else "voted",
            at=iso(record.at),
            by=record.by,
            text=record.text,
            vouched=record.vouched,
            receipt=record.seq,
            why=why or ("" if poll is None else standing_of(poll, poll.votes, record)),
        )
    )
    if poll is None or poll.status == OPEN or poll.seq != record.seq:
        return
    thread.open, thread.by = False, poll.by or "nobody"
    if poll.status == NO_QUORUM:
        thread.moments.append(Moment(what="undecided", at=iso(record.at)))
