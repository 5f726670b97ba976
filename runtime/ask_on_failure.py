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
    """Who is asked what to do about a failure, and for how long; silence means fail."""

    role: str = "developer"
    timeout: str | float | timedelta = "4h"
    confidential: bool = False
    """Whether the question is encrypted wherever it is shown: see `step.ask`."""

    def __post_init__(self) -> None:
        """Check the timeout. Raises InvalidDuration."""
        seconds(self.timeout)


class FailureDecision(NamedTuple):
    """What a person decided about a failure."""

    kind: str
    """`retry`, `edit`, `skip` or `fail`."""
    value: Any = None
    """The new input, or the value to use as the result."""
    question: str = ""
    """The id of the question; empty when none could be asked."""


@dataclass(frozen=True, kw_only=True)
class FailureQuestion:
    """A failure, put to a person as a question."""

    what: str
    """`Step 'pay'`."""
    failure: Failure
    input: Any
    edit_example: str
    """How to write an edited input: `[the input]`."""
    edited_type: Any
    """The type of an edited input."""
    fit: Callable[[FailureDecision], FailureDecision]
    """Converts the value of an `edit` or `skip` to its type. Raises BadValue if it does not fit."""
    agent: str = ""
    """The agent that failed; empty: the workflow did."""
    confidential: bool = False
    """Whether the question is encrypted wherever it is shown."""

    @property
    def question(self) -> str:
        """What is asked, on one line; the form says how to answer."""
        return f"{self.what} failed: {reason_of(self.failure)}. What is to be done?"

    @property
    def context(self) -> str:
        """The input, as far as it can be shown."""
        try:
            shown = json.dumps(json.loads(bytes(dump(self.input))), ensure_ascii=False)
        except BadValue:
            shown = "it cannot be shown as JSON"
        return f"input: {shown}"[:_LONGEST]

    @property
    def _how(self) -> str:
        return (
            f'`retry` or `fail`, {{"edit": {self.edit_example}}} to try with another input, '
            'or {"skip": value} to continue with a value'
        )

    @property
    def form(self) -> Any:
        """The type of an answer. It is closed: a person decides exactly one thing."""
        from pydantic import ConfigDict, Field, create_model  # noqa: PLC0415  slow to load

        closed = ConfigDict(extra="forbid")
        wanted: Any = (
            Literal["retry", "fail"]
            | create_model("Edit", __config__=closed, edit=(self.edited_type, ...))
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
    """The policy that `on_failure=` stands for; None: nobody is asked. Raises InvalidSetup."""
    given: Any = on_failure
    if given is None or isinstance(given, AskOnFailure):
        return given
    if given == "ask":
        return AskOnFailure()
    raise InvalidSetup(f"on_failure={given!r}: give 'ask' or an AskOnFailure")


async def ask_decision(
    step: Asking, asked: FailureQuestion, policy: AskOnFailure, name: str
) -> FailureDecision:
    """Ask a person what to do about a failure; `fail` when nobody decides."""
    context = asked.context
    while True:
        try:
            answer = await step.ask(
                policy.role,
                asked.question,
                context=context,
                timeout=policy.timeout,
                answer=asked.form,
                default=None,
                agent=asked.agent,
                confidential=policy.confidential or asked.confidential,
                name=name,
            )
            return asked.fit(_read(answer.value, answer.question_id))
        except QuestionLimit:
            return FailureDecision("fail")
        except BadValue as bad:
            context = f"the last answer does not fit: {bad}\n{asked.context}"


def _read(value: Any, question: str) -> FailureDecision:
    """An accepted answer as a decision. None, when nobody answered, means fail."""
    if value is None or isinstance(value, str):
        return FailureDecision(value or "fail", question=question)
    [(kind, given)] = value  # a pydantic model with one field
    return FailureDecision(kind, given, question)


def step_failure(
    name: str, fn: Callable[..., Any], failed: StepFailed, args: Sequence[Any]
) -> FailureQuestion:
    """The question about a step that failed."""

    def fit(decision: FailureDecision) -> FailureDecision:
        match decision.kind:
            case "edit":
                return decision._replace(value=_arguments(fn, decision.value))
            case "skip":
                return decision._replace(value=fit_result(fn, decision.value))
            case _:
                return decision

    return FailureQuestion(
        what=f"Step {name!r}",
        failure=failure_of(failed),
        input=list(args),
        edit_example="[the input]",
        edited_type=list[Any],
        fit=fit,
    )


def fit_result(fn: Callable[..., Any], value: Any) -> Any:
    """A value that a person sent, as the type that `fn` returns. Raises BadValue."""
    return load(dump(value), returned_type(fn))


def _arguments(fn: Callable[..., Any], values: Sequence[Any]) -> list[Any]:
    """The input that a person sent, as the types that `fn` takes. Raises BadValue."""
    names = [parameter.name for parameter in inspect.signature(fn).parameters.values()]
    try:
        hints = get_type_hints(getattr(fn, "func", fn))
    except (NameError, TypeError, AttributeError):
        hints = {}
    wanted = [hints.get(name, Any) for name in names] + [Any] * len(values)
    return [load(dump(value), each) for value, each in zip(values, wanted, strict=False)]
