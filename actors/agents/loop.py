"""The agent loop: model, tools, model, until the turn is done, stopped or out of steps."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from ...runtime.actor_step import ActorStep
from ...runtime.calling import maybe_await
from ...runtime.errors import InvalidSetup
from ...runtime.explaining import AskBack, Explained, explaining
from ...runtime.retry import NEVER
from ..keys import FINISH, MODEL, RESPONSE, TOOL, Key
from ..models.asking import ask
from ..models.model import (
    MODEL_RETRY,
    Message,
    Model,
    ModelRequest,
    ModelResponse,
    Part,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)
from ..models.prompt_recording import PromptRecorder
from ..state.patch import as_json
from ..state.state import Values
from ..threads.history import say
from ..threads.turn import (
    CallOutcome,
    CallRecord,
    NetworkInput,
    Stop,
    Thought,
    TurnResult,
    brief,
)
from .context import AgentContext
from .definition import AgentDefinition
from .final_answer import FinalAnswer
from .hooks import Halt
from .output import finals
from .reply import AgentReply, replies_in
from .tool_calls import Calls


class Turn:
    """One turn in progress: the conversation so far, and what its tools have set."""

    def __init__(
        self,
        agent: AgentDefinition,
        model: Model | None,
        step: ActorStep,
        *,
        task: NetworkInput,
        before: list[Message],
        values: Values,
        tokens: int | None = None,
    ) -> None:
        self._agent = agent
        self._model = model
        self._step = step
        self._task = task
        self._before = before
        self._values = values
        self._tokens = tokens
        self._prompts = PromptRecorder(step, task.attachments)
        self._calling = Calls(agent, step, task.network, values)
        self._added: list[Message] = []
        self._calls: list[CallRecord] = []
        self._usage = Usage()
        self._text = ""
        self._final = FinalAnswer(agent)

    async def take(self) -> TurnResult:
        """Take the turn to its end."""
        result = await self._play()
        hook = self._agent.on_finish
        if hook is None:
            return result

        async def effect() -> TurnResult:
            changed = await maybe_await(hook(self._context(), self._agent.typed(result)))
            return self._changed(result if changed is None else changed)

        finished: TurnResult = await self._step.perform(
            FINISH, effect, TurnResult, retry=NEVER, note="on_finish"
        )
        return finished

    async def _play(self) -> TurnResult:
        for number in range(self._agent.max_steps):
            if self._left() == 0:
                return self._result("budget_spent")
            thought = await self._think(number)
            if thought.message.tool_calls:
                stop = await self._act(number, thought.message)
            else:
                stop = self._conclude(thought)
            if stop is not None:
                return self._result(stop)
        return self._result("max_steps")

    # -- the model -----------------------------------------------------------------------------

    async def _think(self, number: int) -> Thought:
        model = self._required_model()
        key = str(Key(MODEL, number))
        effect = partial(self._infer, key, number, model)
        thought: Thought = await self._step.perform(
            key, effect, Thought, retry=MODEL_RETRY, note=brief, sending=self._prompts
        )
        self._usage += thought.usage
        thought = await self._reconsidered(number, thought)
        if thought.message.parts:
            self._added.append(thought.message)
        self._text = thought.message.text
        return thought

    def _left(self) -> int | None:
        """Tokens that the turn may still use; None: no limit."""
        return None if self._tokens is None else max(0, self._tokens - self._usage.tokens)

    async def _infer(self, key: str, number: int, model: Model) -> Thought:
        request = await self._request(number)
        hook = self._agent.on_start
        chosen = None if hook is None else await maybe_await(hook(self._context(), request))
        if isinstance(chosen, Halt):
            parts: list[Part] = [Text(text=chosen.text)] if chosen.text else []
            message = Message(role="assistant", parts=parts)
            return Thought(message=message, stop_reason="end", halted=True)
        request = chosen or request
        streaming = self._step.streaming(key, self._agent.name)
        with streaming as on_text, self._prompts.asking(model, request):
            response = await ask(self._step.ports.tracer, model, request, on_text)
        return Thought(**msgspec.structs.asdict(response))

    async def _reconsidered(self, number: int, thought: Thought) -> Thought:
        """The response as the `on_response` hook leaves it."""
        hook = self._agent.on_response
        if hook is None or thought.halted:
            return thought

        async def effect() -> ModelResponse:
            changed = await maybe_await(hook(self._context(), thought))
            return thought if changed is None else changed

        response: ModelResponse = await self._step.perform(
            str(Key(RESPONSE, number)), effect, ModelResponse, retry=NEVER, note="on_response"
        )
        return Thought(**msgspec.structs.asdict(response))

    def _required_model(self) -> Model:
        if self._model is None:
            raise InvalidSetup(
                f"agent {self._agent.name!r} has no model: give it one, "
                f"or give network {self._task.network!r} a default_model"
            )
        return self._model

    async def _request(self, number: int) -> ModelRequest:
        return ModelRequest(
            system=await self._system(),
            messages=[*self._before, *self._added],
            tools=self._agent.specs(),
            tool_choice=self._choice(number),
            max_tokens=self._agent.max_tokens,
        )

    def _choice(self, number: int) -> str:
        last = number == self._agent.max_steps - 1
        if self._agent.output is not None and last:
            return self._agent.output.spec.name
        return self._agent.tool_choice if number == 0 else "auto"

    async def _system(self) -> str:
        system = self._agent.system
        return (
            system if isinstance(system, str) else str(await maybe_await(system(self._context())))
        )

    def _context(self) -> AgentContext[Any]:
        values = self._values
        return AgentContext(
            run_id=self._step.run_id,
            ticket=self._step.ticket,
            network=self._task.network,
            input=self._task.input,
            state=values.kind.shown(values.shared),
            agent=self._agent.name,
            agent_state=as_json(values.own),
        )

    def _conclude(self, thought: Thought) -> Stop | None:
        """Why a response without tool calls ends the turn; None: ask the model again."""
        if thought.halted:
            return "halted"
        if thought.stop_reason == "refusal":
            return "refusal"
        if thought.stop_reason == "max_tokens":
            return "max_tokens"
        if self._agent.output is None:
            return "done"
        if problem := self._final.take_text(thought.message.text):
            self._added.append(say(problem))
            return None
        return "done"

    # -- the tools -----------------------------------------------------------------------------

    async def _act(self, number: int, message: Message) -> Stop | None:
        """Perform the calls of a response; why this ends the turn, None if it does not."""
        calls = message.tool_calls
        final = finals(message) if self._agent.output is not None else []
        others = [call for call in calls if call not in final]
        wanted = {
            Key(TOOL, number, place): call for place, call in enumerate(calls) if call not in final
        }
        with explaining(self._explain):
            outcomes = await self._calling.respond(wanted, self._left())
        self._usage += replies_in(self._step, number)
        results = {
            call.id: self._add(call, outcome)
            for call, outcome in zip(others, outcomes, strict=True)
        }
        results |= {call.id: self._final.take_call(call, alone=len(calls) == 1) for call in final}
        self._added.append(Message(role="user", parts=[results[call.id] for call in calls]))
        if self._final.is_given:
            return "done"
        if self._successor():
            return "handoff"
        met = any(condition(self._calls) for condition in self._agent.stop_when)
        return "stopped" if met else None

    async def _explain(self, asked: AskBack) -> Explained:
        """Reply to a person who asks back about a question of the calls that are performed."""
        model, left = self._required_model(), self._left()
        request = await self._request(self._agent.max_steps)
        return await AgentReply(self._step, self._agent.name, model, request, left)(asked)

    def _add(self, call: ToolCall, outcome: CallOutcome) -> ToolResult:
        """Add a call's outcome to the turn; the result that the model sees."""
        self._usage += outcome.usage
        arguments = call.arguments if outcome.arguments is None else outcome.arguments
        content, is_error = outcome.content, outcome.is_error
        self._calls.append(
            CallRecord(name=call.name, arguments=arguments, content=content, is_error=is_error)
        )
        return ToolResult(id=call.id, name=call.name, content=content, is_error=is_error)

    def _successor(self) -> str:
        """The agent that takes over after a handoff; empty: none."""
        handoffs = {tool.name: tool.hands_to for tool in self._agent.own_tools if tool.hands_to}
        made = (call.name for call in self._calls if not call.is_error)
        return next((handoffs[name] for name in made if name in handoffs), "")

    # -- the end -------------------------------------------------------------------------------

    def _result(self, stop: Stop) -> TurnResult:
        result = TurnResult(
            agent=self._agent.name,
            text=self._text or self._final.as_text,
            calls=self._calls,
            stop=stop,
            messages=self._added,
            usage=self._usage,
            state=self._values.changed,
            agent_state=self._values.own_changed,
            output=self._final.value,
            next=self._successor(),
            seen=self._task.seen,
        )
        return self._changed(result)

    def _changed(self, result: TurnResult) -> TurnResult:
        """The result with the changes of its states since the turn's start."""
        if result.changes is None:  # a new result, from a hook for instance: its states are set
            result = msgspec.structs.replace(
                result,
                state={**self._values.changed, **result.state},
                agent_state={**self._values.own_changed, **result.agent_state},
            )
        return msgspec.structs.replace(
            result,
            changes=self._values.ops(result.state),
            own_changes=self._values.own_ops(result.agent_state),
        )
