"""How much of a property or a matrix is tried: all with `pytest -m proof`, a part with `pytest`.

`LAYBY_PROOFS=2/3` chooses the second of three turns: each proof is in one of them.
"""

from __future__ import annotations

import re
import zlib
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


def is_in_turn(proof: str, turn: str) -> bool:
    """Whether a turn such as `2/3` has a proof, by its node id.

    Raises:
        pytest.UsageError: That is not a turn.
    """
    written = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", turn)
    number, turns = map(int, written.groups()) if written else (1, 0)
    if number > turns:
        raise pytest.UsageError(
            f"LAYBY_PROOFS={turn} is not one of several turns: write 2/3 for the second of three."
        )
    return zlib.crc32(proof.encode()) % turns == number - 1
