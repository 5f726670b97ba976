"""The keys of what networks and agents record: which decision, turn, response or call it was.

A network's frame holds `route#0` (a decision), the parts of a routing agent's decision under it
(`route#0/model#0`, `route#0/tool#0.1`), and the turns that it led to (`turn#0.0`, `turn#0.1`).
An agent's frame holds `model#0` and `response#0` of each response, and of its second call
`before#0.1`, `approve#0.1`, `tool#0.1`, `failed#0.1`, `after#0.1`. A tool's own steps are under its
key: `tool#0.1/pay`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

ROUTE = "route"
TURN = "turn"
MODEL = "model"
RESPONSE = "response"
BEFORE = "before"
APPROVE = "approve"
TOOL = "tool"
FAILED = "failed"
AFTER = "after"
TOOLS = "tools"
HISTORY = "history"
FINISH = "finish"
_NUMBERED = (ROUTE, MODEL, RESPONSE)
_PLACED = (TURN, BEFORE, APPROVE, TOOL, FAILED, AFTER)
_NUMBER = r"(?:0|[1-9][0-9]{0,8})"
_KEY = re.compile(
    rf"(?:{ROUTE}#(?P<decision>{_NUMBER})/)?"
    rf"(?:(?P<kind>{'|'.join(_NUMBERED)})#(?P<number>{_NUMBER})"
    rf"|(?P<placed>{'|'.join(_PLACED)})#(?P<of>{_NUMBER})\.(?P<place>{_NUMBER}))"
    r"(?:/(?P<inner>.*))?",
    re.ASCII | re.DOTALL,
)


class Key(NamedTuple):
    """A key in its parts."""

    kind: str
    number: int
    """Which decision, round or response, from 0."""
    place: int | None = None
    """Which turn of the round, or call of the response, from 0; None if there is only one."""
    decision: int | None = None
    """The routing decision that it is part of; None outside of one."""

    @classmethod
    def parse(cls, text: str) -> tuple[Key, str] | None:
        """Parse a key, and the name under it: `tool#0.1/pay` is the step `pay` of a tool.

        None for a key that no network or agent writes, a step of a workflow for instance.
        """
        found = _KEY.fullmatch(text)
        if found is None:
            return None
        kind = found["kind"] or found["placed"]
        decision = None if found["decision"] is None else int(found["decision"])
        place = None if found["place"] is None else int(found["place"])
        return cls(kind, int(found["number"] or found["of"]), place, decision), found["inner"] or ""

    def of(self, kind: str) -> Key:
        """The key of another kind at the same place."""
        return self._replace(kind=kind)

    @property
    def inner(self) -> str:
        """The key without its routing decision."""
        return str(self._replace(decision=None))

    def __str__(self) -> str:
        place = "" if self.place is None else f".{self.place}"
        return f"{scope(self.decision)}{self.kind}#{self.number}{place}"


def is_asked(text: str) -> bool:
    """Whether a key is of a decision about a call: by its hook, or by people."""
    found = Key.parse(text)
    return found is not None and not found[1] and found[0].kind in {BEFORE, APPROVE, FAILED}


def scope(decision: int | None) -> str:
    """The prefix of keys within a routing decision; empty outside of one."""
    return "" if decision is None else f"{ROUTE}#{decision}/"
