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
from ..runtime.errors import InvalidSetup
from ..runtime.failing import AskOnFailure, policy_of
from ..runtime.vouching import Accept
from ..runtime.waiting import Performer
from . import docstring
from .approval import Needs, checked
from .context import ToolContext
from .errors import ToolTimedOut

if TYPE_CHECKING:  # pydantic takes 0.1 s to load: only who declares a tool shall pay
    from .schema import Arguments

P = ParamSpec("P", default=...)
R = TypeVar("R", default=Any)

Timeout: TypeAlias = float | str | timedelta
"""Seconds, a `timedelta`, or text such as `30s`, `5m` or `4h`."""

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_RESERVED = {"auto", "any", "none"}  # they mean something else as a tool choice


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Tool(Generic[P, R]):
    """What an agent may do. Made by `@tool`; calling it calls the plain function, for tests."""

    name: str
    """What the model calls it by: letters, digits, `_` and `-`, at most 64."""
    description: str
    """What the model is told that it does."""
    parameters: dict[str, Any]
    """JSON Schema of its arguments, of type object. Not to be changed."""
    function: Callable[P, R]
    retries: int = 0
    """How often a call that raised is tried again."""
    timeout: float | None = None
    """Seconds that one try may take; None: no limit."""
    arguments: Arguments
    """Checks what a model sends."""
    needs_approval: Needs = False
    """Who must approve a call before it runs: see `approval`."""
    approval_timeout: float | None = None
    """Seconds that they have; None: the app's `ask_timeout`. Silence denies."""
    approval_accept: Accept = None
    """Which approvals count, by who vouches for whoever gave them; None: all, or signed ones."""
    on_failure: AskOnFailure | None = None
    """Who is asked what to do when every try of a call has raised; None: the model is told."""
    calls: tuple[Performer[Any], ...] = ()
    """The actors whom it calls, which need somebody to take their mail."""
    hands_to: str = ""
    """The agent that takes over when it was called."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself: no validation, no timeout, no thread."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"Tool({self.name!r})"

    def validate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as the function takes them: converted, defaults filled in.

        Raises:
            InvalidArguments: they do not fit; its message is meant for the model.
        """
        return self.arguments.check(self.name, arguments)

    async def invoke(self, ctx: ToolContext[Any], validated: Mapping[str, Any]) -> Any:
        """Run the function once with what `validate` returned.

        A function that is not async runs in a thread, with this task's context variables. When it
        times out its thread goes on to its end: a thread cannot be stopped.

        Raises:
            ToolTimedOut: one try took longer than `timeout`.
        """
        injected = {self.arguments.context: ctx} if self.arguments.context else {}
        limit = asyncio.timeout(self.timeout)
        try:
            async with limit:
                return await _run(self.function, {**validated, **injected})
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
    needs_approval: Needs = False,
    approval_timeout: Timeout | None = None,
    approval_accept: Accept = None,
    on_failure: AskOnFailure | Literal["ask"] | None = None,
) -> Tool[_P, _R]: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    retries: int = 0,
    timeout: Timeout | None = None,
    needs_approval: Needs = False,
    approval_timeout: Timeout | None = None,
    approval_accept: Accept = None,
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
    needs_approval: Needs = False,
    approval_timeout: Timeout | None = None,
    approval_accept: Accept = None,
    on_failure: AskOnFailure | Literal["ask"] | None = None,
) -> Any:
    """Make a typed function a tool: `@tool`, or `@tool(name=..., retries=..., timeout=...)`.

    The model learns what the function takes from its annotations, defaults, `Annotated[str,
    "description"]`, pydantic's `Field` and the docstring's `Args:`. A parameter annotated
    `ToolContext` is filled in by Layby and hidden from the model.

    A call that has returned never runs again. A function that waits, with `ctx.step.ask` or
    `ctx.step.sleep` for instance, is entered from its start when what it waits for has come: put
    what must happen once before that into `await ctx.step.run("name", fn, ...)`.

    Args:
        function: Async, or not: then it runs in a thread.
        name: What the model calls it by; default: the function's name.
        description: What it does; default: the first paragraph of the docstring.
        retries: How often a call that raised is tried again.
        timeout: How long one try may take: seconds, a `timedelta`, or text such as `30s`.
        needs_approval: Who must approve a call before it runs: True for a developer, a role, or a
            function of (ctx, arguments) that returns one of these or False.
        approval_timeout: How long they have; default: the app's `ask_timeout`. Silence denies.
        approval_accept: Which approvals count, by who vouches for whoever gave them: see
            `step.ask`. Default: all; of a role with keys, signed ones.
        on_failure: `ask`: when every try has raised, a person with the role `developer` is asked,
            for 4 h, whether to retry the call, to edit its arguments, to give the model a value as
            its result, or to tell the model of the failure; so does silence. An `AskOnFailure`
            names another role or time. A `ToolError` is told to the model as ever.

    Raises:
        InvalidSetup: the function cannot be a tool; the message says which part, and the fix.
    """
    depth = 2 if function is None else 3  # frames between _locals and the tool's definition

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
            on_failure=policy_of(on_failure),
            arguments=arguments,
        )

    return decorate if function is None else decorate(function)


def _locals(depth: int) -> Mapping[str, Any]:
    """The names around a tool that is defined inside a function or class."""
    frame = inspect.currentframe()
    for _ in range(depth):
        frame = frame.f_back if frame else None
    return frame.f_locals if frame else {}


def _arguments(
    function: Callable[..., Any], name: str, local_names: Mapping[str, Any]
) -> Arguments:
    from .schema import read_arguments  # noqa: PLC0415  loads pydantic

    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidSetup(f"tool {name!r} yields; a tool returns its result once")
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


async def _run(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    if _is_async(function):
        return await function(**arguments)
    result = await asyncio.to_thread(_call, function, arguments)
    return await result if inspect.isawaitable(result) else result


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004  an object with an async __call__
    )


def _call(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    try:
        return function(**arguments)
    except StopIteration as error:  # a future cannot carry it: whoever waits would wait for ever
        raise RuntimeError("the tool raised StopIteration") from error
