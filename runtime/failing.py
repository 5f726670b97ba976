"""A failure as a question to a person: retry, edit the input, skip with a value, or fail."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, NamedTuple, TypeAlias, cast, get_type_hints

from typing_extensions import TypedDict

from .errors import StepFailed
from .failure import failure_of, reason_of
from .values import BadValue, dump, load

_LONGEST = 4_000


@dataclass(frozen=True, kw_only=True)
class AskOnFailure:
    """Who is asked what to do about a failure, and for how long; silence fails it."""

    role: str = "developer"
    timeout: str | float | timedelta = "4h"


class Edit(TypedDict):
    """Try again with another input."""

    edit: list[Any]


class Skip(TypedDict):
    """Go on with this value in the place of a result."""

    skip: Any


Decision: TypeAlias = Literal["retry", "fail"] | Edit | Skip
"""What a person decides about a failure."""


class Decided(NamedTuple):
    """A decision as it is carried out."""

    kind: str
    """`retry`, `edit`, `skip` or `fail`."""
    value: Any = None
    """The input, or what stands for the result."""


def decision_of(answer: Any) -> Decided:
    """What an answer of the form `Decision` means; None, nobody's, is to fail."""
    if isinstance(answer, dict):
        [(kind, value)] = cast("dict[str, Any]", answer).items()
        return Decided(kind, value)
    return Decided(answer or "fail")


def policy_of(on_failure: AskOnFailure | Literal["ask"]) -> AskOnFailure:
    """What `on_failure=` means."""
    return on_failure if isinstance(on_failure, AskOnFailure) else AskOnFailure()


def question_of(step: str, failed: StepFailed, args: Sequence[Any]) -> tuple[str, str]:
    """What a person is asked about a step that failed, and what they need to know."""
    try:
        shown = json.dumps(json.loads(bytes(dump(list(args)))), ensure_ascii=False)
    except BadValue:
        shown = "not to be shown as JSON"
    question = (
        f"Step {step!r} failed: {reason_of(failure_of(failed))}. Answer `retry` or `fail`, "
        '{"edit": [the input]} to try with another input, or {"skip": value} to go on with a value.'
    )
    return question, f"input: {shown}"[:_LONGEST]


def edited(fn: Callable[..., Any], values: Sequence[Any]) -> list[Any]:
    """The input that a person sent, as `fn` takes it. Raises BadValue."""
    names = [parameter.name for parameter in inspect.signature(fn).parameters.values()]
    try:
        hints = get_type_hints(getattr(fn, "func", fn))
    except (NameError, TypeError, AttributeError):
        hints = {}
    wanted = [hints.get(name, Any) for name in names] + [Any] * len(values)
    return [load(dump(value), each) for value, each in zip(values, wanted, strict=False)]
