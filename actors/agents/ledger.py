"""The changes that the calls of one response have made to the state, as the log has them.

Each call, and each hook around it, gets a view of its own when it first accesses the state: what is
recorded by then. Its changes count once they are recorded, so another call never sees the changes
of one whose worker died. Changes apply in the order of the log, not of the calls, so every pass and
every worker arrives at the same state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ...runtime.state import Slot
from ..state.merge import Change, Merged
from ..state.patch import Json, Op, as_json, diff
from ..state.state import OWN, SHARED, Values

Find = Callable[[str], Slot | None]
"""Looks a key up in the log."""
_NOT_YET = 1 << 62
"""The position of a change that is recorded but not appended yet."""


class Ledger:
    """The recorded changes of one response."""

    def __init__(self, values: Values, find: Find) -> None:
        self.values = values
        self._find = find
        self._changes: dict[str, Change] = {}

    def note(self, change: Change) -> None:
        """Add a recorded change."""
        self._changes.setdefault(change.key, change)

    def forget(self, key: str) -> None:
        """Leave out a change that another record also contains."""
        self._changes.pop(key, None)

    def merged(self) -> Merged:
        """The state that results from the changes."""
        return self.values.merged(sorted(self._changes.values(), key=self._position))

    def _position(self, change: Change) -> tuple[bool, int, int]:
        """A change's position in the log; whole values come first, in the order of the calls."""
        if change.whole:
            return False, 0, 0
        slot = self._find(change.key)
        if slot is None or not slot.settled:
            return True, _NOT_YET, 0
        return True, slot.settled, slot.place

    def view(self) -> View:
        """A view of the state that is recorded now."""
        return View(self.values, self.merged(), frozenset(self._changes))


class Changes(NamedTuple):
    """The changes that user code has made to the two states."""

    shared: list[Op]
    own: list[Op]


class View:
    """A copy of the states for user code, which may change it."""

    def __init__(self, values: Values, merged: Merged, seen: frozenset[str]) -> None:
        self._kind = values.kind
        self.seen = seen
        """The keys of the changes that it contains, or would contain if they had been kept."""
        self.state: Any = self._kind.shown(merged.values[SHARED])
        self.agent_state: Json = as_json(merged.values[OWN])
        self._before = self._kind.plain(self.state)
        self._own_before = merged.values[OWN]

    def changes(self, state: Json | None = None, own: Json | None = None) -> Changes:
        """What was changed, with `state` and `own` set on top. Raises ToolError for a misfit."""
        after = self._kind.plain(self.state)
        if state:
            after = self._kind.plain(self._kind.shown({**after, **state}))
        mine = {**as_json(self.agent_state), **(own or {})}
        return Changes(self._kind.changes(self._before, after), diff(self._own_before, mine))

    @property
    def is_changed(self) -> bool:
        """Whether there are changes; also True while that cannot be determined."""
        try:
            return any(self.changes())
        except Exception:  # noqa: BLE001  the state does not fit, or is being changed right now
            return True
