"""How a routing agent decides: first its rules, then its model, then its `on_route`.

A decision is one step of the network. Each response and each call is recorded within that step, so
that nothing is paid for or done twice when a tool waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from ...runtime.actor_step import ActorStep
from ...runtime.calling import maybe_await
from ...runtime.errors import InvalidSetup, StepFailed
from ...runtime.explaining import explaining
from ..agents.definition import AgentDefinition
from ..agents.reply import AgentReply, replies_in
from ..agents.route import Route
from ..agents.tool_calls import Calls
from ..agents.toolbox import equipped
from ..keys import MODEL, TOOL, Key, scope
from ..models.asking import ask
from ..models.attachment import mentioning
from ..models.model import (
    MODEL_RETRY,
    Message,
    Model,
    ModelRequest,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
)
from ..models.prompt_recording import PromptRecorder
from ..state.state import Values
from ..threads.history import retold, say
from ..threads.thread import messages_of
from ..threads.turn import DONE, ROUTE, Advice, Decision, brief
from .router import RouterError, RoutingAgent, decision_of

_ATTEMPTS = 3


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The circumstances of a decision."""

    network: str
    default_model: Model | None
    step: ActorStep
    number: int
    """The number of the decision in the network."""
    values: Values
    tokens: int | None = None
    """Tokens that may still be used; None: no limit."""


async def decide(router: RoutingAgent, route: Route[Any], setting: Setting) -> Decision:
    """Decide who is next. Raises RouterError when the model does not decide."""
    decision = await _by_rule(router, route)
    if decision is None:
        try:
            decision = await (await _Deliberation.begin(router, route, setting)).decide()
        except StepFailed as error:  # after its retries
            raise RouterError(f"routing agent {router.name!r} failed: {error}") from error
    if decision.spent or router.on_route is None:
        return decision
    choice = await maybe_await(router.on_route(route, decision))
    if choice is None:
        return decision
    if not isinstance(choice, Decision):
        changed = decision_of(choice, route, by="on_route")
        return msgspec.structs.replace(
            changed, usage=decision.usage, state=decision.state, changes=decision.changes
        )
    if choice.state and choice.state != decision.state:
        return msgspec.structs.replace(choice, changes=None)
    return msgspec.structs.replace(choice, state=decision.state, changes=decision.changes)


async def _by_rule(router: RoutingAgent, route: Route[Any]) -> Decision | None:
    for rule in router.rules:
        choice = await maybe_await(rule(route))
        if choice is not None:
            return decision_of(choice, route, by="rule")
    return None


class _Deliberation:
    """One decision of a model, in progress."""

    def __init__(
        self,
        router: RoutingAgent,
        model: Model,
        tools: AgentDefinition,
        route: Route[Any],
        setting: Setting,
    ) -> None:
        self._model = model
        self._router = router
        self._route = route
        self._setting = setting
        self._specs = [*tools.specs(), *_specs(route)]
        self._calls = Calls(tools, setting.step, setting.network, setting.values)
        self._own = {tool.name for tool in tools.own_tools}
        self._messages = messages_of(route.before, router.name)
        self._messages += [_task(router, route), *(say(retold(turn)) for turn in route.turns)]
        self._messages.append(say("Decide who is next, or that the work is done."))
        self._usage = Usage()
        self._prompts = PromptRecorder(setting.step, route.attachments)

    @classmethod
    async def begin(
        cls, router: RoutingAgent, route: Route[Any], setting: Setting
    ) -> _Deliberation:
        """Prepare it with its tools. Raises InvalidSetup, StepFailed."""
        model = router.model or setting.default_model
        if model is None:
            raise InvalidSetup(
                f"routing agent {router.name!r} has no model: give it one, "
                "or give its network a default_model"
            )
        agent = AgentDefinition(router.name, tools=router.tools)
        tools = await equipped(agent, setting.step, scope(setting.number))
        router.check(tools.own_tools)
        return cls(router, model, tools, route, setting)

    async def decide(self) -> Decision:
        attempts = 0
        for number in range(self._router.max_steps):
            if self._left() == 0:
                return msgspec.structs.replace(self._decision([], "no tokens left"), spent=True)
            message = await self._think(number)
            if message.tool_calls and message.tool_calls[0].name in self._own:
                reply = await self._act(number, message)
            else:
                decided = self._read(message)
                if isinstance(decided, Decision):
                    return decided
                attempts += 1
                if attempts == _ATTEMPTS:
                    break
                reply = decided
            self._messages = [*self._messages, message, reply]
        raise RouterError(
            f"routing agent {self._router.name!r} named no agent of the network in {attempts} "
            f"attempts; the agents are: {', '.join(self._route.agents)}"
            if attempts
            else f"routing agent {self._router.name!r} did not decide within "
            f"{self._router.max_steps} responses"
        )

    def _left(self) -> int | None:
        """Tokens that may still be used; None: no limit."""
        limit = self._setting.tokens
        return None if limit is None else max(0, limit - self._usage.tokens)

    async def _think(self, number: int) -> Message:
        request = self._request(*self._messages)
        key = str(Key(MODEL, number, decision=self._setting.number))

        async def effect() -> Advice:
            streaming = self._setting.step.streaming(key, self._router.name)
            with streaming as on_text, self._prompts.asking(self._model, request):
                tracer = self._setting.step.ports.tracer
                response = await ask(tracer, self._model, request, on_text)
            return Advice(**msgspec.structs.asdict(response), by=self._router.name)

        advice: Advice = await self._setting.step.perform(
            key, effect, Advice, retry=MODEL_RETRY, note=brief, sending=self._prompts
        )
        self._usage += advice.usage
        return advice.message

    def _request(self, *messages: Message) -> ModelRequest:
        return ModelRequest(
            system=f"{self._router.system}\n\n{_described(self._route)}".strip(),
            messages=list(messages),
            tools=self._specs,
            tool_choice="any",
        )

    async def _act(self, number: int, message: Message) -> Message:
        """Perform the calls of the router's own tools."""
        calls, left, setting = message.tool_calls, self._left(), self._setting
        request = self._request(*self._messages, message)
        own = {place: call for place, call in enumerate(calls) if call.name in self._own}
        wanted = {Key(TOOL, number, place, setting.number): call for place, call in own.items()}
        reply = AgentReply(setting.step, self._router.name, self._model, request, left)
        with explaining(reply):
            outcomes = await self._calls.respond(wanted, left)
        self._usage += replies_in(setting.step, number, setting.number)
        results: dict[str, ToolResult] = {}
        for call, outcome in zip(own.values(), outcomes, strict=True):
            self._usage += outcome.usage
            results[call.id] = ToolResult(
                id=call.id, name=call.name, content=outcome.content, is_error=outcome.is_error
            )
        ignored = "Ignored: decide once you have seen the results of the tools."
        return Message(
            role="user",
            parts=[results.get(call.id) or _error(call, ignored) for call in calls],
        )

    def _read(self, message: Message) -> Decision | Message:
        """The decision in a response, or a message to the model that says what is wrong with it."""
        calls = message.tool_calls
        if not calls:
            return say(f"Call {ROUTE} or {DONE}; text alone decides nothing.")
        call = calls[0]
        if call.name == DONE:
            return self._decision([], call.arguments.get("summary", ""))
        wanted = call.arguments.get("agent")
        if call.name == ROUTE and isinstance(wanted, str) and wanted in self._route.agents:
            return self._decision([wanted], call.arguments.get("reason", ""))
        return Message(role="user", parts=[self._refused(c, call) for c in calls])

    def _decision(self, agents: list[str], summary: Any) -> Decision:
        values = self._setting.values
        return Decision(
            agents=agents,
            summary=str(summary),
            by=self._router.name,
            usage=self._usage,
            state=values.changed,
            changes=values.ops(values.changed),
        )

    def _refused(self, call: ToolCall, first: ToolCall) -> ToolResult:
        if call is not first:
            return _error(call, "Ignored: decide one thing at a time.")
        if call.name != ROUTE:
            return _error(call, f"There is no tool {call.name!r} here; call {ROUTE} or {DONE}.")
        return _error(
            call,
            f"There is no agent named {call.arguments.get('agent')!r}. "
            f"The agents are: {', '.join(self._route.agents)}.",
        )


def _error(call: ToolCall, text: str) -> ToolResult:
    return ToolResult(id=call.id, name=call.name, content=text, is_error=True)


def _task(router: RoutingAgent, route: Route[Any]) -> Message:
    if router.sees_attachments:
        return say(route.input, route.attachments)
    return say(mentioning(route.input, route.attachments))


def _described(route: Route[Any]) -> str:
    agents = "\n".join(f"- {a.name}: {a.description}" for a in route.agents.values())
    return f"The agents are:\n{agents}"


def _specs(route: Route[Any]) -> list[ToolSpec]:
    return [
        ToolSpec(
            name=ROUTE,
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
            name=DONE,
            description="The work is done; no agent needs another turn.",
            parameters={
                "type": "object",
                "properties": {"summary": {"type": "string", "description": "What came of it"}},
            },
        ),
    ]
