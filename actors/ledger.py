"""What the calls of one response have changed of the state, as the log has it.

Each call, and each hook around it, gets a view of its own when it first touches the state: what is
recorded by then. Its changes count once they are recorded, so that what a call has changed whose
worker dies is never seen by another. The order is the log's, not that of the calls, so that every
pass and every worker comes to the same state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..runtime.state import Slot
from .merge import Change, Merged
from .patch import Json, Op, as_json, diff
from .state import OWN, SHARED, Values

Find = Callable[[str], Slot | None]
"""What the log says of a key."""
_NOT_YET = 1 << 62
"""The position of what is recorded, but not appended yet."""


class Ledger:
    """The recorded changes of one response."""

    def __init__(self, values: Values, find: Find) -> None:
        self.values = values
        self._find = find
        self._changes: dict[str, Change] = {}

    def note(self, change: Change) -> None:
        """Take a change that is recorded; the order of calls is that in which they are recorded."""
        self._changes.setdefault(change.key, change)

    def forget(self, key: str) -> None:
        """Leave a change out: another record holds it too."""
        self._changes.pop(key, None)

    def merged(self) -> Merged:
        """The state that they lead to."""
        return self.values.merged(sorted(self._changes.values(), key=self._position))

    def _position(self, change: Change) -> tuple[bool, int, int]:
        """Where it is in the log; whole values come first, in the order of the calls."""
        if change.whole:
            return False, 0, 0
        slot = self._find(change.key)
        if slot is None or not slot.settled:
            return True, _NOT_YET, 0
        return True, slot.settled, slot.place

    def view(self) -> View:
        """A view of what is recorded now."""
        return View(self.values, self.merged(), frozenset(self._changes))


class Changes(NamedTuple):
    """What user code has changed of the two states."""

    shared: list[Op]
    own: list[Op]


class View:
    """A copy of the states in user code's hands."""

    def __init__(self, values: Values, merged: Merged, seen: frozenset[str]) -> None:
        self._kind = values.kind
        self.seen = seen
        """The keys of the changes that it contains, or would if they had been kept."""
        self.state: Any = self._kind.shown(merged.values[SHARED])
        self.agent_state: Json = as_json(merged.values[OWN])
        self._before = self._kind.plain(self.state)
        self._own_before = merged.values[OWN]

    def changes(self, state: Json | None = None, own: Json | None = None) -> Changes:
        """What was changed; `state` and `own` are set on top. Raises ToolError for a misfit."""
        after = self._kind.plain(self.state)
        if state:
            after = self._kind.plain(self._kind.shown({**after, **state}))
        mine = {**as_json(self.agent_state), **(own or {})}
        return Changes(self._kind.changes(self._before, after), diff(self._own_before, mine))

    @property
    def is_changed(self) -> bool:
        """Whether there are changes; True too while it is in no fit form to tell."""
        try:
            return any(self.changes())
        except Exception:  # noqa: BLE001  a state that does not fit, or changes right now
            return True
