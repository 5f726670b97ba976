"""A question as the record of its ticket has it, and as people see it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from ...bus.sealing import MARK
from ...bus.token import check_words, is_key
from ...runtime.acts import declined
from ...runtime.call import Call
from ...runtime.choice import choice_of
from ...runtime.entry import Voted
from ...runtime.index import IndexRow
from ...runtime.openings import openings
from ...runtime.question_fields import fields_of
from ...runtime.quorum import Quorum, roles_of
from ...runtime.state import WAITING, Question, RunState
from ...runtime.times import check_times, iso
from .shown_acts import ShownClaim, shown_claim
from .shown_ask_back import ShownAskBack
from .shown_card import ShownCard, shown_cards
from .shown_ladder import ShownRung, ShownTo, shown_ladder
from .shown_openings import ShownOpening, shown_openings

UNKNOWN = -1
"""Stands for a sequence that is not known."""
IN_LOG = MARK + b"\x05log/0"
"""Stands for sealed content: the log of the run has it. An older worker takes it for content whose
key it lacks, and leaves what needs the content to others."""


class Shown(NamedTuple):
    """How a question was shown to people."""

    since: float = 0.0
    """When it could first be answered, Unix seconds by the server's clock."""
    answer_with: tuple[str, ...] = ()
    """Shell commands that answer exactly this question."""
    seq: int = 0
    """Where it was published, in the stream QUESTIONS; 0: unknown."""
    after: int = UNKNOWN
    """Where the previous question to the same role on its ticket was; 0: it was the first."""
    also: Mapping[str, ShownTo] = MappingProxyType({})
    """How it was shown to the roles that it was escalated to."""


class CastVote(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A vote that counts, as people see it."""

    by: str
    role: str
    """The role that it counts for."""
    seq: int
    """Its sequence in the stream of answers."""
    choice: str = ""
    """What it chose; empty if the question is confidential."""


class ParkedQuestion(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One question on a ticket, open or closed."""

    id: str
    run: str
    role: str
    question: str
    context: str = ""
    agent: str = ""
    form: dict[str, Any] | None = None
    asked_at: str
    deadline: str
    status: str = "open"
    by: str = ""
    closed_at: str = ""
    seq: int = 0
    """Sequence of the answer that won."""
    workflow: str = ""
    started_at: str = ""
    """When the run began."""
    pos: int = 0
    """The position of the run's log that this reflects."""
    parent: str = ""
    """The run that started this one and waits for it."""
    since: float = 0.0
    """When its log entry was stored, Unix seconds by the server's clock, as for answers."""
    digest: str = ""
    """The digest of the call to approve."""
    answer_with: tuple[str, ...] = ()
    """While it is open: shell commands that answer exactly this question."""
    accept: list[str] = []
    """Who must vouch for the sender of an answer; empty: nobody."""
    call: Call | None = None
    """The call to approve, if the answer must be signed."""
    shown_seq: int = 0
    """See `Shown.seq`."""
    shown_after: int = UNKNOWN
    """See `Shown.after`."""
    confidential: bool = False
    """Whether its content must not be stored in plain."""
    sealed: bytes = b""
    """For a confidential question: its content, encrypted; see `confidential`. Or `IN_LOG`."""
    to: str = ""
    """The person it is meant for, `person:ada`; empty: everybody with the role."""
    ladder: tuple[ShownRung, ...] = ()
    """What happens while it stays open."""
    also: dict[str, ShownTo] = {}
    """See `Shown.also`."""
    asked_of: str = ""
    """If a role sees it because it was escalated to it: the role that was asked first."""
    quorum: Quorum | None = None
    """What it takes to decide it; None: one answer."""
    only: str = ""
    """The one person who may answer it; empty: anybody who may answer for the role."""
    votes: list[CastVote] = []
    """If several people decide it: their votes, in the order of the stream of answers."""
    claim: ShownClaim | None = None
    """Who has claimed it last; it may have expired."""
    declined: list[str] = []
    """Who will not answer it: they said so, or passed it on."""
    cards: tuple[ShownCard, ...] = ()
    """What became of it on the channels of the roles that are asked."""
    asked_back: tuple[ShownAskBack, ...] = ()
    """What people asked back, as the list of open questions has it; a ticket's record does not."""
    stopped_at: str = ""
    """Since when its clock is stopped, as something asked back has no reply; empty: it runs."""
    opened: tuple[ShownOpening, ...] = ()
    """Who has looked at it, in the order of time."""

    def __post_init__(self) -> None:
        """Refuse fields that cannot be shown or used in a subject. Raises ValueError."""
        check_times(self.asked_at, self.deadline, self.closed_at, self.started_at, self.stopped_at)
        check_words(self.run, self.role, self.parent, self.asked_of, *self.also, *self.declined)
        if not (is_key(self.id) and self.run and self.asked_at and self.deadline):
            raise ValueError("it has no id, no run, or no deadline")

    @property
    def shown(self) -> Shown:
        """How it was shown."""
        return Shown(self.since, self.answer_with, self.shown_seq, self.shown_after, self.also)

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that it can be answered by."""
        return (self.role, *self.also)

    @property
    def is_in_log(self) -> bool:
        """Whether only the log of its run has its content; see `left_in_log`."""
        return self.sealed == IN_LOG

    @property
    def may_have_rungs(self) -> bool:
        """Whether timers may be armed for it besides that of its deadline."""
        return bool(self.ladder or self.cards) or self.is_in_log


NOT_SHOWN = Shown()


def parked_question(run: RunState, question: Question, shown: Shown = NOT_SHOWN) -> ParkedQuestion:
    """A question as its ticket's record shows it."""
    closed = "" if question.status == "open" else iso(question.at or run.updated_at)
    ladder = run.ladders.get(question.id)
    acts = run.acts.get(question.id, [])
    return ParkedQuestion(
        **fields_of(question),
        run=run.id,
        asked_at=iso(question.asked_at),
        deadline=iso(question.deadline),
        status=question.status,
        by=question.by,
        closed_at=closed,
        seq=question.seq,
        workflow=run.workflow,
        started_at=iso(run.started_at),
        pos=run.tail,
        parent=run.parent.run if run.parent else "",
        since=shown.since,
        answer_with=shown.answer_with if question.status == "open" else (),
        shown_seq=shown.seq,
        shown_after=shown.after,
        to=ladder.to if ladder is not None else "",
        ladder=shown_ladder(ladder),
        also=dict(shown.also),
        votes=[_cast(question, vote) for vote in question.votes],
        claim=shown_claim(acts),
        declined=list(declined(acts)),
        cards=shown_cards(run.cards.get(question.id, ())),
        stopped_at=iso(question.stopped_at) if question.stopped_at and not closed else "",
        opened=shown_openings(openings(run, question.id)),
    )


def _cast(question: Question, vote: Voted) -> CastVote:
    choice = "" if question.confidential else choice_of(question, vote.text)
    return CastVote(by=vote.by, role=vote.role, seq=vote.seq, choice=choice)


def waiting_row(ticket: str, question: ParkedQuestion) -> IndexRow:
    """The row of a run that waits for an answer, made from its question."""
    return IndexRow(
        id=question.run,
        workflow=question.workflow,
        ticket=ticket,
        status=WAITING,
        started_at=question.started_at,
        updated_at=question.asked_at,
        pos=question.pos,
        parent=question.parent,
        roles=roles_of(question),
        question=question.question,
        waits="people",
        until=question.deadline,
        asked_at=question.asked_at,
        deadline=question.deadline,
    )
