"""Who is next: by rule, by code, by a model, or by all three."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic

from ..runtime.errors import InvalidSetup, LaybyError
from ..runtime.step import Step
from .history import retold, say
from .hooks import settled
from .model import Message, Model, ModelRequest, ToolCall, ToolResult, ToolSpec, Usage
from .turn import Decision, S, TurnResult

if TYPE_CHECKING:
    from ..tools.source import AnyTool
    from .network import Member

_TRIES = 3
_ROUTE = "route_to_agent"
_DONE = "done"


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

    @property
    def last(self) -> TurnResult | None:
        """The newest turn."""
        return self.turns[-1] if self.turns else None

    def called(self, tool: str) -> bool:
        """Whether any turn has called `tool` without an error."""
        return any(
            call.name == tool and not call.is_error for turn in self.turns for call in turn.calls
        )


Choice = Any
"""An `Agent`, an agent's name, a list of either, a `RoutingAgent`, `Done`, or None."""
Router = Callable[[Route[Any]], Choice | Awaitable[Choice]]


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
    system: str = field(default="", kw_only=True)
    rules: Sequence[Router] = field(default=(), kw_only=True)
    """Functions of the `Route`; the first that returns something other than None decides."""
    tools: Sequence[AnyTool] = field(default=(), kw_only=True)
    """What it may do before it decides: look something up, ask a person."""
    model: Model | None = field(default=None, kw_only=True)

    async def decide(
        self, route: Route[Any], default_model: Model | None, step: Step, key: str
    ) -> Decision:
        """Rules, then the model."""
        del step, key
        for rule in self.rules:
            choice = await settled(rule(route))
            if choice is not None:
                return decision_of(choice, route, by="rule")
        model = self.model or default_model
        if model is None:
            raise InvalidSetup(
                f"routing agent {self.name!r} has no model: give it one, "
                "or give its network a default_model"
            )
        return await self._ask(model, route)

    async def _ask(self, model: Model, route: Route[Any]) -> Decision:
        messages = [say(route.input), *(say(retold(turn)) for turn in route.turns)]
        messages.append(say("Decide who is next, or that the work is done."))
        usage = Usage()
        for _ in range(_TRIES):
            response = await model.respond(
                ModelRequest(
                    system=f"{self.system}\n\n{_described(route)}".strip(),
                    messages=messages,
                    tools=_tools(route),
                    tool_choice="any",
                )
            )
            usage += response.usage
            decided = self._read(response.message, route, usage)
            if isinstance(decided, Decision):
                return decided
            messages = [*messages, response.message, decided]
        raise RouterError(
            f"routing agent {self.name!r} named nobody of the network in {_TRIES} tries; "
            f"the agents are: {', '.join(route.agents)}"
        )

    def _read(self, message: Message, route: Route[Any], usage: Usage) -> Decision | Message:
        """The decision in a response, or what to tell the model about it."""
        calls = message.tool_calls
        if not calls:
            return say(f"Call {_ROUTE} or {_DONE}; text alone decides nothing.")
        call = calls[0]
        if call.name == _DONE:
            summary = str(call.arguments.get("summary", ""))
            return Decision(summary=summary, by=self.name, usage=usage)
        wanted = call.arguments.get("agent")
        if call.name == _ROUTE and isinstance(wanted, str) and wanted in route.agents:
            reason = str(call.arguments.get("reason", ""))
            return Decision(agents=[wanted], summary=reason, by=self.name, usage=usage)
        return Message(role="user", parts=[_refused(c, call, route) for c in calls])


def _refused(call: ToolCall, first: ToolCall, route: Route[Any]) -> ToolResult:
    if call is not first:
        text = "Ignored: decide one thing at a time."
    elif call.name != _ROUTE:
        text = f"There is no tool {call.name!r} here; call {_ROUTE} or {_DONE}."
    else:
        text = (
            f"There is no agent named {call.arguments.get('agent')!r}. "
            f"The agents are: {', '.join(route.agents)}."
        )
    return ToolResult(id=call.id, name=call.name, content=text, is_error=True)


def _described(route: Route[Any]) -> str:
    agents = "\n".join(f"- {a.name}: {a.description}" for a in route.agents.values())
    return f"The agents are:\n{agents}"


def _tools(route: Route[Any]) -> list[ToolSpec]:
    return [
        ToolSpec(
            name=_ROUTE,
            description="Let an agent take the next turn.",
            parameters={
                "type": "object",
                "properties": {
                    "agent": {"type": "string", "enum": list(route.agents)},
                    "reason": {"type": "string", "description": "Why this agent"},
                },
                "required": ["agent"],
            },
        ),
        ToolSpec(
            name=_DONE,
            description="The work is done; nobody needs another turn.",
            parameters={
                "type": "object",
                "properties": {"summary": {"type": "string", "description": "What came of it"}},
            },
        ),
    ]


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
