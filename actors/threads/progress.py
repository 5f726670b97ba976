"""The progress of a network: its turns, and the states that they and its router have changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from ..state.merge import Change, Refusal, StateConflict, merge
from ..state.patch import Json, Op, applied
from ..state.state import OWN, SHARED, StateType, located, whole
from .turn import Decision, TurnResult


class Played(NamedTuple):
    """A finished turn."""

    settled: int
    """The position in the log at which it ended."""
    turn: TurnResult


class Progress:
    """The turns of a network so far, and its states now."""

    def __init__(self, kind: StateType, state: Json) -> None:
        self.turns: list[TurnResult] = []
        self.values = kind.completed(state)
        self.agent_states: dict[str, Json] = {}
        """The agents' own states, by agent."""
        self._kind = kind
        self._start = self.values

    @property
    def changes(self) -> list[Op]:
        """The changes to the network's state."""
        return self._kind.changes(self._start, self.values)

    def decided(self, decision: Decision) -> None:
        """Apply the changes of the router's tools."""
        if decision.changes is None:
            self.values = {**self.values, **decision.state}
        else:
            self.values = applied(self.values, decision.changes)

    def played(self, round_: Sequence[Played]) -> None:
        """Add the turns of one round, which ran in parallel.

        Raises:
            StateConflict: two of them changed the same part of a state.
        """
        before = {SHARED: self.values, OWN: self.agent_states}
        merged = merge(before, self._changes(round_), self._kind)
        for refusal in merged.refused.values():
            raise StateConflict(_message_of(refusal))
        self.values, self.agent_states = merged.values[SHARED], merged.values[OWN]
        for _, turn in round_:
            self.turns.append(turn)
            self.values = {**turn.state, **self.values}  # defaults that a nested network filled in

    def _changes(self, round_: Sequence[Played]) -> list[Change]:
        """The turns' changes in the order of the log; of old releases, in the router's order."""
        found = [
            (
                turn.changes is not None,
                settled if turn.changes is not None else 0,
                self._change(n, turn),
            )
            for n, (settled, turn) in enumerate(round_)
        ]
        return [change for *_, change in sorted(found, key=lambda each: each[:2])]

    def _change(self, n: int, turn: TurnResult) -> Change:
        if turn.changes is None:
            shared, own = whole(turn.state), whole(turn.agent_state)
        else:  # computed again, in case a field has got a reducer since
            shared = self._kind.changes(self.values, applied(self.values, turn.changes))
            own = turn.own_changes or []
        return Change(
            key=str(n),
            who=f"agent {turn.agent!r}",
            ops=located(shared, [_of(turn.agent, op) for op in own]),
            whole=turn.changes is None,
        )


def _of(agent: str, op: Op) -> Op:
    return msgspec.structs.replace(op, path=[agent, *op.path])


def _message_of(refusal: Refusal) -> str:
    return (
        f"{refusal.who} and {refusal.other} ran in parallel, and the changes of the first to "
        f"the state cannot be kept: {refusal}. Let one run after the other, have them change "
        "different parts, or give the field a reducer: Annotated[..., merge]"
    )
