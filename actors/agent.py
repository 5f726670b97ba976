"""An agent: a model, its instructions and its tools."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from ..runtime.address import Address
from ..runtime.entry import Raw
from ..runtime.errors import InvalidSetup
from ..runtime.values import dump, load
from ..tools.source import AnyTool, ToolSource, own
from .attachment import Attachment, checked_attachments
from .context import AgentContext
from .delegation import as_tool
from .history import History, checked_history
from .hooks import AfterTool, BeforeTool, Enabled, OnFinish, OnResponse, OnStart
from .kinds import AGENT
from .model import Message, Model, ToolSpec
from .turn import CallRecord, NetworkInput, TurnResult

if TYPE_CHECKING:
    from .output import OutputType

Condition = Callable[[list[CallRecord]], bool]
"""Looks at the calls of a turn so far; True ends the turn."""
System = str | Callable[[AgentContext[Any]], str | Awaitable[str]]
"""Instructions, or a function of the context that returns them, sync or async."""


def tool_called(name: str) -> Condition:
    """A stop condition: the tool `name` was called without an error."""
    return lambda calls: any(call.name == name and not call.is_error for call in calls)


@dataclass(frozen=True, eq=False)
class Agent:
    """Somebody in a network who thinks with a model and acts with tools."""

    name: str
    """What people, routers and logs call it. No two of an app may share it."""
    description: str = field(default="", kw_only=True)
    """What routers are told that it is for."""
    system: System = field(default="", kw_only=True)
    """Its instructions: text, or a function of the `AgentContext`, sync or async."""
    tools: Sequence[AnyTool | ToolSource] = field(default=(), kw_only=True)
    """Tools, and sources that list theirs when a turn begins: an `mcp_server()`."""
    model: Model | None = field(default=None, kw_only=True)
    """None: the network's `default_model`."""
    max_steps: int = field(default=8, kw_only=True)
    """Responses that a turn may take of its model."""
    stop_when: Sequence[Condition] = field(default=(), kw_only=True)
    """Conditions that end the turn once its tools have run, `tool_called("reply")` for instance."""
    tool_choice: str = field(default="auto", kw_only=True)
    """`auto`, `any`, `none`, or a tool's name; for the first response of a turn."""
    max_tokens: int | None = field(default=None, kw_only=True)
    """Tokens that a response may have. None: as the model says."""
    output_type: Any = field(default=None, kw_only=True)
    """The type of its final answer, a pydantic model for instance. None: text."""
    output_tries: int = field(default=3, kw_only=True)
    """Final answers that do not fit after which the turn, and so the run, fails."""
    history: History = field(default="shared", kw_only=True)
    """What it sees of the turns before its own: see `history`."""
    max_parallel_tools: int = field(default=8, kw_only=True)
    """Tools of one turn that run at the same time."""
    concurrency: int | None = field(default=None, kw_only=True)
    """Turns that one worker takes at the same time. None: the app's `concurrency`."""
    enabled: Enabled | None = field(default=None, kw_only=True)
    """Whether routers may choose it now; None: always."""
    on_start: OnStart | None = field(default=None, kw_only=True)
    """Called before each request to the model: may change it, or end the turn with a `Halt`."""
    on_response: OnResponse | None = field(default=None, kw_only=True)
    """Called after each response, before its tools: may change it."""
    on_finish: OnFinish | None = field(default=None, kw_only=True)
    """Called once, at the end of the turn: may change its result."""
    before_tool: BeforeTool | None = field(default=None, kw_only=True)
    """Called before each tool call: may change its arguments, or give a result in its place."""
    after_tool: AfterTool | None = field(default=None, kw_only=True)
    """Called after each tool call, failed or not: may change its result."""
    output: OutputType | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        names = [tool.name for tool in self.own_tools]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise InvalidSetup(f"agent {self.name!r} has two tools named {min(twice)!r}")
        if not self.name.strip():
            raise InvalidSetup("an agent needs a name")
        for limit in ("max_steps", "output_tries", "max_parallel_tools", "concurrency"):
            if getattr(self, limit) is not None and getattr(self, limit) < 1:
                raise InvalidSetup(f"agent {self.name!r}: {limit} must be at least 1")
        unlisted = len(names) < len(self.tools)
        if not unlisted and self.tool_choice not in {"auto", "any", "none", *names}:
            raise InvalidSetup(
                f"agent {self.name!r}: tool_choice {self.tool_choice!r} is none of auto, any, "
                f"none, {', '.join(names)}"
            )
        checked_history(self.name, self.history)
        if self.output_type is not None:
            self._read_output_type(names)

    def _read_output_type(self, names: list[str]) -> None:
        from .output import FINAL, OutputType  # noqa: PLC0415  loads pydantic

        if FINAL in names:
            raise InvalidSetup(
                f"agent {self.name!r}: a tool named {FINAL!r} is its output_type's; rename yours"
            )
        object.__setattr__(self, "output", OutputType(self.output_type))

    @property
    def own_tools(self) -> list[AnyTool]:
        """Its tools without those of sources."""
        return own(self.tools)

    @property
    def address(self) -> str:
        """The actor's name in subjects."""
        return str(Address.of(AGENT, self.name))

    def task(
        self,
        input: str,  # noqa: A002
        state: dict[str, Any] | None = None,
        attachments: Sequence[Attachment] = (),
    ) -> NetworkInput:
        """What the agent is called with, where no network calls it.

        Raises:
            InvalidSetup: it has no model, or something does not fit.
        """
        self.check_model()
        given: Any = state or {}
        if not isinstance(given, dict):
            raise InvalidSetup(
                f"agent {self.name!r}: the state of step.agent is a dict, not a "
                f"{type(given).__name__}; only a Network(state=...) has a type for it"
            )
        return NetworkInput(
            network="",
            input=input,
            state=load(dump(given), dict[str, Any]),
            attachments=checked_attachments(f"agent {self.name!r}", attachments),
        )

    def check_model(self) -> None:
        """Raise InvalidSetup unless the agent, and those that its tools call, can think alone."""
        for performer in self.performers():
            if isinstance(performer, Agent) and performer.model is None:
                raise InvalidSetup(
                    f"agent {performer.name!r} has no model: give it one, for without a network "
                    "there is no default_model"
                )

    def accept(self, result: Raw) -> TurnResult:
        """Read what a turn returned."""
        return self.typed(load(result, TurnResult))

    def typed(self, turn: TurnResult) -> TurnResult:
        """A recorded turn with its output as the agent's `output_type`."""
        if self.output is None or turn.output is None:
            return turn
        return msgspec.structs.replace(turn, output=self.output.typed(turn.output))

    def performers(self) -> Iterator[Any]:
        """Everybody who must take mail for the agent to work, itself first; some twice."""
        yield self
        yield from called_by(self.own_tools)

    def as_tool(self, *, name: str | None = None, description: str | None = None) -> AnyTool:
        """A tool with which other agents let this one work on a task.

        Args:
            name: What models call it by; default: `ask_` and the agent's name.
            description: What models are told of it; default: the agent's `description`.
        """
        return as_tool(self, name=name, description=description)

    async def run(
        self,
        task: str,
        *,
        model: Model | None = None,
        state: Any = None,
        messages: Sequence[Message] = (),
        attachments: Sequence[Attachment] = (),
    ) -> TurnResult:
        """Take one turn in this process, without a server: nothing is kept, nothing outlives it.

        Args:
            task: What it is to do.
            model: What it thinks with, where it has no model of its own.
            state: What its tools see as the network's state: a dict, or a model's instance.
            messages: What was said before: the `messages` of earlier results, one after another.
            attachments: Pictures and documents that belong to the task.

        Raises:
            NeedsServer: it asked a person, or did something else that takes a server.
            StepFailed: the model failed for good.
        """
        from .alone import run_alone  # noqa: PLC0415  nobody else needs it

        return await run_alone(
            self, task, model=model, state=state, messages=messages, attachments=attachments
        )

    def specs(self) -> list[ToolSpec]:
        """Its tools as a model sees them."""
        final = [self.output.spec] if self.output else []
        return [
            ToolSpec(name=tool.name, description=tool.description, parameters=tool.parameters)
            for tool in self.own_tools
        ] + final


def called_by(tools: Sequence[AnyTool]) -> Iterator[Any]:
    """The agents that tools call."""
    for tool in tools:
        for performer in tool.calls:
            yield from getattr(performer, "performers", tuple)()
