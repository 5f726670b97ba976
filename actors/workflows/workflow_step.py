"""The durable verbs of a workflow function: those of every body, and letting agents work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

import msgspec

from ...runtime.actor_step import ActorStep
from ...runtime.step import Step
from ..agents.agent import Agent
from ..models.attachment import Attachment, mentioning
from ..networks.network import Network
from ..threads.thread import Conversation
from ..threads.turn import NetworkInput, NetworkResult, S, TurnInput, TurnResult

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
        """Let a network work on `task`, and wait for its result.

        Args:
            network: One of the app's `networks`.
            task: What it is to do.
            state: The initial state: a value of the network's `state` type, or a dict that fits.
            thread: The name of a conversation, stored by the app's `history`, to continue: the
                agents see its earlier messages, and the new ones are added to it.
            attachments: Images and documents that belong to `task`. They are recorded with it; if
                they come from outside, fetch them in a step.
            name: The step's name; default: the network's.

        Raises:
            BudgetSpent: it used up the tokens of its `budget`.
            MaxTurns: it took `max_turns` turns before its router said that it is done.
            StepFailed: a model, router or agent failed, and retrying did not help.
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
        """Let one agent take one turn on `task`, without a network, and wait for its result.

        The turn is as durable as a network's: responses of its model and results of its tools are
        recorded, and a question to a person occupies no worker. The result's `stop` says why the
        turn ended. A handoff is not carried out; `next` names the agent that it was to.

        Args:
            agent: One of the app's `agents`, or an agent of its networks. It needs a `model` of its
                own.
            task: What it is to do.
            state: What its tools see as `ctx.state`, a dict. Keys that they set are in the result's
                `state`.
            thread: The conversation to continue, as for `network`.
            attachments: Images and documents that belong to `task`, as for `network`.
            name: The step's name; default: the agent's.

        Raises:
            InvalidSetup: the app does not have the agent, or it has no model.
            StepFailed: its model or a tool failed, and retrying did not help.
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
        # All keys now, in the order of the calls: parallel branches reach them in any order.
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
