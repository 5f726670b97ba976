"""An agent as it is defined: a model, its instructions, its tools."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from ...runtime.address import Address
from ...runtime.entry import Raw
from ...runtime.errors import InvalidSetup
from ...runtime.values import dump, load
from ...tools.source import AnyTool, ToolSource, own
from ..kinds import AGENT
from ..models.attachment import Attachment, checked_attachments
from ..models.model import Model, ToolSpec
from ..threads.history import History, check_history
from ..threads.turn import CallRecord, NetworkInput, TurnResult
from .context import AgentContext
from .hooks import AfterTool, BeforeTool, Enabled, OnFinish, OnResponse, OnStart

if TYPE_CHECKING:
    from .output import OutputType

Condition = Callable[[list[CallRecord]], bool]
"""A function of the tool calls of a turn so far; True ends the turn."""
System = str | Callable[[AgentContext[Any]], str | Awaitable[str]]
"""Instructions, or a function of the context that returns them, sync or async."""


def tool_called(name: str) -> Condition:
    """A stop condition: the tool `name` was called without an error."""
    return lambda calls: any(call.name == name and not call.is_error for call in calls)


@dataclass(frozen=True, eq=False)
class AgentDefinition:
    """An agent: it thinks with a model and acts with tools."""

    name: str
    """Its name for people, routers and logs; unique within the app."""
    description: str = field(default="", kw_only=True)
    """What it is for, in words for routers."""
    system: System = field(default="", kw_only=True)
    """Its instructions: text, or a function of the `AgentContext`, sync or async."""
    tools: Sequence[AnyTool | ToolSource] = field(default=(), kw_only=True)
    """Its tools, and sources that list theirs when a turn begins, such as an `mcp_server()`."""
    model: Model | None = field(default=None, kw_only=True)
    """The model it uses; None: the network's `default_model`."""
    max_steps: int = field(default=8, kw_only=True)
    """The most model responses in one turn."""
    stop_when: Sequence[Condition] = field(default=(), kw_only=True)
    """Conditions that end the turn after its tools have run, such as `tool_called("reply")`."""
    tool_choice: str = field(default="auto", kw_only=True)
    """`auto`, `any`, `none`, or a tool's name. It applies to the first response of a turn."""
    max_tokens: int | None = field(default=None, kw_only=True)
    """The most tokens of a response; None: the model's own limit."""
    output_type: Any = field(default=None, kw_only=True)
    """The type of its final answer, such as a pydantic model; None: text."""
    output_tries: int = field(default=3, kw_only=True)
    """Attempts at a final answer that fits; then the turn, and so the run, fails."""
    history: History = field(default="shared", kw_only=True)
    """What it sees of the turns before its own: see `History`."""
    max_parallel_tools: int = field(default=8, kw_only=True)
    """The most tools of one turn that run at the same time."""
    concurrency: int | None = field(default=None, kw_only=True)
    """The most turns that one worker takes at the same time; None: the app's `concurrency`."""
    enabled: Enabled | None = field(default=None, kw_only=True)
    """Decides whether routers may choose it now; None: they always may."""
    on_start: OnStart | None = field(default=None, kw_only=True)
    """Called before each request to the model; may change it, or end the turn with a `Halt`."""
    on_response: OnResponse | None = field(default=None, kw_only=True)
    """Called after each response, before its tools run; may change it."""
    on_finish: OnFinish | None = field(default=None, kw_only=True)
    """Called once, at the end of the turn; may change its result."""
    before_tool: BeforeTool | None = field(default=None, kw_only=True)
    """Called before each tool call; may change its arguments, or supply the result instead."""
    after_tool: AfterTool | None = field(default=None, kw_only=True)
    """Called after each tool call, failed or not; may change its result."""
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
                f"agent {self.name!r}: tool_choice={self.tool_choice!r}: give one of "
                f"{', '.join(['auto', 'any', 'none', *names])}"
            )
        check_history(self.name, self.history)
        if self.output_type is not None:
            self._read_output_type(names)

    def _read_output_type(self, names: list[str]) -> None:
        from .output import FINAL, OutputType  # noqa: PLC0415  loads pydantic

        if FINAL in names:
            raise InvalidSetup(
                f"agent {self.name!r}: output_type adds a tool named {FINAL!r}; rename yours"
            )
        object.__setattr__(self, "output", OutputType(self.output_type))

    @property
    def own_tools(self) -> list[AnyTool]:
        """Its tools, without those of sources."""
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
        """The input of the agent when no network calls it.

        Raises:
            InvalidSetup: the agent has no model, or an argument does not fit.
        """
        self.check_model()
        given: Any = state or {}
        if not isinstance(given, dict):
            raise InvalidSetup(
                f"agent {self.name!r}: step.agent takes a dict as state, not a "
                f"{type(given).__name__}; for a typed state, use a Network(state=...)"
            )
        return NetworkInput(
            network="",
            input=input,
            state=load(dump(given), dict[str, Any]),
            attachments=checked_attachments(f"agent {self.name!r}", attachments),
        )

    def check_model(self) -> None:
        """Raise InvalidSetup unless the agent, and those that its tools call, have a model."""
        for performer in self.performers():
            if isinstance(performer, AgentDefinition) and performer.model is None:
                raise InvalidSetup(
                    f"agent {performer.name!r} has no model: give it one, because there is no "
                    "default_model without a network"
                )

    def accept(self, result: Raw) -> TurnResult:
        """The result of a turn, decoded."""
        return self.typed(load(result, TurnResult))

    def typed(self, turn: TurnResult) -> TurnResult:
        """A recorded turn with its output converted to the agent's `output_type`."""
        if self.output is None or turn.output is None:
            return turn
        return msgspec.structs.replace(turn, output=self.output.typed(turn.output))

    def performers(self) -> Iterator[Any]:
        """Every actor that must handle mail for the agent to work, itself first; some twice."""
        yield self
        yield from called_by(self.own_tools)

    def specs(self) -> list[ToolSpec]:
        """The specifications of its tools for a model."""
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
