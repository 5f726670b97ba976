"""The asker can read every answer that is accepted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from layby.runtime.forms import answer_value, fit, schema_of
from layby.runtime.values import BadValue


class Tree(BaseModel):
    below: list[Tree] = []


def _nested(levels: int) -> str:
    return '{"below": [' * levels + "]}" * levels


def _deep(calls: int, work: Callable[[], Any]) -> Any:
    """What `work` returns, that many calls further down."""
    return work() if not calls else _deep(calls - 1, work)


def test_an_answer_that_was_accepted_is_read_by_a_body_that_is_deep_in_calls() -> None:
    accepted = [n for n in range(1, 240) if not fit(_nested(n), schema_of(Tree))]
    assert 10 in accepted
    deepest = _nested(max(accepted))
    assert isinstance(_deep(400, lambda: answer_value(deepest, Tree)), Tree)


def test_an_answer_that_cannot_be_checked_is_a_bad_value() -> None:
    """A log of an earlier release may hold one."""
    with pytest.raises(BadValue, match="is not a"):
        answer_value(_nested(900), Tree)
