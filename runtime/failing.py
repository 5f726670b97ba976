"""A failure as a question to a person: retry, edit the input, skip with a value, or fail."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal, NamedTuple, get_type_hints, overload

from .asking import Asking
from .duration import seconds
from .entry import Failure
from .errors import InvalidSetup, QuestionLimit, StepFailed
from .failure import failure_of, reason_of
from .values import BadValue, dump, load, returned_type

_LONGEST = 4_000


@dataclass(frozen=True, kw_only=True)
class AskOnFailure:
    """Who is asked what to do about a failure, and for how long; silence fails it."""

    role: str = "developer"
    timeout: str | float | timedelta = "4h"

    def __post_init__(self) -> None:
        """Refuse a time that is none. Raises InvalidDuration."""
        seconds(self.timeout)


class Decided(NamedTuple):
    """A decision as it is carried out."""

    kind: str
    """`retry`, `edit`, `skip` or `fail`."""
    value: Any = None
    """The input, or what stands for the result."""
    question: str = ""
    """The id of the question; empty where none could be asked."""


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """A failure as people are asked about it."""

    what: str
    """`Step 'pay'`."""
    failure: Failure
    input: Any
    edit: str
    """How an edited input is written: `[the input]`."""
    edited: Any
    """The type of an edited input."""
    fitted: Callable[[Decided], Decided]
    """An `edit` or `skip` as it is carried out. Raises BadValue for one that does not fit."""
    agent: str = ""
    """Whose failure it is; empty: the workflow's."""

    @property
    def question(self) -> str:
        """What is asked, in a line; how to answer, the form says."""
        return f"{self.what} failed: {reason_of(self.failure)}. What is to be done?"

    @property
    def context(self) -> str:
        """What there is to know."""
        try:
            shown = json.dumps(json.loads(bytes(dump(self.input))), ensure_ascii=False)
        except BadValue:
            shown = "not to be shown as JSON"
        return f"input: {shown}"[:_LONGEST]

    @property
    def _how(self) -> str:
        return (
            f'`retry` or `fail`, {{"edit": {self.edit}}} to try with another input, '
            'or {"skip": value} to go on with a value'
        )

    @property
    def form(self) -> Any:
        """The type of an answer. Closed: one thing is decided."""
        from pydantic import ConfigDict, Field, create_model  # noqa: PLC0415  slow to load

        closed = ConfigDict(extra="forbid")
        wanted: Any = (
            Literal["retry", "fail"]
            | create_model("Edit", __config__=closed, edit=(self.edited, ...))
            | create_model("Skip", __config__=closed, skip=(Any, ...))
        )
        return Annotated[wanted, Field(description=f"answer {self._how}")]


@overload
def policy_of(on_failure: None) -> None: ...


@overload
def policy_of(on_failure: AskOnFailure | Literal["ask"]) -> AskOnFailure: ...


@overload
def policy_of(on_failure: AskOnFailure | Literal["ask"] | None) -> AskOnFailure | None: ...


def policy_of(on_failure: AskOnFailure | Literal["ask"] | None) -> AskOnFailure | None:
    """Who is asked, by what `on_failure=` says; None: nobody. Raises InvalidSetup."""
    given: Any = on_failure
    if given is None or isinstance(given, AskOnFailure):
        return given
    if given == "ask":
        return AskOnFailure()
    raise InvalidSetup(f"on_failure={given!r}: give 'ask' or an AskOnFailure")


async def decided(step: Asking, trouble: Trouble, policy: AskOnFailure, name: str) -> Decided:
    """What a person decides about a failure; to fail, where nobody does."""
    context = trouble.context
    while True:
        try:
            answer = await step.ask(
                policy.role,
                trouble.question,
                context=context,
                timeout=policy.timeout,
                answer=trouble.form,
                default=None,
                agent=trouble.agent,
                name=name,
            )
            return trouble.fitted(_read(answer.value, answer.question_id))
        except QuestionLimit:
            return Decided("fail")
        except BadValue as bad:
            context = f"the last answer does not fit: {bad}\n{trouble.context}"


def _read(value: Any, question: str) -> Decided:
    """An accepted answer; None, nobody's, is to fail."""
    if value is None or isinstance(value, str):
        return Decided(value or "fail", question=question)
    [(kind, said)] = value  # a pydantic model with one field
    return Decided(kind, said, question)


def step_trouble(
    name: str, fn: Callable[..., Any], failed: StepFailed, args: Sequence[Any]
) -> Trouble:
    """A step that failed."""

    def fitted(decision: Decided) -> Decided:
        match decision.kind:
            case "edit":
                return decision._replace(value=_arguments(fn, decision.value))
            case "skip":
                return decision._replace(value=result(fn, decision.value))
            case _:
                return decision

    return Trouble(
        what=f"Step {name!r}",
        failure=failure_of(failed),
        input=list(args),
        edit="[the input]",
        edited=list[Any],
        fitted=fitted,
    )


def result(fn: Callable[..., Any], value: Any) -> Any:
    """A value that a person sent, as what `fn` returns. Raises BadValue."""
    return load(dump(value), returned_type(fn))


def _arguments(fn: Callable[..., Any], values: Sequence[Any]) -> list[Any]:
    """The input that a person sent, as `fn` takes it. Raises BadValue."""
    names = [parameter.name for parameter in inspect.signature(fn).parameters.values()]
    try:
        hints = get_type_hints(getattr(fn, "func", fn))
    except (NameError, TypeError, AttributeError):
        hints = {}
    wanted = [hints.get(name, Any) for name in names] + [Any] * len(values)
    return [load(dump(value), each) for value, each in zip(values, wanted, strict=False)]
