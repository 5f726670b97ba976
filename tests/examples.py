"""How much of a property or a matrix is tried: all with `pytest -m proof`, a part with `pytest`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import pytest

_PART = 5
"""The command without options tries one example of so many."""
_LEAST = 10

_in_part = False


def take_a_part() -> None:
    """Try a part of the examples from now on: before a file with properties is imported."""
    global _in_part  # noqa: PLW0603  each process decides once
    _in_part = True


def examples(full: int) -> int:
    """How many examples of `full` are tried here."""
    return min(full, max(_LEAST, full // _PART)) if _in_part else full


def proofs_but(first: int, cases: Iterable[Any]) -> list[Any]:
    """The cases of a matrix, for `parametrize`: all but the `first` ones are proofs."""
    found: list[Any] = []
    for number, case in enumerate(cases):
        values = cast("tuple[object, ...]", case) if isinstance(case, tuple) else (case,)
        found.append(pytest.param(*values, marks=[pytest.mark.proof] if number >= first else []))
    return found
