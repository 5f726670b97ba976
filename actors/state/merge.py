"""Merges parallel changes to a state into one state. Pure.

Changes apply in the order of the log. Each names the changes that its writer had seen. If it meets
an unseen change at the same path, the field's reducer merges the two, or the later change is
refused as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol, cast

from ...runtime.errors import LaybyError
from .patch import Json, Op, applied, clash


class StateConflict(LaybyError):
    """Two agents that ran in parallel changed the same part of the state."""

    retryable = False


class Rules(Protocol):
    """The rules of a state's type for merging."""

    def reduced(self, path: list[str], base: Any, current: Any, written: Any) -> Any:
        """The value to which the field's reducer merges two. Raises ValueError when it fails."""
        ...

    def misfit(self, values: Json) -> str:
        """Why the values do not fit the type; empty when they do."""
        ...


class Change(NamedTuple):
    """The changes of one writer."""

    key: str
    """The key of its record."""
    who: str
    """The writer's name, for people and models."""
    ops: list[Op]
    seen: frozenset[str] = frozenset()
    """The keys of the changes that the writer's view contained."""
    whole: bool = False
    """Whether an old release recorded it, with whole values, of which the last one counts."""


class Refusal(NamedTuple):
    """Why a change was not kept."""

    who: str
    path: list[str]
    other: str
    """The name of the writer that changed it in the meantime."""
    problem: str = ""
    """Why the two do not fit together; empty: they changed the same path."""

    def __str__(self) -> str:
        where = ".".join(self.path[1:] if self.path[0] == "state" else self.path)
        if self.problem:
            return f"it does not fit what {self.other} changed in the meantime: {self.problem}"
        return f"{self.other} changed `{where}` in the meantime"


class Merged(NamedTuple):
    """The state that results from changes."""

    values: Json
    refused: dict[str, Refusal]
    """The changes that were refused, by their keys."""


def merge(base: Json, changes: Iterable[Change], rules: Rules) -> Merged:
    """Apply changes, which must be in the order of the log."""
    merging = _Merging(base, rules)
    for change in changes:
        merging.take(change)
    return Merged(merging.values, merging.refused)


class _Merging:
    def __init__(self, base: Json, rules: Rules) -> None:
        self.values = base
        self.refused: dict[str, Refusal] = {}
        self._rules = rules
        self._before: list[Change] = []

    def take(self, change: Change) -> None:
        """Apply a change, or refuse it."""
        refusal = self._apply(change) if change.ops else None
        if refusal is not None:
            self.refused[change.key] = refusal
        self._before.append(change)

    def _apply(self, change: Change) -> Refusal | None:
        """Make the change; why it is refused, None if it is not."""
        if change.whole:
            self.values = applied(self.values, change.ops)
            return None
        unseen = [each for each in self._before if self._is_news(each, change)]
        ops: list[Op] = []
        for op in change.ops:
            settled = self._settled(op, change, unseen)
            if isinstance(settled, Refusal):
                return settled
            ops.append(settled)
        after = applied(self.values, ops)
        problem = self._rules.misfit(after) if unseen else ""
        if problem:
            return Refusal(change.who, change.ops[0].path, unseen[-1].who, problem)
        self.values = after
        return None

    def _is_news(self, other: Change, change: Change) -> bool:
        """Whether the writer of `change` was wrong about `other`.

        Either it had not seen `other`, which was kept, or it had seen it, and `other` was refused.
        """
        return bool(other.ops) and (other.key in self.refused) == (other.key in change.seen)

    def _settled(self, op: Op, change: Change, unseen: list[Change]) -> Op | Refusal:
        """The operation after merging it with the unseen changes, or why it is refused."""
        for other in unseen:
            path = clash(op, other.ops)
            if path is None:
                continue
            if op.op != "merge" or other.key in self.refused:
                return Refusal(change.who, path, other.who)
            try:
                value = self._rules.reduced(op.path, op.base, _at(self.values, op.path), op.value)
            except ValueError as error:
                return Refusal(change.who, path, other.who, str(error))
            return Op(op="set", path=op.path, value=value)
        return op


def _at(values: Json, path: list[str]) -> Any:
    found: Any = values
    for key in path:
        found = cast("Json", found).get(key) if isinstance(found, dict) else None
    return found
