"""How many people decide a question, and who they are. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

import msgspec


class Quorum(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What it takes to decide a question that several people answer."""

    number: int
    """Votes for the same choice, by as many people."""
    groups: dict[str, int] = {}
    """By role: how many of these votes must come from it. Empty: one role is asked."""
    veto: bool = False
    """Whether the first rejection decides."""
    exclude: list[str] = []
    """Who has no vote."""
    people: dict[str, list[str]] = {}
    """By role: who was in it when the question was asked. In a role that is missing here: anybody
    whom the server lets answer for it."""
    signed: list[str] = []
    """Roles whose votes must be signed."""

    def may_vote(self, role: str) -> list[str] | None:
        """Who has a vote for a role; None: anybody but those who are excluded."""
        if role not in self.people:
            return None
        return [person for person in self.people[role] if person not in self.exclude]


class Cast(Protocol):
    """What counting needs to know about a vote."""

    @property
    def by(self) -> str:
        """Who voted."""
        ...

    @property
    def role(self) -> str:
        """The role that the vote counts for."""
        ...


class Decided(Protocol):
    """Who decides a question: what this module needs to know about it."""

    @property
    def role(self) -> str:
        """The role that is asked first."""
        ...

    @property
    def quorum(self) -> Quorum | None:
        """What it takes to decide it; None: one answer."""
        ...


def roles_of(question: Decided) -> tuple[str, ...]:
    """The roles that are asked."""
    quorum = question.quorum
    if quorum is None or not quorum.groups:
        return (question.role,)
    others = (role for role in quorum.groups if role != question.role)
    return (question.role, *others)


def is_reached(quorum: Quorum, votes: Collection[Cast]) -> bool:
    """Whether votes for one choice are enough."""
    return len(votes) >= quorum.number and not any(_missing(quorum, votes).values())


def is_reachable(
    quorum: Quorum, asked: Iterable[str], votes: Collection[Cast], voted: Collection[str]
) -> bool:
    """Whether the votes for one choice may still become enough.

    `asked` are the roles that are asked, and `voted` everybody who has voted. Somebody who is in
    two groups has one vote.
    """
    free: dict[str, set[str]] = {}
    is_open = False
    for role in asked:
        people = quorum.may_vote(role)
        if people is None:
            is_open = True
        else:
            free[role] = set(people).difference(voted)
    left = len(set[str]().union(*free.values()))
    if not is_open and len(votes) + left < quorum.number:
        return False
    missing = _missing(quorum, votes)
    seats = [role for role, count in missing.items() if role in free for _ in range(count)]
    return _can_seat(seats, free)


def _missing(quorum: Quorum, votes: Iterable[Cast]) -> dict[str, int]:
    """By group: how many votes it lacks."""
    roles = [vote.role for vote in votes]
    return {role: max(0, count - roles.count(role)) for role, count in quorum.groups.items()}


def _can_seat(seats: Sequence[str], free: dict[str, set[str]]) -> bool:
    """Whether each seat gets a person of its role, and nobody two: matching by augmentation."""
    sits: dict[str, int] = {}

    def place(seat: int, tried: set[str]) -> bool:
        for person in sorted(free[seats[seat]] - tried):
            tried.add(person)
            if person not in sits or place(sits[person], tried):
                sits[person] = seat
                return True
        return False

    return all(place(seat, set()) for seat in range(len(seats)))


def standing(quorum: Quorum, votes: Collection[Cast]) -> str:
    """How many of the votes that it needs a choice has, in words."""
    roles = [vote.role for vote in votes]
    parts = [
        f"{role} {min(count, roles.count(role))} of {count}"
        for role, count in quorum.groups.items()
    ]
    if quorum.number > sum(quorum.groups.values()):
        parts.insert(0, f"{len(votes)} of {quorum.number}")
    return ", ".join(parts)


def terms(question: Decided) -> str:
    """Who decides a question together, in words; empty if one answer decides it."""
    quorum = question.quorum
    if quorum is None:
        return ""
    groups = [f"{count} of {role}" for role, count in quorum.groups.items()]
    if not groups:
        who = f"{quorum.number} of {question.role}"
    elif quorum.number > sum(quorum.groups.values()):
        who = f"{quorum.number} people, among them {' and '.join(groups)}"
    else:
        who = " and ".join(groups)
    veto = "; one rejection is enough" if quorum.veto else ""
    excluded = f"; not by {', '.join(quorum.exclude)}" if quorum.exclude else ""
    return f"decided by {who}{veto}{excluded}"


def may_answer_for(question: Decided, person: str) -> list[str]:
    """The roles for which a person may answer, by what the question says of them."""
    quorum = question.quorum
    roles = list(roles_of(question))
    if quorum is None:
        return roles
    voters = {role: quorum.may_vote(role) for role in roles if person not in quorum.exclude}
    return [role for role, people in voters.items() if people is None or person in people]
