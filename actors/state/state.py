"""The state of a network: JSON in the log, the user's own type for user code."""

from __future__ import annotations

import copy
from typing import Any

import msgspec

from ...runtime.errors import InvalidSetup
from ...runtime.failure import message_of
from ...runtime.values import dump
from ...tools.errors import ToolError
from .merge import Change, Merged, merge
from .patch import Json, Op, as_json, diff, same
from .reducer import Reducer, reducers_of


class StateType:
    """Converts a state to JSON and back. Without a type, a state is a plain dict."""

    def __init__(self, wanted: Any = None) -> None:
        """Accept a pydantic model, dataclass or TypedDict. Raises InvalidSetup for others."""
        self._adapter: Any = None
        self.fields: frozenset[str] | None = None
        """The names of its fields; None: any."""
        self._reducers: dict[str, Reducer] = {}
        if wanted is None:
            return
        from pydantic import TypeAdapter  # noqa: PLC0415  slow to load, and not always needed
        from pydantic.errors import PydanticUserError  # noqa: PLC0415

        try:
            self._adapter = TypeAdapter(wanted)
            schema = self._adapter.json_schema()
        except PydanticUserError as error:
            raise InvalidSetup(f"a state cannot have the type {wanted!r}: {error}") from None
        if "properties" not in schema and "$ref" not in schema:
            raise InvalidSetup(
                f"a state needs named fields, which {wanted!r} lacks: give a model or dataclass"
            )
        self.fields = frozenset(schema["properties"]) if "properties" in schema else None
        self._reducers = reducers_of(wanted)

    def opening(self, given: Any) -> dict[str, Any]:
        """A run's initial state, with defaults. Raises InvalidSetup if `given` does not fit."""
        if self._adapter is None:
            return as_json(given or {})
        try:
            return self._written({} if given is None else given)
        except ValueError as error:  # pydantic's is one
            raise InvalidSetup(f"the initial state does not fit: {message_of(error)}") from None

    def shown(self, values: dict[str, Any]) -> Any:
        """A copy for user code. Raises ValueError when the values do not fit."""
        if self._adapter is None:
            return copy.deepcopy(values)
        return self._adapter.validate_json(bytes(dump(values)), by_alias=True, by_name=True)

    def plain(self, shown: Any) -> Json:
        """The user's value as JSON data. Raises ToolError when it does not fit."""
        if self._adapter is None:
            return as_json(shown)
        try:
            return self._written(shown)
        except ValueError as error:
            raise ToolError(f"the state no longer fits: {message_of(error)}") from None

    def completed(self, values: Json) -> Json:
        """The values, with defaults for missing fields."""
        if self.fields is None or self.fields <= values.keys():
            return dict(values)
        try:
            return {**self._written(self.shown(values)), **values}
        except ValueError:  # `shown` reports it
            return dict(values)

    def changes(self, before: Json, after: Json) -> list[Op]:
        """The operations that lead from one state to the other."""
        return diff(before, after, self._reducers)

    # -- rules of merging ----------------------------------------------------------------------

    def reduced(self, path: list[str], base: Any, current: Any, written: Any) -> Any:
        """The value to which a field's reducer merges two. Raises ValueError when it fails."""
        reducer = self._reducers.get(path[-1])
        if reducer is None:
            raise ValueError("its field no longer has a reducer")
        try:
            return reducer.merged(base, current, written)
        except Exception as error:
            raise ValueError(f"its reducer failed: {message_of(error)}") from error

    def misfit(self, values: Json) -> str:
        """Why the states' values do not fit the type; empty when they do."""
        if self._adapter is None:
            return ""
        try:
            self.shown(values[SHARED])
        except ValueError as error:
            return message_of(error)
        return ""

    def _written(self, value: Any) -> dict[str, Any]:
        """Its JSON, validated: pydantic does not check assignments to a model's fields."""
        plain = self._adapter.dump_json(value, warnings=False)
        again = self._adapter.validate_json(plain, by_alias=True, by_name=True)
        written: dict[str, Any] = self._adapter.dump_python(again, mode="json")
        return written


SHARED = "state"
OWN = "agent_state"
"""The keys of the two states in what is merged: the network's, and the agent's own."""


class Values:
    """The states of a turn: the network's, and the agent's own."""

    def __init__(self, kind: StateType, shared: Json, own: Json | None = None) -> None:
        self.kind = kind
        self.shared = kind.completed(shared)
        self.own = dict(own or {})
        self._start, self._own_start = self.shared, self.own

    @property
    def both(self) -> Json:
        """Both states, as they are merged."""
        return {SHARED: self.shared, OWN: self.own}

    def merged(self, changes: list[Change]) -> Merged:
        """The states after parallel changes, which are in the order of the log."""
        return merge(self.both, changes, self.kind)

    def take(self, merged: Merged) -> None:
        """Continue with the merged states."""
        self.shared, self.own = merged.values[SHARED], merged.values[OWN]

    # -- since the turn began ------------------------------------------------------------------

    @property
    def changed(self) -> Json:
        """The keys of the network's state that were set, with their values."""
        return _set(self._start, self.shared)

    @property
    def own_changed(self) -> Json:
        """The keys of the agent's own state that were set, with their values."""
        return _set(self._own_start, self.own)

    def ops(self, changed: Json) -> list[Op]:
        """The changes to the network's state; `changed` is `self.changed`, or a hook's version."""
        if same(changed, self.changed):
            return self.kind.changes(self._start, self.shared)
        return self.kind.changes(self._start, {**self._start, **changed})

    def own_ops(self, changed: Json) -> list[Op]:
        """The changes to the agent's own state; `changed` is as for `ops`."""
        if same(changed, self.own_changed):
            return diff(self._own_start, self.own)
        return diff(self._own_start, {**self._own_start, **changed})


def _set(before: Json, after: Json) -> Json:
    return {k: v for k, v in after.items() if k not in before or not same(before[k], v)}


def located(shared: list[Op], own: list[Op]) -> list[Op]:
    """Operations on the two states as operations on what is merged."""
    return [_at(SHARED, op) for op in shared] + [_at(OWN, op) for op in own]


def _at(state: str, op: Op) -> Op:
    return msgspec.structs.replace(op, path=[state, *op.path])


def whole(values: Json) -> list[Op]:
    """Whole values, which earlier releases recorded, as operations."""
    return [Op(op="set", path=[key], value=value) for key, value in values.items()]
