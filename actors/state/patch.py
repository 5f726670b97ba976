"""Changes of a state as operations on paths: how they are found, encoded and applied. Pure.

A state is JSON data: nested objects. Items of a list have no path of their own: a list is appended
to, or set as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias, cast

import msgspec

from ...runtime.values import dump, load

Json: TypeAlias = dict[str, Any]


class Op(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One operation of a change."""

    op: Literal["set", "remove", "append", "merge"]
    path: list[str]
    """The keys that lead to the value."""
    value: Any = None
    """The value to set, or the list of items to append."""
    base: Any = None
    """For a `merge`, which needs a reducer: the value that the writer found."""


def as_json(state: Any) -> Json:
    """A copy of a dict, by way of JSON. Raises BadValue for values without a JSON form."""
    return dict(load(dump(state), dict[str, Any]))


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: 1, 1.0 and true all differ."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        here, there = cast("Json", one), cast("Json", other)
        return here.keys() == there.keys() and all(same(v, there[k]) for k, v in here.items())
    if isinstance(one, list):
        mine, theirs = _list(one), _list(other)
        return len(mine) == len(theirs) and all(map(same, mine, theirs))
    return bool(one == other)


def _list(value: Any) -> list[Any]:
    return cast("Any", value) if isinstance(value, list) else []


def diff(before: Json, after: Json, reduced: Iterable[str] = ()) -> list[Op]:
    """The operations that lead from one state to the other; `reduced` fields are merged whole."""
    fields = [field for field in reduced if not same(before.get(field), after.get(field))]
    merges = [
        Op(op="merge", path=[field], value=after.get(field), base=before.get(field))
        for field in fields
    ]
    apart = frozenset(reduced)
    return merges + _diff(
        {k: v for k, v in before.items() if k not in apart},
        {k: v for k, v in after.items() if k not in apart},
        [],
    )


def _diff(before: Json, after: Json, path: list[str]) -> list[Op]:
    ops = [Op(op="remove", path=[*path, key]) for key in before if key not in after]
    for key, value in after.items():
        here = [*path, key]
        if key not in before:
            ops.append(Op(op="set", path=here, value=value))
        else:
            ops += _between(before[key], value, here)
    return ops


def _between(old: Any, new: Any, path: list[str]) -> list[Op]:
    if same(old, new):
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        return _diff(cast("Json", old), cast("Json", new), path)
    if isinstance(old, list) and isinstance(new, list):
        known, longer = _list(old), _list(new)
        if same(known, longer[: len(known)]):
            return [Op(op="append", path=path, value=longer[len(known) :])]
    return [Op(op="set", path=path, value=new)]


def applied(state: Json, ops: Iterable[Op]) -> Json:
    """The state after a change; the state before stays as it is."""
    for op in ops:
        state = _applied(state, op, 0)
    return state


def _applied(state: Json, op: Op, depth: int) -> Json:
    """A copy of the path's objects; the rest is shared with the state before."""
    after, key = dict(state), op.path[depth]
    if depth < len(op.path) - 1:
        inner = after.get(key)
        after[key] = _applied(cast("Json", inner) if isinstance(inner, dict) else {}, op, depth + 1)
    elif op.op == "remove":
        after.pop(key, None)
    elif op.op == "append":
        old = after.get(key)
        after[key] = [*_list(old), *op.value]
    else:
        after[key] = op.value
    return after


def clash(op: Op, others: Sequence[Op]) -> list[str] | None:
    """The path at which `op` and one of the others clash; None: they do not."""
    for other in others:
        both_append = op.op == other.op == "append" and op.path == other.path
        depth = min(len(op.path), len(other.path))
        if op.path[:depth] == other.path[:depth] and not both_append:
            return op.path if len(op.path) > len(other.path) else other.path
    return None
