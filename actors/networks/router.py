"""Routers decide who is next: by rules, by code, by a model, or by all three."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ...runtime.errors import InvalidSetup, LaybyError
from ...tools.source import AnyTool, ToolSource, own
from ..agents.route import Route
from ..models.model import Model
from ..threads.turn import DONE, ROUTE, Decision, S


@dataclass(frozen=True)
class Done:
    """Returned by a router to say that the network's work is done."""

    summary: str = ""
    """What came of it; the network's text if no agent said anything."""


Choice = Any
"""An `Agent`, an agent's name, a list of these, a `RoutingAgent`, `Done`, or None."""
Router: TypeAlias = Callable[[Route[S]], Choice | Awaitable[Choice]]
"""A function that decides who is next, sync or async."""

OnRoute = Callable[[Route[Any], Decision], Choice | Awaitable[Choice]]
"""Called with a routing agent's decision. Returns another choice, or None to keep it."""


class RouterError(LaybyError):
    """A router chose an agent that is not in the network, or could not decide."""

    retryable = False


@dataclass(frozen=True, eq=False)
class RoutingAgent:
    """A router that asks a model who is next. Its `rules` come first and cost nothing.

    The model has two tools, `route_to_agent` and `done`. If it names an agent that does not exist,
    it gets an error and may try again; after three attempts the run fails.
    """

    name: str
    """Its name for people and logs."""
    system: str = field(default="", kw_only=True)
    """Its instructions; Layby adds the agents and their descriptions."""
    rules: Sequence[Router[Any]] = field(default=(), kw_only=True)
    """Functions of the `Route`; the first one that does not return None decides."""
    tools: Sequence[AnyTool | ToolSource] = field(default=(), kw_only=True)
    """Tools for use before it decides: to look something up, or to ask a person. Sources such as an
    `mcp_server()` list theirs when a decision begins."""
    model: Model | None = field(default=None, kw_only=True)
    """The model it asks; None: the network's `default_model`."""
    max_steps: int = field(default=8, kw_only=True)
    """The most model responses for one decision."""
    sees_attachments: bool = field(default=True, kw_only=True)
    """Whether its model gets the task's images and documents; False: only a list of them."""
    on_route: OnRoute | None = field(default=None, kw_only=True)
    """Called with each decision before it counts; returns another choice, or None to keep it."""

    def __post_init__(self) -> None:
        self.check(own(self.tools))

    def check(self, tools: Sequence[AnyTool]) -> None:
        """Raise InvalidSetup for a tool with the name of one that every router has."""
        taken = {tool.name for tool in tools} & {ROUTE, DONE}
        if taken:
            raise InvalidSetup(
                f"routing agent {self.name!r} already has {ROUTE} and {DONE}; rename "
                f"your tool {min(taken)!r}"
            )


def decision_of(choice: Choice, route: Route[Any], *, by: str) -> Decision:
    """The decision in a rule's or function's choice. Raises RouterError for an unknown agent."""
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
            f"the router chose {name or choice!r}, which is not in the network; "
            f"the agents are: {', '.join(route.agents)}"
        )
    return name
