"""What changed between two values, line by line. Pure."""

from __future__ import annotations

import difflib
from typing import Any, Literal, NamedTuple

import msgspec

_MOST_LINES = 4_000
"""Lines of a value that are compared; more would keep everybody else waiting."""
_AROUND = 3


class Line(NamedTuple):
    """One line of a comparison."""

    kind: Literal["same", "old", "new", "cut"]
    """`cut` stands for lines that are left out."""
    text: str


def json_lines(value: Any) -> list[str]:
    """A value as indented JSON."""
    text = msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2).decode()
    return text.splitlines()


def diff(before: list[str], after: list[str]) -> list[Line]:
    """The lines of both, those that differ marked."""
    before, after = before[:_MOST_LINES], after[:_MOST_LINES]
    found: list[Line] = []
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=len(before) > _MOST_LINES // 8)
    for word, a, b, c, d in matcher.get_opcodes():
        if word == "equal":
            found += _context(before[a:b], first=a == 0, last=b == len(before))
        else:
            found += [Line("old", text) for text in before[a:b]]
            found += [Line("new", text) for text in after[c:d]]
    return found


def _context(lines: list[str], *, first: bool, last: bool) -> list[Line]:
    """Lines that are the same; of many, those next to a difference."""
    head, tail = 0 if first else _AROUND, 0 if last else _AROUND
    if len(lines) <= head + tail + 2:
        return [Line("same", text) for text in lines]
    left_out = len(lines) - head - tail
    middle = Line("cut", f"{left_out} lines are the same")
    return [
        *(Line("same", text) for text in lines[:head]),
        middle,
        *(Line("same", text) for text in lines[len(lines) - tail :]),
    ]
