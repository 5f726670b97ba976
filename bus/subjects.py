"""Subjects with wildcards."""

from __future__ import annotations


def overlaps(one: str, other: str) -> bool:
    """Whether two patterns have a subject in common."""
    left, right = one.split("."), other.split(".")
    for a, b in zip(left, right, strict=False):
        if ">" in {a, b}:
            return True
        if a != b and not {a, b} & {"*"}:
            return False
    return len(left) == len(right)
