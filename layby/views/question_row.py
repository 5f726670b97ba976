"""An open question as people and scripts see it; its JSON is a contract like that of `rows`."""

from __future__ import annotations

from typing import Any

import msgspec

from ..actors.people.parked_question import CastVote
from ..actors.people.shown_acts import ShownClaim
from ..actors.people.shown_ask_back import ShownAskBack
from ..actors.people.shown_card import ShownCard
from ..actors.people.shown_ladder import ShownRung
from ..actors.people.shown_openings import ShownOpening
from ..runtime.call import Call
from ..runtime.ladder import ROLE
from ..runtime.quorum import Quorum, roles_of, terms


class QuestionRow(msgspec.Struct, kw_only=True, frozen=True):
    """An open question to a person.

    Attributes:
        id: The question's id; an answer may name it.
        ticket: The ticket it belongs to: the address of an answer.
        role: Who is asked, `developer` by default.
        question: The question itself.
        context: What the asker thinks a person needs to know.
        agent: Who asks.
        run: The run that waits.
        asked_at: When it was asked.
        deadline: When the run continues without an answer.
        digest: Of the call to approve; empty if there is none.
        form: The JSON Schema that an answer must satisfy; None: any text.
        answer_with: Shell commands that answer exactly this question.
        accept: What must vouch for the answerer: `nats`, `signature` or `none`; empty: nothing.
        call: The call to approve with its exact arguments, if the answer must be signed.
        sha256: Of everything that is asked, if the answer must be signed.
        status: open; of a ticket's questions also answered, expired, cancelled or no_quorum.
        confidential: Whether its text is encrypted wherever it is published.
        encrypted: Whether its text cannot be read here; `question` then says so.
        to: The person it is meant for, `person:ada`; empty: everybody with the role.
        ladder: What happens while it stays open, in order: who is reminded, who is asked too.
        asked_of: The role that was asked first, if it was escalated to `role`.
        quorum: If several people decide it: how many, and who.
        votes: Who of them has voted so far.
        only: The one person who may answer it; empty: anybody who may answer for the role.
        claim: Who is on it, and until when; None: nobody.
        declined: Who will not answer it: they said so, or passed it on.
        cards: What became of it on channels.
        asked_back: What people asked back before they answer, and the replies.
        stopped_at: Since when its clock is stopped, because a question back has no reply;
            `deadline` is then the latest possible. Empty: it runs.
        opened: Who has looked at it, and when they did first.
    """

    id: str
    ticket: str
    role: str
    question: str
    context: str
    agent: str
    run: str
    asked_at: str
    deadline: str
    digest: str = ""
    form: dict[str, Any] | None = None
    answer_with: list[str] = []
    accept: list[str] = []
    call: Call | None = None
    sha256: str = ""
    status: str = "open"
    confidential: bool = False
    encrypted: bool = False
    to: str = ""
    ladder: list[ShownRung] = []
    asked_of: str = ""
    quorum: Quorum | None = None
    votes: list[CastVote] = []
    only: str = ""
    claim: ShownClaim | None = None
    declined: list[str] = []
    cards: list[ShownCard] = []
    asked_back: list[ShownAskBack] = []
    stopped_at: str = ""
    opened: list[ShownOpening] = []

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that are asked, those that it was escalated to included."""
        reached = (rung.to for rung in self.ladder if rung.reached and rung.to.startswith(ROLE))
        also = (self.asked_of, *(to.removeprefix(ROLE) for to in reached))
        return tuple(dict.fromkeys(filter(None, (*roles_of(self), *also))))

    @property
    def terms(self) -> str:
        """Who decides it together, in words; empty if one answer decides it."""
        return terms(self)

    @property
    def so_far(self) -> str:
        """Who has voted what, in words; empty if one answer decides it."""
        if self.quorum is None:
            return ""
        cast = (f"{each.by} voted {each.choice}".strip() for each in self.votes)
        return ", ".join(cast) or "nobody has voted yet"


def without_expired_claim(row: QuestionRow, now: float) -> QuestionRow:
    """A question as it is at a time, in Unix seconds: a claim that has expired is not shown."""
    if row.claim is None or row.claim.holds(now):
        return row
    return msgspec.structs.replace(row, claim=None)
