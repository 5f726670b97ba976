"""`@tool`: a typed function that an agent's model may call."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, overload

from typing_extensions import ParamSpec, TypeVar

from ..runtime import duration
from ..runtime.ask_on_failure import AskOnFailure, policy_of
from ..runtime.calling import call
from ..runtime.errors import InvalidSetup
from ..runtime.ladders import NO_OPTIONS, LadderOptions, check_options
from ..runtime.rung import Escalate, Remind
from ..runtime.vouching import Accept
from ..runtime.waiting import Performer
from . import docstring
from .approval import ApprovalPolicy, checked
from .context import ToolContext
from .errors import ToolTimedOut

if TYPE_CHECKING:  # loading pydantic takes 0.1 s
    from .schema import Arguments

P = ParamSpec("P", default=...)
R = TypeVar("R", default=Any)

Timeout: TypeAlias = float | str | timedelta
"""Seconds, a `timedelta`, or text such as `30s`, `5m` or `4h`."""

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_RESERVED = {"auto", "any", "none"}  # as a tool choice, these mean something else


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Tool(Generic[P, R]):
    """A function that an agent may call, made by `@tool`. Tests can call it like the function."""

    name: str
    """Its name for the model: at most 64 letters, digits, `_` and `-`."""
    description: str
    """What it does, in words for the model."""
    parameters: dict[str, Any]
    """JSON Schema of its arguments, of type object. Do not change it."""
    function: Callable[P, R]
    retries: int = 0
    """How often a call that raised is retried."""
    timeout: float | None = None
    """Seconds that one attempt may take; None: no limit."""
    arguments: Arguments
    """Checks the arguments that a model sends."""
    needs_approval: ApprovalPolicy = False
    """Who must approve a call before it runs: see `approval`."""
    approval_timeout: float | None = None
    """Seconds to approve it; None: the app's `ask_timeout`. Silence denies."""
    approval_accept: Accept = None
    """Which approvals count, by what vouches for the person; None: all, or signed ones."""
    approval_ladder: LadderOptions = NO_OPTIONS
    """What happens while nobody has approved a call."""
    confidential: bool = False
    """Whether questions to people about its calls are encrypted wherever they are shown."""
    on_failure: AskOnFailure | None = None
    """Who decides what to do when every attempt of a call has raised; None: the model."""
    calls: tuple[Performer[Any], ...] = ()
    """The actors that it calls: a worker must handle their mail."""
    hands_to: str = ""
    """The agent that takes over after a call."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself: no validation, no timeout, no thread."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"Tool({self.name!r})"

    def validate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as the function takes them: converted, defaults filled in.

        Raises:
            InvalidArguments: they do not fit; the message is for the model.
        """
        return self.arguments.check(self.name, arguments)

    async def invoke(self, ctx: ToolContext[Any], validated: Mapping[str, Any]) -> Any:
        """Run the function once with what `validate` returned.

        A function that is not async runs in a thread, with this task's context variables. After a
        timeout the thread runs on to its end, because a thread cannot be stopped.

        Raises:
            ToolTimedOut: the call took longer than `timeout`.
        """
        injected = {self.arguments.context: ctx} if self.arguments.context else {}
        limit = asyncio.timeout(self.timeout)
        try:
            async with limit:
                return await call(self.function, **validated, **injected)
        except TimeoutError:
            if self.timeout is None or not limit.expired():
                raise  # the tool's own
            raise ToolTimedOut(self.name, self.timeout) from None


_P = ParamSpec("_P")
_R = TypeVar("_R")


@overload
def tool(
    function: Callable[_P, _R],
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    retries: int = 0,
    timeout: Timeout | None = None,
    needs_approval: ApprovalPolicy = False,
    approval_timeout: Timeout | None = None,
    approval_accept: Accept = None,
    approval_to: str | None = None,
    approval_remind: Remind | None = None,
    approval_escalate: Escalate | None = None,
    approval_urgent: bool = False,
    confidential: bool = False,
    on_failure: AskOnFailure | Literal["ask"] | None = None,
) -> Tool[_P, _R]: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    retries: int = 0,
    timeout: Timeout | None = None,
    needs_approval: ApprovalPolicy = False,
    approval_timeout: Timeout | None = None,
    approval_accept: Accept = None,
    approval_to: str | None = None,
    approval_remind: Remind | None = None,
    approval_escalate: Escalate | None = None,
    approval_urgent: bool = False,
    confidential: bool = False,
    on_failure: AskOnFailure | Literal["ask"] | None = None,
) -> Callable[[Callable[_P, _R]], Tool[_P, _R]]: ...


def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    retries: int = 0,
    timeout: Timeout | None = None,
    needs_approval: ApprovalPolicy = False,
    approval_timeout: Timeout | None = None,
    approval_accept: Accept = None,
    approval_to: str | None = None,
    approval_remind: Remind | None = None,
    approval_escalate: Escalate | None = None,
    approval_urgent: bool = False,
    confidential: bool = False,
    on_failure: AskOnFailure | Literal["ask"] | None = None,
) -> Any:
    """Make a typed function a tool: `@tool`, or `@tool(name=..., retries=..., timeout=...)`.

    The model learns what the function takes from its annotations, defaults, `Annotated[str,
    "description"]`, pydantic's `Field` and the docstring's `Args:`. Layby fills in a parameter
    annotated `ToolContext` and hides it from the model.

    A call that has returned never runs again. A function that waits, with `ctx.step.ask` or
    `ctx.step.sleep` for instance, runs again from its start when the wait is over: wrap what must
    happen only once before the wait in `await ctx.step.run("name", fn, ...)`.

    Args:
        function: An async function, or a plain one, which runs in a thread.
        name: The tool's name for the model; default: the function's name.
        description: What it does; default: the first paragraph of the docstring.
        retries: How often a call that raised is retried.
        timeout: How long one attempt may take: seconds, a `timedelta`, or text such as `30s`.
        needs_approval: Who must approve a call before it runs: True for a developer, a role,
            `Approvers` for several people, or a function of (ctx, arguments) that returns one of
            these or False.
        approval_timeout: How long they have; default: the app's `ask_timeout`. Silence denies.
        approval_accept: Which approvals count, by what vouches for the person: see `step.ask`.
            Default: all; for a role with keys, signed ones.
        approval_to: The person who is asked to approve: see `to` of `step.ask`.
        approval_remind: When reminders are sent: see `remind` of `step.ask`.
        approval_escalate: Who else is asked, and when: see `escalate` of `step.ask`.
        approval_urgent: Whether to ignore quiet hours.
        confidential: Whether questions to people about its calls, for an approval or about a
            failure, are encrypted wherever they are shown: docs/encryption.md. Needs
            `App(encryption=...)`. It does not cover questions that the function itself asks.
        on_failure: `ask`: when every attempt has raised, a person with the role `developer` has
            4 h to decide: retry the call, edit its arguments, give the model a value as its
            result, or pass the failure on to the model, which is also what happens on silence. An
            `AskOnFailure` sets another role or time. A `ToolError` always goes to the model.

    Raises:
        InvalidSetup: the function cannot be a tool; the message names the part and the fix.
    """
    depth = 2 if function is None else 3  # frames between _locals and the tool's definition
    if confidential and needs_approval is False and on_failure is None:
        raise InvalidSetup(
            "confidential=True is for questions to people about a tool's calls: give "
            "needs_approval= or on_failure= too, or ask with ctx.step.ask(..., confidential=True)"
        )

    ladder = LadderOptions(approval_to, approval_remind, approval_escalate, approval_urgent)
    check_options(ladder, "approval of a tool's call")
    if ladder != NO_OPTIONS and needs_approval is False:
        raise InvalidSetup(
            "approval_to=, approval_remind=... are for approvals: give needs_approval="
        )

    def decorate(function: Callable[..., Any]) -> Tool[..., Any]:
        own_name = _checked_name(function, name)
        arguments = _arguments(function, own_name, _locals(depth))
        return Tool(
            name=own_name,
            description=docstring.summary(function.__doc__) if description is None else description,
            parameters=arguments.schema,
            function=function,
            retries=_checked_retries(own_name, retries),
            timeout=_seconds(own_name, timeout),
            needs_approval=checked(own_name, needs_approval),
            approval_timeout=_seconds(own_name, approval_timeout),
            approval_accept=approval_accept,
            approval_ladder=ladder,
            confidential=confidential,
            on_failure=policy_of(on_failure),
            arguments=arguments,
        )

    return decorate if function is None else decorate(function)


def _locals(depth: int) -> Mapping[str, Any]:
    """The names in scope at a tool that is defined inside a function or class."""
    frame = inspect.currentframe()
    for _ in range(depth):
        frame = frame.f_back if frame else None
    return frame.f_locals if frame else {}


def _arguments(
    function: Callable[..., Any], name: str, local_names: Mapping[str, Any]
) -> Arguments:
    from .schema import read_arguments  # noqa: PLC0415  loads pydantic

    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidSetup(
            f"tool {name!r} is a generator: make it return its result instead of yielding"
        )
    return read_arguments(function, name, local_names)


def _checked_retries(name: str, retries: int) -> int:
    if isinstance(retries, bool) or retries < 0:
        raise InvalidSetup(f"tool {name!r}: retries={retries!r}: give 0 or more")
    return retries


def _checked_name(function: Any, name: str | None) -> str:
    if not callable(function):
        raise InvalidSetup(f"@tool makes a function a tool, not {function!r}")
    name = getattr(function, "__name__", None) if name is None else name
    if name is None:
        raise InvalidSetup(f"{function!r} has no name of its own: give `name=`")
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise InvalidSetup(
            f"tool name {name!r}: use 1 to 64 letters, digits, `_` and `-`, "
            "and not auto, any or none: give `name=`"
        )
    return name


def _seconds(tool_name: str, timeout: Timeout | None) -> float | None:
    try:
        return None if timeout is None else duration.seconds(timeout)
    except duration.InvalidDuration as error:
        raise InvalidSetup(f"tool {tool_name!r}: timeout={timeout!r}: {error}") from None
