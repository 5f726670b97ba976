"""An agent: a model, its instructions and its tools; and the actor that takes its turns."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..bus.token import slug
from ..runtime.entry import Raw
from ..runtime.errors import AskTimedOut, InvalidSetup, QuestionLimit, StepFailed
from ..runtime.journal import Frame, RunState
from ..runtime.retry import Retry
from ..runtime.step import Step
from ..runtime.values import load
from ..tools.context import ToolContext
from ..tools.errors import ToolError, ToolTimedOut, UnknownTool
from ..tools.render import render
from ..tools.tool import Tool
from .history import conversation
from .model import Message, Model, ModelRequest, ModelResponse, ToolCall, ToolResult, ToolSpec
from .turn import CallOutcome, CallRecord, NetworkInput, Stop, TurnInput, TurnResult

AnyTool = Tool[..., Any]
Condition = Callable[[list[CallRecord]], bool]
"""Looks at the calls of a turn so far; True ends the turn."""

_MODEL_RETRY = Retry(attempts=6, first=1.0, longest="1m")


@dataclass(frozen=True, kw_only=True)
class AgentContext:
    """What an agent's instructions may depend on."""

    run_id: str
    ticket: str
    network: str
    input: str
    state: dict[str, Any]


System = str | Callable[[AgentContext], str | Awaitable[str]]


def tool_called(name: str) -> Condition:
    """A stop condition: the tool `name` was called without an error."""
    return lambda calls: any(call.name == name and not call.is_error for call in calls)


@dataclass(frozen=True, eq=False)
class Agent:
    """Somebody in a network who thinks with a model and acts with tools."""

    name: str
    description: str = field(default="", kw_only=True)
    """What routers are told that it is for."""
    system: System = field(default="", kw_only=True)
    """Its instructions: text, or a function of the `AgentContext`, sync or async."""
    tools: Sequence[AnyTool] = field(default=(), kw_only=True)
    model: Model | None = field(default=None, kw_only=True)
    """None: the network's `default_model`."""
    max_steps: int = field(default=8, kw_only=True)
    """Responses that a turn may take of its model."""
    stop_when: Sequence[Condition] = field(default=(), kw_only=True)
    tool_choice: str = field(default="auto", kw_only=True)
    """`auto`, `any`, `none`, or a tool's name; for the first response of a turn."""
    max_tokens: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        names = [tool.name for tool in self.tools]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise InvalidSetup(f"agent {self.name!r} has two tools named {sorted(twice)[0]!r}")
        if not self.name.strip():
            raise InvalidSetup("an agent needs a name")
        if self.max_steps < 1:
            raise InvalidSetup(f"agent {self.name!r}: max_steps must be at least 1")
        if self.tool_choice not in {"auto", "any", "none", *names}:
            raise InvalidSetup(
                f"agent {self.name!r}: tool_choice {self.tool_choice!r} is none of auto, any, "
                f"none, {', '.join(names)}"
            )

    @property
    def address(self) -> str:
        """The actor's name in subjects."""
        return f"agent-{slug(self.name)}"

    def accept(self, result: Raw) -> TurnResult:
        """Read what a turn returned."""
        turn: TurnResult = load(result, TurnResult)
        return turn

    def specs(self) -> list[ToolSpec]:
        """Its tools as a model sees them."""
        return [
            ToolSpec(name=tool.name, description=tool.description, parameters=tool.parameters)
            for tool in self.tools
        ]


class AgentActor:
    """Takes the turns of one agent, in whichever network it is asked to."""

    strict = False

    def __init__(self, agent: Agent, default_models: dict[str, Model | None]) -> None:
        self._agent = agent
        self._models = default_models
        self._tools = {tool.name: tool for tool in agent.tools}

    @property
    def address(self) -> str:
        """The actor's name in subjects."""
        return self._agent.address

    async def enter(self, step: Step, frame: Frame, state: RunState) -> TurnResult:
        """Take a turn: model, tools, model, until it is done, stopped or out of steps."""
        asked = load(frame.input, TurnInput)
        task = await step.read(state.frames[frame.parent].input, NetworkInput)
        before, values = await conversation(step, state, frame, task)
        return await _Turn(self, step, task, before, values).take()

    def model(self, network: str) -> Model:
        """The model to think with."""
        model = self._agent.model or self._models.get(network)
        if model is None:
            raise InvalidSetup(
                f"agent {self._agent.name!r} has no model: give it one, "
                f"or give network {network!r} a default_model"
            )
        return model

    @property
    def agent(self) -> Agent:
        """Whose turns these are."""
        return self._agent

    def tool(self, name: str) -> AnyTool:
        """The tool of that name. Raises UnknownTool, which the model is told."""
        try:
            return self._tools[name]
        except KeyError:
            raise UnknownTool(name, self._tools) from None


class _Turn:
    """One turn under way: the conversation so far, and what its tools have set."""

    def __init__(
        self,
        actor: AgentActor,
        step: Step,
        task: NetworkInput,
        before: list[Message],
        values: dict[str, Any],
    ) -> None:
        self._actor = actor
        self._agent = actor.agent
        self._step = step
        self._task = task
        self._network = task.network
        self._before = before
        self._state = values
        self._added: list[Message] = []
        self._calls: list[CallRecord] = []
        self._changed: dict[str, Any] = {}
        self._responses: list[ModelResponse] = []

    async def take(self) -> TurnResult:
        for number in range(self._agent.max_steps):
            response = await self._think(number)
            calls = response.message.tool_calls
            if not calls:
                return self._result(_stop_of(response))
            await self._act(number, calls)
            if any(condition(self._calls) for condition in self._agent.stop_when):
                return self._result("stopped")
        return self._result("max_steps")

    async def _think(self, number: int) -> ModelResponse:
        model = self._actor.model(self._network)

        key = f"model#{number}"

        async def effect() -> ModelResponse:
            request = await self._request(number)
            with self._step.speaking(key, self._agent.name) as on_text:
                return await model.respond(request, on_text)

        response: ModelResponse = await self._step.perform(
            key, effect, ModelResponse, retry=_MODEL_RETRY, note=_heard
        )
        self._responses.append(response)
        self._added.append(response.message)
        return response

    async def _request(self, number: int) -> ModelRequest:
        return ModelRequest(
            system=await self._system(),
            messages=[*self._before, *self._added],
            tools=self._agent.specs(),
            tool_choice=self._agent.tool_choice if number == 0 else "auto",
            max_tokens=self._agent.max_tokens,
        )

    async def _system(self) -> str:
        system = self._agent.system
        if isinstance(system, str):
            return system
        context = AgentContext(
            run_id=self._step.run_id,
            ticket=self._step.ticket,
            network=self._network,
            input=self._task.input,
            state=self._now(),
        )
        text = system(context)
        return await text if inspect.isawaitable(text) else text

    def _now(self) -> dict[str, Any]:
        return {**self._state, **self._changed}

    async def _act(self, number: int, calls: list[ToolCall]) -> None:
        outcomes: list[CallOutcome] = await self._step.gather(
            *(self._call(f"tool#{number}.{place}", call) for place, call in enumerate(calls))
        )
        results: list[Any] = []
        for call, outcome in zip(calls, outcomes, strict=True):
            self._changed.update(outcome.state)
            self._calls.append(
                CallRecord(
                    name=call.name,
                    arguments=call.arguments,
                    content=outcome.content,
                    is_error=outcome.is_error,
                )
            )
            results.append(
                ToolResult(
                    id=call.id, name=call.name, content=outcome.content, is_error=outcome.is_error
                )
            )
        self._added.append(Message(role="user", parts=results))

    async def _call(self, key: str, call: ToolCall) -> CallOutcome:
        tool = self._agent_tool(call.name)
        retry = Retry(attempts=1 + (tool.retries if tool else 0))

        async def effect() -> CallOutcome:
            try:
                return await self._invoke(key, call)
            except ToolTimedOut:
                raise
            except (ToolError, AskTimedOut, QuestionLimit) as error:
                return CallOutcome(content=str(error), is_error=True)

        def told(outcome: CallOutcome) -> str:
            return f"{call.name}: {outcome.content}"[:500]

        try:
            outcome: CallOutcome = await self._step.perform(
                key, effect, CallOutcome, retry=retry, note=told
            )
        except StepFailed as error:
            return CallOutcome(content=f"{call.name} failed: {error}", is_error=True)
        return outcome

    def _agent_tool(self, name: str) -> AnyTool | None:
        return next((tool for tool in self._agent.tools if tool.name == name), None)

    async def _invoke(self, key: str, call: ToolCall) -> CallOutcome:
        tool = self._actor.tool(call.name)
        validated = tool.validate(call.arguments)
        before = self._now()
        context = ToolContext(
            run_id=self._step.run_id,
            ticket=self._step.ticket,
            agent=self._agent.name,
            network=self._network,
            step=self._step.under(key),
            idempotency_key=self._step.idempotency_key(key),
            state=dict(before),
        )
        value = await tool.invoke(context, validated)
        changed = {k: v for k, v in context.state.items() if k not in before or before[k] != v}
        return CallOutcome(content=render(value), state=changed)

    def _result(self, stop: Stop) -> TurnResult:
        usage = sum((r.usage for r in self._responses[1:]), self._responses[0].usage)
        return TurnResult(
            agent=self._agent.name,
            text=self._responses[-1].message.text,
            calls=self._calls,
            stop=stop,
            messages=self._added,
            usage=usage,
            state=self._changed,
        )


def _stop_of(response: ModelResponse) -> Stop:
    if response.stop_reason in {"refusal", "max_tokens"}:
        return response.stop_reason
    return "done"


def _heard(response: ModelResponse) -> str:
    """A response in a line, for the timeline."""
    calls = [f"{call.name}({_brief(call.arguments)})" for call in response.message.tool_calls]
    return "; ".join([*calls, response.message.text][:8]).strip("; ")[:500]


def _brief(arguments: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in arguments.items())[:200]
