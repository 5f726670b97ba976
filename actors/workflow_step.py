"""The durable verbs of a workflow function: those of every body, and letting agents work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

import msgspec

from ..runtime.actor_step import ActorStep
from ..runtime.step import Step
from .agent import Agent
from .attachment import Attachment, mentioning
from .network import Network
from .thread import Conversation
from .turn import NetworkInput, NetworkResult, S, TurnInput, TurnResult

R = TypeVar("R")


class WorkflowStep(Step):
    """The durable verbs of a workflow function."""

    def network(
        self,
        network: Network[S],
        task: str,
        *,
        state: S | dict[str, Any] | None = None,
        thread: str = "",
        attachments: Sequence[Attachment] = (),
        name: str = "",
    ) -> Coroutine[Any, Any, NetworkResult[S]]:
        """Let a network work on `task` and wait for what it did.

        Args:
            network: Which; one of the app's `networks`.
            task: What it is to do.
            state: The first state: the network's `state` type, or a dict that fits it.
            thread: The conversation, kept by the app's `history`, that the work goes on with: the
                agents see what was said in it before, and what is said now is added to it.
            attachments: Pictures and documents that belong to `task`. They are recorded with it,
                so where they come from the world outside, have a step fetch them.
            name: The step's name; the network's unless given.

        Raises:
            BudgetSpent: it used up the tokens of its `budget`.
            MaxTurns: its router did not say that it is done within `max_turns`.
            StepFailed: a model, router or agent failed for good.
        """
        opening = network.task(task, state, attachments)
        key = self._key(name or network.name)

        def call(work: NetworkInput) -> Coroutine[Any, Any, NetworkResult[S]]:
            return self._call(key, network, work, network.name)

        return self._in_thread(key, thread, opening, call, lambda result: result.turns)

    def agent(
        self,
        agent: Agent,
        task: str,
        *,
        state: dict[str, Any] | None = None,
        thread: str = "",
        attachments: Sequence[Attachment] = (),
        name: str = "",
    ) -> Coroutine[Any, Any, TurnResult]:
        """Let one agent take one turn on `task`, without a network, and wait for what it did.

        The turn is as durable as a network's: what its model said and its tools returned is not
        asked for again, and no worker is held while a person is asked. `stop` of the result says
        why the turn ended; a handoff is not followed, `next` names to whom.

        Args:
            agent: Which; one of the app's `agents`, or an agent of its networks. It needs a
                `model` of its own.
            task: What it is to do.
            state: What its tools see as `ctx.state`, a dict; what they set is in the result's
                `state`.
            thread: The conversation that the turn goes on with, as in `network`.
            attachments: Pictures and documents that belong to `task`, as in `network`.
            name: The step's name; the agent's unless given.

        Raises:
            InvalidSetup: the app does not have the agent, or it has no model.
            StepFailed: its model or a tool failed for good.
        """
        work = agent.task(task, state, attachments)
        key = self._key(name or agent.name)

        def call(work: NetworkInput) -> Coroutine[Any, Any, TurnResult]:
            asked = TurnInput(agent=agent.name, network=work.network, task=work)
            return self._call(key, agent, asked, agent.name)

        return self._in_thread(key, thread, work, call, lambda turn: [turn])

    def _in_thread(
        self,
        key: str,
        thread: str,
        work: NetworkInput,
        call: Callable[[NetworkInput], Coroutine[Any, Any, R]],
        turns: Callable[[R], Sequence[TurnResult]],
    ) -> Coroutine[Any, Any, R]:
        if not thread:
            return call(work)
        # All keys now, in the order of the calls: branches side by side get to them in any order.
        keys = (self._key(f"{key} thread"), self._key(f"{key} kept"))
        return _continued(Conversation(ActorStep.of(self), thread, *keys), work, call, turns)


async def _continued(
    conversation: Conversation,
    work: NetworkInput,
    call: Callable[[NetworkInput], Awaitable[R]],
    turns: Callable[[R], Sequence[TurnResult]],
) -> R:
    before = await conversation.begin(mentioning(work.input, work.attachments))
    result = await call(msgspec.structs.replace(work, before=before))
    await conversation.end(turns(result))
    return result
