"""Who is next: by rule, by code, by a model, or by all three."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic

from ..runtime.errors import InvalidSetup, LaybyError
from ..tools.source import AnyTool, ToolSource, own
from .attachment import Attachment
from .model import Model
from .turn import DONE, ROUTE, Decision, S, Said, TurnResult

if TYPE_CHECKING:
    from .network import Member


@dataclass(frozen=True)
class Done:
    """A router's word that the network has done its work."""

    summary: str = ""


@dataclass(frozen=True, kw_only=True)
class Route(Generic[S]):
    """What a router decides by."""

    input: str
    turns: list[TurnResult]
    """The turns taken so far."""
    agents: Mapping[str, Member]
    """The agents of the network that may be chosen now, by name."""
    state: S
    """The network's state as its type; a copy, for only tools change it."""
    ticket: str = ""
    before: list[Said] = field(default_factory=list[Said])
    """What was said in the thread before this run."""
    attachments: list[Attachment] = field(default_factory=list[Attachment])
    """Pictures and documents that belong to `input`."""

    @property
    def last(self) -> TurnResult | None:
        """The newest turn."""
        return self.turns[-1] if self.turns else None

    def called(self, tool: str) -> bool:
        """Whether any turn has called `tool` without an error."""
        return any(turn.called(tool) for turn in self.turns)


Choice = Any
"""An `Agent`, an agent's name, a list of either, a `RoutingAgent`, `Done`, or None."""
Router = Callable[[Route[Any]], Choice | Awaitable[Choice]]
"""Decides who is next, sync or async."""

OnRoute = Callable[[Route[Any], Decision], Choice | Awaitable[Choice]]
"""Called with a routing agent's decision: another choice, or None to leave it."""


class RouterError(LaybyError):
    """A router named somebody who is not in the network, or could not decide."""

    retryable = False


@dataclass(frozen=True, eq=False)
class RoutingAgent:
    """A model that decides who is next. Its `rules` come first and cost nothing.

    The model has two tools, `route_to_agent` and `done`. When it names an agent that does not
    exist it is told so and asked again, three times in all; then the run fails.
    """

    name: str
    """What people and logs call it."""
    system: str = field(default="", kw_only=True)
    """Its instructions; the agents and what they are for are added."""
    rules: Sequence[Router] = field(default=(), kw_only=True)
    """Functions of the `Route`; the first that returns something other than None decides."""
    tools: Sequence[AnyTool | ToolSource] = field(default=(), kw_only=True)
    """What it may do before it decides: look something up, ask a person. Sources too, such as an
    `mcp_server()`: they list theirs when a decision begins."""
    model: Model | None = field(default=None, kw_only=True)
    """None: the network's `default_model`."""
    max_steps: int = field(default=8, kw_only=True)
    """Responses that a decision may take of its model, where it has tools."""
    sees_attachments: bool = field(default=True, kw_only=True)
    """Whether its model is shown the task's pictures and documents; False: it is told of them."""
    on_route: OnRoute | None = field(default=None, kw_only=True)
    """Called with each decision before it counts: another choice, or None to leave it."""

    def __post_init__(self) -> None:
        self.check(own(self.tools))

    def check(self, tools: Sequence[AnyTool]) -> None:
        """Raise InvalidSetup for a tool that is named as one of those that every router has."""
        taken = {tool.name for tool in tools} & {ROUTE, DONE}
        if taken:
            raise InvalidSetup(
                f"routing agent {self.name!r} has {ROUTE} and {DONE} already; rename "
                f"your tool {min(taken)!r}"
            )


def decision_of(choice: Choice, route: Route[Any], *, by: str) -> Decision:
    """What a rule's or function's choice means. Raises RouterError for an unknown agent."""
    if choice is None:
        return Decision(by=by)
    if isinstance(choice, Done):
        return Decision(summary=choice.summary, by=by)
    several: list[Any] = [*choice] if isinstance(choice, list | tuple) else [choice]
    return Decision(agents=[_name_of(one, route) for one in several], by=by)


def _name_of(choice: Any, route: Route[Any]) -> str:
    name = choice if isinstance(choice, str) else getattr(choice, "name", None)
    if not isinstance(name, str) or name not in route.agents:
        raise RouterError(
            f"the router chose {name or choice!r}, who is not in the network; "
            f"the agents are: {', '.join(route.agents)}"
        )
    return name
