"""A question's ladder as the log has it: its rungs, and which of them were reached."""

from __future__ import annotations

import msgspec

from .ladder_records import ESCALATION, RungKind

ROLE = "role:"
"""How a rung names a role: `role:lead`."""
PERSON = "person:"
"""How a rung names a person: `person:cto`."""


class LadderRung(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One rung; see `PlannedRung`."""

    kind: RungKind
    at: float
    held: float = 0.0
    to: str = ""
    rota: str = ""
    of: str = ""
    """If somebody passed the question to a person: the role for which they are asked; empty:
    the role that was asked first."""
    by: str = ""
    """Who passed the question on; empty: it was planned."""
    reached: float = 0.0
    """When it was reached, Unix seconds; 0: not yet."""
    told: list[str] = []
    absent: dict[str, str] = {}
    nobody: bool = False
    early: bool = False
    claimed: bool = False

    @property
    def role(self) -> str:
        """The role that it asks too; empty: none."""
        return self.to.removeprefix(ROLE) if self.to.startswith(ROLE) else self.of

    @property
    def sort(self) -> tuple[RungKind, bool]:
        """Its kind, and whether somebody made it by passing the question on."""
        return self.kind, bool(self.by)


class Ladder(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """The ladder of one question."""

    to: str = ""
    """The person that the question is meant for, `person:ada`; empty: everybody with the role."""
    urgent: bool = False
    rungs: list[LadderRung] = []

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that the question has been escalated to, in order."""
        return tuple(dict.fromkeys(each.role for each in self.rungs if each.reached and each.role))

    def was_reached(self, place: int) -> bool:
        """Whether there is no such rung, or it was reached."""
        return not 0 <= place < len(self.rungs) or bool(self.rungs[place].reached)

    def number_of(self, place: int) -> int:
        """The number of a rung among those of its kind, from 1; passes are counted separately."""
        kind = self.rungs[place].sort
        return sum(each.sort == kind for each in self.rungs[: place + 1])

    def next_escalation(self, after: int) -> int | None:
        """The place of the first escalation after a rung that was not reached; None: none is."""
        for place, rung in enumerate(self.rungs):
            if place > after and rung.kind == ESCALATION and not rung.reached:
                return place
        return None


NO_LADDER = Ladder()
"""The ladder of a question that has none. Do not change it."""
