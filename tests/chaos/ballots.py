"""Who wins by the order of the stream of answers alone. Pure.

It shares no line with what it judges, and looks at no log: it knows what the event asked for, when
each role was shown the question, and every byte that was sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .crowd import COLOURS, MEMBERS, Poll

ANSWERED, NO_QUORUM, OPEN = "answered", "no_quorum", "open"
UNKNOWN = "unknown_ticket or invalid"
LATE = "too_late or already_answered"
_SKEW = 1.0
"""Seconds before it is shown in which an answer that names a question may count."""


class Cast(NamedTuple):
    """An answer as the stream has it."""

    seq: int
    role: str
    by: str
    """The last word of its subject; empty: it has none."""
    at: float
    data: bytes


class Vote(NamedTuple):
    """One that counts."""

    seq: int
    by: str
    role: str
    choice: str


@dataclass
class Asked:
    """A question, and what has become of it so far."""

    id: str
    shown: Mapping[str, float]
    """By role: when it could be read there."""
    deadline: float
    poll: Poll | None
    """What it takes to decide it; None: the first answer."""
    votes: list[Vote] = field(default_factory=list[Vote])
    status: str = OPEN
    seq: int = 0
    """Of the answer that closed it."""
    text: str = ""
    winners: list[Vote] = field(default_factory=list[Vote])

    def was_closed(self, cast: Cast) -> bool:
        """Whether it was closed before an answer was stored."""
        return self.status != OPEN or cast.at > self.deadline

    @property
    def by(self) -> str:
        """Who decided it."""
        return ", ".join(vote.by for vote in self.winners)


class Ruling(NamedTuple):
    """What an answer must be told."""

    outcome: str
    """Two outcomes may be true: of an answer that names a question which its role was not asked,
    before it was asked any, and of one that came after both the decision and the deadline."""
    question: str = ""
    given: int = 0
    """Of a vote: how many there are for its choice with it."""


def ruled(asked: Sequence[Asked], casts: Iterable[Cast]) -> dict[int, Ruling]:
    """Judge the answers on one ticket, and bring its questions to where they leave them."""
    return {cast.seq: _ruling(asked, cast) for cast in sorted(casts)}


def _ruling(asked: Sequence[Asked], cast: Cast) -> Ruling:
    said = spoken(cast.data)
    if said is None:
        return Ruling("invalid")
    text, named = said
    mine = [each for each in asked if cast.role in each.shown]
    seen = [each for each in mine if each.shown[cast.role] <= cast.at]
    if not named:
        return _unnamed(seen, cast, text)
    meant = next((each for each in mine if each.id == named), None)
    if meant is None or meant.shown[cast.role] - _SKEW > cast.at:
        return Ruling("invalid" if seen else UNKNOWN)
    return _lost(meant, cast) if meant.was_closed(cast) else _counted(meant, cast, text)


def _unnamed(seen: Sequence[Asked], cast: Cast, text: str) -> Ruling:
    if not seen:
        return Ruling("unknown_ticket")
    opened = [each for each in seen if not each.was_closed(cast)]
    if len(opened) > 1:
        return Ruling("ambiguous")
    return _counted(opened[0], cast, text) if opened else _lost(seen[-1], cast)


def _lost(meant: Asked, cast: Cast) -> Ruling:
    if meant.status == OPEN:
        return Ruling("too_late", meant.id)
    return Ruling(LATE if cast.at > meant.deadline else "already_answered", meant.id)


def _counted(meant: Asked, cast: Cast, text: str) -> Ruling:
    poll = meant.poll
    if poll is None:
        _close(meant, ANSWERED, cast.seq, [Vote(cast.seq, cast.by, cast.role, text)])
        meant.text = text
        return Ruling("accepted", meant.id)
    choice = choice_of(poll, text)
    if not choice or not may_vote(poll, cast.role, cast.by):
        return Ruling("invalid", meant.id)
    if cast.by in {vote.by for vote in meant.votes}:
        return Ruling("already_voted", meant.id)
    meant.votes.append(Vote(cast.seq, cast.by, cast.role, choice))
    alike = [vote for vote in meant.votes if vote.choice == choice]
    meant.text = choice
    if is_enough(poll, alike) or (poll.veto and choice == "no"):
        _close(meant, ANSWERED, cast.seq, alike)
        return Ruling("accepted", meant.id, len(alike))
    if not any(may_win(poll, meant.votes, each) for each in choices(poll)):
        _close(meant, NO_QUORUM, cast.seq, [])
    return Ruling("counted", meant.id, len(alike))


def _close(meant: Asked, status: str, seq: int, winners: list[Vote]) -> None:
    meant.status, meant.seq, meant.winners = status, seq, winners


def spoken(data: bytes) -> tuple[str, str] | None:
    """What an answer says, and the question that it names; None: nothing."""
    try:
        text = data.decode().strip()
        if not text.startswith("{"):
            return (text, "") if text else None
        body: dict[str, Any] = json.loads(text)
    except ValueError:
        return None
    value = body.get("answer")
    if value is None or value == "":
        return None
    words = value if isinstance(value, str) else json.dumps(value)
    return words.strip(), body.get("questionId", "")


def choices(poll: Poll) -> tuple[str, ...]:
    """What people can vote for."""
    return COLOURS if poll.colours else ("yes", "no")


def choice_of(poll: Poll, text: str) -> str:
    """What a text votes for; empty: nothing."""
    if poll.colours:
        return text if text in COLOURS else ""
    return {"yes": "yes", "true": "yes", "no": "no", "false": "no"}.get(text.lower(), "")


def may_vote(poll: Poll, role: str, by: str) -> bool:
    """Whether somebody has a vote."""
    return bool(by) and by not in poll.exclude and by in MEMBERS.get(role, (by,))


def is_enough(poll: Poll, alike: Sequence[Vote]) -> bool:
    """Whether votes for one choice decide."""
    roles = [vote.role for vote in alike]
    return len(alike) >= poll.needed and all(
        roles.count(role) >= count for role, count in poll.groups.items()
    )


def may_win(poll: Poll, votes: Sequence[Vote], choice: str) -> bool:
    """Whether a choice may still win, by trying every way in which the others could vote."""
    alike = [vote for vote in votes if vote.choice == choice]
    voted = {vote.by for vote in votes}
    if any(role not in MEMBERS for role in poll.roles):
        return True
    left = sorted({by for role in poll.roles for by in MEMBERS[role]} - voted - {*poll.exclude})

    def tries(people: list[str], so_far: list[Vote]) -> bool:
        if is_enough(poll, so_far):
            return True
        if not people:
            return False
        by, *rest = people
        theirs = [role for role in poll.roles if by in MEMBERS[role]]
        return any(tries(rest, [*so_far, Vote(0, by, role, choice)]) for role in theirs)

    return tries(left, alike)
