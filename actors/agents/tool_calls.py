"""Tool calls, from the model's request to the recorded outcome: hooks, approval, the tool itself.

Each part is a step of its own, so that none runs again because a later one failed or waited:
`before` (what the hook and the approval policy decided), `approve` (the question to a person),
`tool` (the tool's result), `after` (the result as the hook leaves it).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from ...runtime.actor_step import ActorStep
from ...runtime.calling import maybe_await
from ...runtime.errors import AskTimedOut, NoQuorum, QuestionLimit, StepFailed, WorkflowChanged
from ...runtime.retry import NEVER, Retry
from ...runtime.step import Step
from ...tools import approval
from ...tools.context import ToolContext
from ...tools.errors import Fatal, ToolError, ToolTimedOut, UnknownTool
from ...tools.render import render
from ...tools.tool import Tool
from ..keys import AFTER, APPROVE, BEFORE, TOOL, Key
from ..models.model import ToolCall
from ..state.state import Values
from ..threads.turn import CallOutcome, Prepared
from .cleared import Cleared, edit_note, failed
from .definition import AgentDefinition
from .failed_call import FailedCall, has_begun, policy_for
from .ledger import Ledger
from .recorded import NOT_RUN, Book, LiveContext, kept, prepared_with
from .tool_approval import CHANGED, ToolApproval
from .turnstile import Touch, Tries, Turnstile


class Calls:
    """The tool calls of one turn."""

    def __init__(
        self, agent: AgentDefinition, step: ActorStep, network: str, values: Values
    ) -> None:
        self._values = values
        self._agent = agent
        self._step = step
        self._network = network

    async def respond(
        self, calls: Mapping[Key, ToolCall], tokens_left: int | None
    ) -> list[CallOutcome]:
        """Perform the calls of one response, and apply their changes to the state.

        `calls` are by the keys of their results.
        """
        about = self._agent, self._step, self._network, self._values
        return await _Response(*about, calls, tokens_left=tokens_left).perform()


class _Response:
    """The calls of one response."""

    def __init__(
        self,
        agent: AgentDefinition,
        step: ActorStep,
        network: str,
        values: Values,
        calls: Mapping[Key, ToolCall],
        *,
        tokens_left: int | None,
    ) -> None:
        self._tokens_left = tokens_left
        self._calls = calls
        self._ledger = Ledger(values, step.recorded)
        self._book = Book(step, self._ledger, calls)
        self._turnstile = Turnstile()
        self._agent = agent
        self._step = step
        self._network = network
        self._values = values
        self._tools = {tool.name: tool for tool in agent.own_tools}
        self._approval = ToolApproval(step, agent.name)
        self._free = asyncio.Semaphore(agent.max_parallel_tools)

    async def perform(self) -> list[CallOutcome]:
        """Perform the calls; their outcomes, in the order of the calls."""
        await self._book.catch_up()
        outcomes: list[CallOutcome] = await self._step.gather(
            *(self._outcome(key, call) for key, call in self._calls.items())
        )
        merged = self._ledger.merged()
        self._values.take(merged)
        last = TOOL if self._agent.after_tool is None else AFTER
        return [
            self._book.reported(key.of(last), outcome, merged)
            for key, outcome in zip(self._calls, outcomes, strict=True)
        ]

    async def _outcome(self, key: Key, call: ToolCall) -> CallOutcome:
        tool = self._tools.get(call.name)
        edited = self._step.edited(str(key))
        wanted = call if edited is None else msgspec.structs.replace(call, arguments=edited)
        prepared = await self._prepare(key.of(BEFORE), tool, wanted)
        if tool is None and has_begun(self._step, key, prepared):
            raise WorkflowChanged(
                f"agent {self._agent.name!r} no longer has the tool {call.name!r}, "
                "and a call of it has begun: put the tool back"
            )
        cleared = await self._approval.clear(key.of(APPROVE), tool, prepared)
        if edited is not None:
            cleared = cleared._replace(edited=True)
        outcome = await self._run(key, call, cleared)
        if outcome.arguments is None and cleared.arguments != call.arguments:
            outcome = msgspec.structs.replace(outcome, arguments=cleared.arguments)
        actual = msgspec.structs.replace(call, arguments=cleared.arguments)
        return await self._after(key.of(AFTER), actual, outcome)

    # -- before --------------------------------------------------------------------------------

    async def _prepare(self, key: Key, tool: Tool[..., Any] | None, call: ToolCall) -> Prepared:
        """Let the hook and the approval policy decide; recorded if there are any."""
        decides = self._agent.before_tool is not None or bool(tool and tool.needs_approval)
        if not decides and self._step.recorded(str(key)) is None:
            return Prepared(arguments=call.arguments)

        tries = Tries(self._ledger, self._turnstile)

        async def effect() -> Prepared:
            await self._book.catch_up()
            touch = tries.begin()
            try:
                return await touch.during(self._decide(key, touch, tool, call))
            except ToolError as error:
                outcome = failed(str(error))
                return prepared_with(touch, Prepared(arguments=call.arguments, outcome=outcome))

        try:
            with tries:
                prepared: Prepared = await self._step.perform(
                    str(key), effect, Prepared, retry=NEVER, note=call.name
                )
                self._book.note(key, prepared)
        except StepFailed as error:
            _let_fatal_pass(error)
            return Prepared(
                arguments=call.arguments, outcome=failed(f"{call.name} was not run: {error}")
            )
        return prepared

    async def _decide(
        self, key: Key, touch: Touch, tool: Tool[..., Any] | None, call: ToolCall
    ) -> Prepared:
        context = self._context(key, touch)
        hook = self._agent.before_tool
        chosen = None if hook is None else await maybe_await(hook(context, call))
        if isinstance(chosen, str):
            chosen = CallOutcome(content=chosen)
        if isinstance(chosen, CallOutcome):
            return prepared_with(touch, Prepared(arguments=call.arguments, outcome=chosen))
        arguments = chosen.arguments if isinstance(chosen, ToolCall) else call.arguments
        needed, digest, salt = approval.Needed(), "", ""
        if tool is not None and tool.needs_approval:
            full = tool.validate(arguments)
            needed = await approval.approvers_for(tool.needs_approval, context, full)
            digest = approval.digest_of(tool, arguments, full)
            salt = approval.new_salt() if tool.confidential else ""
        prepared = Prepared(
            arguments=arguments,
            role=needed.role,
            quorum=needed.quorum,
            digest=digest,
            salt=salt,
        )
        return prepared_with(touch, prepared)

    # -- the tool ------------------------------------------------------------------------------

    async def _run(self, key: Key, call: ToolCall, cleared: Cleared) -> CallOutcome:
        tool = self._tools.get(call.name)
        tries = Tries(self._ledger, self._turnstile)

        async def effect() -> CallOutcome:
            await self._book.catch_up()
            touch = tries.begin()
            refusal = self._ledger.merged().refused.get(str(key.of(BEFORE)))
            if refusal is not None:
                return kept(touch, failed(NOT_RUN.format(tool=call.name, why=refusal)))
            if cleared.refusal is not None:
                return kept(touch, cleared.refusal)
            async with self._free:
                return await self._try(key, touch, call.name, cleared)

        def summary(outcome: CallOutcome) -> str:
            return f"{call.name}: {outcome.content}"[:500]

        try:
            with tries:
                outcome: CallOutcome = await self._step.perform(
                    str(key),
                    effect,
                    CallOutcome,
                    retry=Retry(attempts=1 + (tool.retries if tool else 0)),
                    note=summary,
                )
                self._book.note(key, outcome)
        except StepFailed as error:
            _let_fatal_pass(error)
            decided = await self._decided_outcome(key, tool, cleared, error)
            return decided or failed(f"{call.name} failed: {error}")
        return outcome

    async def _decided_outcome(
        self, key: Key, tool: Tool[..., Any] | None, cleared: Cleared, error: StepFailed
    ) -> CallOutcome | None:
        """The result that a person supplies for a failed call; None: nobody does."""
        policy = None if tool is None else policy_for(self._step, key, tool)
        if tool is None or policy is None:
            return None
        call = FailedCall(self._step, key, tool, error)
        return await call.outcome(policy, self._agent.name, cleared.arguments)

    async def _try(self, key: Key, touch: Touch, name: str, cleared: Cleared) -> CallOutcome:
        tool = self._tools.get(name)
        work = self._invoke(key, touch, name, cleared)
        try:
            if tool is None or not tool.arguments.context:
                return await work  # it has no access to the state
            return await touch.during(work)
        except ToolTimedOut:
            raise
        except (ToolError, AskTimedOut, NoQuorum, QuestionLimit) as error:
            return kept(touch, failed(str(error)))

    async def _invoke(self, key: Key, touch: Touch, name: str, cleared: Cleared) -> CallOutcome:
        tool = self._tools.get(name)
        if tool is None:
            raise UnknownTool(name, self._tools)
        validated = tool.validate(cleared.arguments)
        actual = approval.digest_of(tool, cleared.arguments, validated) if cleared.digest else ""
        if actual != cleared.digest:
            return kept(touch, failed(CHANGED.format(name)))
        tracing = self._step.ports.tracer.work(
            "tool", name, id=self._calls[key].id, arguments=cleared.arguments
        )
        with self._step.entering(str(key), name), tracing as span:
            value = await tool.invoke(self._context(key, touch), validated)
            done = value if isinstance(value, CallOutcome) else CallOutcome(content=render(value))
            span.note(done)
        noted = msgspec.structs.replace(done, content=f"{edit_note(cleared)}{done.content}")
        return kept(touch, noted)

    def _context(self, key: Key, touch: Touch) -> ToolContext[Any]:
        return LiveContext.of(
            touch,
            run_id=self._step.run_id,
            ticket=self._step.ticket,
            agent=self._agent.name,
            network=self._network,
            step=self._step.under(str(key)).verbs(Step),
            idempotency_key=self._step.idempotency_key(str(key)),
            tokens_left=self._tokens_left,
        )

    # -- after ---------------------------------------------------------------------------------

    async def _after(self, key: Key, call: ToolCall, outcome: CallOutcome) -> CallOutcome:
        hook = self._agent.after_tool
        if hook is None:
            return outcome
        tries = Tries(self._ledger, self._turnstile)

        async def decide(touch: Touch) -> CallOutcome:
            own = _without_changes(outcome)
            seen = self._book.reported(key.of(TOOL), own, self._ledger.merged())
            chosen = await maybe_await(hook(self._context(key, touch), call, seen))
            if isinstance(chosen, str):
                chosen = msgspec.structs.replace(seen, content=chosen)
            return kept(touch, seen if chosen is None else chosen)

        async def effect() -> CallOutcome:
            await self._book.catch_up()
            touch = tries.begin()
            return await touch.during(decide(touch))

        with tries:
            changed: CallOutcome = await self._step.perform(
                str(key), effect, CallOutcome, retry=NEVER, note=call.name
            )
            self._book.note(key, changed)
        return changed


def _without_changes(outcome: CallOutcome) -> CallOutcome:
    """An outcome without its changes, which are recorded with the call itself."""
    return msgspec.structs.replace(
        outcome, state={}, agent_state={}, changes=None, own_changes=[], seen=[]
    )


def _let_fatal_pass(error: StepFailed) -> None:
    if error.type_name == Fatal.__name__:
        raise error
