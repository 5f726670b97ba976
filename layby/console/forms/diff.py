"""Two texts, line by line, for people."""

from __future__ import annotations

import difflib
import json
from typing import Any, Literal, NamedTuple

from ...tools.argument_text import visible

_MOST = 2_000
"""Lines of each text; of longer ones the rest is not compared."""
_AROUND = 3


class Line(NamedTuple):
    """One line of a diff."""

    kind: Literal["same", "old", "new", "gap"]
    text: str


def diff(old: str, new: str, around: int = _AROUND) -> list[Line]:
    """What changed between two texts, with some lines around it; empty if nothing did.

    Characters that hide or reorder others are escaped.
    """
    before, after = old.split("\n")[:_MOST], new.split("\n")[:_MOST]
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    found: list[Line] = []
    for group in matcher.get_grouped_opcodes(around):
        if found:
            found.append(Line("gap", "…"))
        for tag, start, end, first, last in group:
            if tag == "equal":
                found += [Line("same", _shown(line)) for line in before[start:end]]
            else:
                found += [Line("old", _shown(line)) for line in before[start:end]]
                found += [Line("new", _shown(line)) for line in after[first:last]]
    return found


def value_diff(old: Any, new: Any) -> list[Line]:
    """What changed between two JSON values; texts of several lines are compared line by line."""
    return diff(_text(old), _text(new))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, indent=2, ensure_ascii=False)


def _shown(line: str) -> str:
    return "\t".join(visible(part) for part in line.split("\t"))
