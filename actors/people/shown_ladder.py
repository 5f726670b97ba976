"""A question's ladder as people see it: which rungs were reached, who was told, what is next."""

from __future__ import annotations

import msgspec

from ...bus.token import check_words
from ...runtime.ladder import NO_LADDER, Ladder, LadderRung
from ...runtime.ladder_records import RungKind
from ...runtime.times import check_times, iso


class ShownRung(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One rung.

    Attributes:
        kind: `asked`, `reminder` or `escalation`.
        at: When it is due.
        to: Who is asked too: `role:lead` or `person:cto`.
        held: When it would have been due but for quiet hours; empty: they did not hold it.
        reached: When it was reached; empty: not yet.
        told: Who was told, by name; empty: everybody with the role.
        absent: By the name of a delegate who was told: who is absent.
        nobody: Whether nobody was on duty.
        early: Whether it was reached before its time, because nobody was on duty before it, or
            nobody who was asked would answer.
        by: Who passed the question on, if that made the escalation.
        claimed: Whether only the person who had claimed the question was told.
    """

    kind: RungKind
    at: str
    to: str = ""
    held: str = ""
    reached: str = ""
    told: list[str] = []
    absent: dict[str, str] = {}
    nobody: bool = False
    early: bool = False
    by: str = ""
    claimed: bool = False

    def __post_init__(self) -> None:
        """Check the times and names. Raises ValueError."""
        check_times(self.at, self.held, self.reached)
        check_words(*self.told, *self.absent, *self.absent.values(), self.by)


class ShownTo(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Where a question was published for a role that it was escalated to."""

    since: float
    """When it could first be answered there, Unix seconds by the server's clock."""
    seq: int
    """Where it was published, in the stream QUESTIONS."""


def shown_ladder(ladder: Ladder | None) -> tuple[ShownRung, ...]:
    """The rungs of a question; none if it has no ladder."""
    return tuple(map(_shown, (ladder or NO_LADDER).rungs))


def _shown(rung: LadderRung) -> ShownRung:
    return ShownRung(
        kind=rung.kind,
        at=iso(rung.at),
        to=rung.to,
        held=iso(rung.held) if rung.held else "",
        reached=iso(rung.reached) if rung.reached else "",
        told=list(rung.told),
        absent=dict(rung.absent),
        nobody=rung.nobody,
        early=rung.early,
        by=rung.by,
        claimed=rung.claimed,
    )
