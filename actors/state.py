"""The state of a network: JSON in the log, the user's own type in the user's hands."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

from ..runtime.errors import InvalidSetup
from ..runtime.failure import told
from ..runtime.values import dump, load
from ..tools.errors import ToolError


class StateType:
    """Turns a state into its JSON and back. Without a type, a state is a plain dict."""

    def __init__(self, wanted: Any = None) -> None:
        """Take a pydantic model, dataclass or TypedDict. Raises InvalidSetup for anything else."""
        self._adapter: Any = None
        self.fields: frozenset[str] | None = None
        """The names of its fields; None: any."""
        if wanted is None:
            return
        from pydantic import TypeAdapter  # noqa: PLC0415  slow to load, and not always needed
        from pydantic.errors import PydanticUserError  # noqa: PLC0415

        try:
            self._adapter = TypeAdapter(wanted)
            schema = self._adapter.json_schema()
        except PydanticUserError as error:
            raise InvalidSetup(f"no state can have the type {wanted!r}: {error}") from None
        if "properties" not in schema and "$ref" not in schema:
            raise InvalidSetup(f"a state has named fields: {wanted!r} is no model or dataclass")
        self.fields = frozenset(schema["properties"]) if "properties" in schema else None

    def opening(self, given: Any) -> dict[str, Any]:
        """The first state of a run, defaults filled in. Raises InvalidSetup for a bad one."""
        if self._adapter is None:
            return dict(load(dump(given or {}), dict[str, Any]))
        try:
            return self._written({} if given is None else given)
        except ValueError as error:  # pydantic's is one
            raise InvalidSetup(f"the initial state does not fit: {told(error)}") from None

    def shown(self, values: dict[str, Any]) -> Any:
        """A copy for the user's code. Raises ValueError when the values do not fit."""
        if self._adapter is None:
            return copy.deepcopy(values)
        return self._adapter.validate_json(bytes(dump(values)), by_alias=True, by_name=True)

    def changes(self, before: dict[str, Any], shown: Any) -> dict[str, Any]:
        """What user code has changed, as JSON. Raises ToolError when it does not fit the type."""
        if self._adapter is None:
            after = shown
        else:
            try:
                after = self._written(shown)
            except ValueError as error:
                raise ToolError(f"the state does not fit any more: {told(error)}") from None
        return {k: v for k, v in after.items() if k not in before or before[k] != v}

    def _written(self, value: Any) -> dict[str, Any]:
        """Its JSON, validated on the way: a changed field of a model was not."""
        plain = self._adapter.dump_json(value, warnings=False)
        again = self._adapter.validate_json(plain, by_alias=True, by_name=True)
        written: dict[str, Any] = self._adapter.dump_python(again, mode="json")
        return written


class Changes(NamedTuple):
    """What user code has set, as JSON data."""

    state: dict[str, Any]
    agent_state: dict[str, Any]


class Values:
    """The states that a turn works on: the network's, and the agent's own."""

    def __init__(
        self, kind: StateType, shared: dict[str, Any], own: dict[str, Any] | None = None
    ) -> None:
        self.kind = kind
        self.shared = dict(shared)
        self.own = dict(own or {})
        self.changed: dict[str, Any] = {}
        self.own_changed: dict[str, Any] = {}

    def take(self, state: dict[str, Any], agent_state: dict[str, Any]) -> None:
        """Apply the recorded changes of a call."""
        self.shared.update(state)
        self.changed.update(state)
        self.own.update(agent_state)
        self.own_changed.update(agent_state)

    def with_changes(self, state: dict[str, Any], agent_state: dict[str, Any]) -> Values:
        """The values as they are after these changes, which are not recorded with the turn yet."""
        return Values(self.kind, {**self.shared, **state}, {**self.own, **agent_state})

    def view(self) -> View:
        """A copy for user code to read and change."""
        return View(self, self.kind.shown(self.shared), copy.deepcopy(self.own))


class View:
    """A copy of the states in user code's hands."""

    def __init__(self, values: Values, state: Any, agent_state: dict[str, Any]) -> None:
        self._kind = values.kind
        self._before = copy.deepcopy(values.shared)
        self._own_before = copy.deepcopy(values.own)
        self.state = state
        self.agent_state = agent_state

    def changes(self) -> Changes:
        """What was changed. Raises ToolError when it does not fit."""
        own = {
            k: v
            for k, v in self.agent_state.items()
            if k not in self._own_before or self._own_before[k] != v
        }
        return Changes(self._kind.changes(self._before, self.state), own)
