"""A tool call from the model's wish to its recorded outcome: hooks, approval, the tool itself.

Each part is a step of its own, so that none runs again because a later one failed or waited:
`before` (what the hook and the approval policy decided), `approve` (the question to a person),
`tool` (what came of it), `after` (what the hook made of that).
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple

import msgspec

from ..runtime.actor_step import ActorStep
from ..runtime.errors import AskTimedOut, QuestionLimit, StepFailed
from ..runtime.retry import NEVER, Retry
from ..runtime.step import Step
from ..runtime.values import BadValue
from ..tools import approval
from ..tools.context import ToolContext
from ..tools.errors import Fatal, InvalidArguments, ToolError, ToolTimedOut, UnknownTool
from ..tools.render import render
from ..tools.tool import Tool
from .agent import Agent
from .hooks import settled
from .keys import AFTER, APPROVE, BEFORE, Key
from .model import ToolCall
from .state import Values, View
from .turn import CallOutcome, Prepared

_EDITS = 3
"""Times that a person may send arguments that the tool refuses."""


class _Cleared(NamedTuple):
    """A call as it may run, or the outcome in its place."""

    arguments: dict[str, Any]
    digest: str = ""
    """Of what a person approved; empty where nobody was asked."""
    edited: bool = False
    refusal: CallOutcome | None = None


class Calls:
    """The tool calls of one turn."""

    def __init__(self, agent: Agent, step: ActorStep, network: str, values: Values) -> None:
        self.tokens_left: int | None = None
        self._agent = agent
        self._step = step
        self._network = network
        self._values = values
        self._tools = {tool.name: tool for tool in agent.own_tools}
        self._free = asyncio.Semaphore(agent.max_parallel_tools)

    async def outcome(self, key: Key, call: ToolCall) -> CallOutcome:
        """What comes of a call; `key` is that of its result."""
        tool = self._tools.get(call.name)
        prepared = await self._prepare(str(key.of(BEFORE)), tool, call)
        cleared = await self._clear(str(key.of(APPROVE)), tool, prepared)
        outcome = await self._run(str(key), call, prepared, cleared)
        if outcome.arguments is None and cleared.arguments != call.arguments:
            outcome = msgspec.structs.replace(outcome, arguments=cleared.arguments)
        actual = msgspec.structs.replace(call, arguments=cleared.arguments)
        outcome = await self._after(str(key.of(AFTER)), actual, prepared, outcome)
        return msgspec.structs.replace(
            outcome,
            state={**prepared.state, **outcome.state},
            agent_state={**prepared.agent_state, **outcome.agent_state},
        )

    # -- before --------------------------------------------------------------------------------

    async def _prepare(self, key: str, tool: Tool[..., Any] | None, call: ToolCall) -> Prepared:
        """What the hook and the approval policy say; recorded where there are any."""
        if self._agent.before_tool is None and not (tool and tool.needs_approval):
            return Prepared(arguments=call.arguments)

        async def effect() -> Prepared:
            try:
                return await self._decide(key, tool, call)
            except ToolError as error:
                return Prepared(arguments=call.arguments, outcome=_failed(str(error)))

        try:
            prepared: Prepared = await self._step.perform(
                key, effect, Prepared, retry=NEVER, note=call.name
            )
        except StepFailed as error:
            _let_fatal_pass(error)
            return Prepared(
                arguments=call.arguments, outcome=_failed(f"{call.name} was not run: {error}")
            )
        return prepared

    async def _decide(self, key: str, tool: Tool[..., Any] | None, call: ToolCall) -> Prepared:
        view = self._values.view()
        context = self._context(key, view)
        hook = self._agent.before_tool
        chosen = None if hook is None else await settled(hook(context, call))
        if isinstance(chosen, str):
            chosen = CallOutcome(content=chosen)
        if isinstance(chosen, CallOutcome):
            state, own = view.changes()
            return Prepared(arguments=call.arguments, outcome=chosen, state=state, agent_state=own)
        arguments = chosen.arguments if isinstance(chosen, ToolCall) else call.arguments
        role = digest = ""
        if tool is not None and tool.needs_approval:
            full = tool.validate(arguments)
            role = await approval.role_for(tool.needs_approval, context, full)
            digest = approval.digest_of(tool, arguments, full)
        state, own = view.changes()
        return Prepared(arguments=arguments, role=role, digest=digest, state=state, agent_state=own)

    # -- approval ------------------------------------------------------------------------------

    async def _clear(self, name: str, tool: Tool[..., Any] | None, prepared: Prepared) -> _Cleared:
        """The call as it may run. Whatever is no clear yes keeps the tool from running."""
        if prepared.outcome is not None or tool is None or not prepared.role:
            return _Cleared(prepared.arguments, refusal=prepared.outcome)
        try:
            return await self._ask(name, tool, prepared)
        except AskTimedOut:
            why = f"{tool.name} was not run: no {prepared.role} approved it in time"
        except (InvalidArguments, BadValue):
            why = _CHANGED.format(tool.name)
        except QuestionLimit as error:
            why = f"{tool.name} was not run: it needs approval, and {error}"
        return _Cleared(prepared.arguments, refusal=_failed(why))

    async def _ask(self, name: str, tool: Tool[..., Any], prepared: Prepared) -> _Cleared:
        full = tool.validate(prepared.arguments)
        problem = ""
        for _ in range(_EDITS):
            answer = await self._step.ask(
                prepared.role,
                approval.question(tool, self._agent.name, full, problem),
                context=approval.context(tool, full, prepared.digest),
                timeout=tool.approval_timeout,
                answer=approval.answer_type(tool, prepared.digest),
                agent=self._agent.name,
                name=name,
            )
            ruling = approval.read(answer.value)
            if ruling.kind != "edit":
                return _ruled(tool, prepared, ruling, answer.by)
            edited = ruling.arguments or {}
            try:
                digest = approval.digest_of(tool, edited, tool.validate(edited))
            except InvalidArguments as error:
                problem = f"The edited arguments do not fit: {error}"
            else:
                return _Cleared(edited, digest, edited=True)
        why = f"{tool.name} was not run: the arguments were edited, but did not fit"
        return _Cleared(prepared.arguments, refusal=_failed(why))

    # -- the tool ------------------------------------------------------------------------------

    async def _run(
        self, key: str, call: ToolCall, prepared: Prepared, cleared: _Cleared
    ) -> CallOutcome:
        tool = self._tools.get(call.name)

        async def effect() -> CallOutcome:
            if cleared.refusal is not None:
                return cleared.refusal
            async with self._free:
                return await self._try(key, call.name, prepared, cleared)

        def told(outcome: CallOutcome) -> str:
            return f"{call.name}: {outcome.content}"[:500]

        try:
            outcome: CallOutcome = await self._step.perform(
                key,
                effect,
                CallOutcome,
                retry=Retry(attempts=1 + (tool.retries if tool else 0)),
                note=told,
            )
        except StepFailed as error:
            _let_fatal_pass(error)
            return _failed(f"{call.name} failed: {error}")
        return outcome

    async def _try(self, key: str, name: str, prepared: Prepared, cleared: _Cleared) -> CallOutcome:
        try:
            return await self._invoke(key, name, prepared, cleared)
        except ToolTimedOut:
            raise
        except (ToolError, AskTimedOut, QuestionLimit) as error:
            return _failed(str(error))

    async def _invoke(
        self, key: str, name: str, prepared: Prepared, cleared: _Cleared
    ) -> CallOutcome:
        tool = self._tools.get(name)
        if tool is None:
            raise UnknownTool(name, self._tools)
        validated = tool.validate(cleared.arguments)
        actual = approval.digest_of(tool, cleared.arguments, validated) if cleared.digest else ""
        if actual != cleared.digest:
            return _failed(_CHANGED.format(name))
        view = self._values.with_changes(prepared.state, prepared.agent_state).view()
        value = await tool.invoke(self._context(key, view), validated)
        outcome = value if isinstance(value, CallOutcome) else CallOutcome(content=render(value))
        state, own = view.changes()
        return msgspec.structs.replace(
            outcome,
            content=f"{_edit_note(cleared)}{outcome.content}",
            state={**state, **outcome.state},
            agent_state={**own, **outcome.agent_state},
        )

    def _context(self, key: str, view: View) -> ToolContext[Any]:
        return ToolContext(
            run_id=self._step.run_id,
            ticket=self._step.ticket,
            agent=self._agent.name,
            network=self._network,
            step=self._step.under(key).verbs(Step),
            idempotency_key=self._step.idempotency_key(key),
            state=view.state,
            agent_state=view.agent_state,
            tokens_left=self.tokens_left,
        )

    # -- after ---------------------------------------------------------------------------------

    async def _after(
        self, key: str, call: ToolCall, prepared: Prepared, outcome: CallOutcome
    ) -> CallOutcome:
        hook = self._agent.after_tool
        if hook is None:
            return outcome

        async def effect() -> CallOutcome:
            state = {**prepared.state, **outcome.state}
            own = {**prepared.agent_state, **outcome.agent_state}
            view = self._values.with_changes(state, own).view()
            chosen = await settled(hook(self._context(key, view), call, outcome))
            if isinstance(chosen, str):
                chosen = msgspec.structs.replace(outcome, content=chosen)
            final: CallOutcome = outcome if chosen is None else chosen
            changes = view.changes()
            return msgspec.structs.replace(
                final,
                state={**final.state, **changes.state},
                agent_state={**final.agent_state, **changes.agent_state},
            )

        changed: CallOutcome = await self._step.perform(
            key, effect, CallOutcome, retry=NEVER, note=call.name
        )
        return changed


_CHANGED = "{} was not run: its arguments are not what was approved any more"


def _edit_note(cleared: _Cleared) -> str:
    """What the model should know when it did not choose the arguments itself."""
    if not cleared.edited:
        return ""
    shown = json.dumps(cleared.arguments, ensure_ascii=False)
    return f"[A person changed the arguments to {shown}]\n"


def _failed(content: str) -> CallOutcome:
    return CallOutcome(content=content, is_error=True)


def _ruled(tool: Tool[..., Any], prepared: Prepared, ruling: approval.Ruling, by: str) -> _Cleared:
    """What a ruling other than an edit means."""
    match ruling.kind:
        case "approve":
            return _Cleared(prepared.arguments, prepared.digest)
        case "respond":
            return _Cleared(prepared.arguments, refusal=CallOutcome(content=ruling.text))
        case _:
            who = by or f"a {prepared.role}"
            why = f"{tool.name} was not run: {who} rejected it"
            return _Cleared(
                prepared.arguments, refusal=_failed(f"{why}: {ruling.text}" if ruling.text else why)
            )


def _let_fatal_pass(error: StepFailed) -> None:
    if error.type_name == Fatal.__name__:
        raise error
