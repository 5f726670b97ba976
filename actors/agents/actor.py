"""The actor of an agent."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from ...runtime.actor_step import ActorStep
from ...runtime.state import Frame, RunState
from ..keys import HISTORY
from ..models.model import MODEL_RETRY, Message
from ..state.state import Values
from ..threads.history import History, Past, conversation, past_of
from ..threads.thread import earlier_of
from ..threads.turn import NetworkInput, TurnInput, TurnResult
from .definition import AgentDefinition
from .loop import Turn
from .surroundings import NOWHERE, Surroundings
from .toolbox import equipped


class AgentActor:
    """The actor of an agent: takes its turns, in any network."""

    strict = False

    def __init__(self, agent: AgentDefinition, networks: Mapping[str, Surroundings]) -> None:
        self.agent = agent
        self._networks = networks

    @property
    def address(self) -> str:
        """The actor's name in subjects."""
        return self.agent.address

    @property
    def concurrency(self) -> int | None:
        """The most turns that one worker takes at the same time; None: as the app says."""
        return self.agent.concurrency

    async def enter(self, step: ActorStep, frame: Frame, state: RunState) -> TurnResult:
        """Take a turn: model, tools, model, until it is done, stopped or out of steps."""
        asked: TurnInput = await step.read(frame.input, TurnInput)
        network = self._networks[asked.network] if asked.network else NOWHERE
        kind = network.state_type
        if asked.task is None:
            task: NetworkInput = await step.read(state.frames[frame.parent].input, NetworkInput)
            past, progress = await conversation(step, state, frame, asked, task, kind=kind)
            values = Values(kind, progress.values, progress.agent_states.get(asked.agent))
        else:
            task = asked.task
            past = past_of(asked.agent, task, earlier=earlier_of(task.before, asked.agent))
            values = Values(kind, task.state)
        messages = await _remembered(step, past, self.agent.history)
        model = self.agent.model or network.default_model
        turn = Turn(
            await equipped(self.agent, step),
            model,
            step,
            task=task,
            before=messages,
            values=values,
            tokens=asked.tokens,
        )
        return await turn.take()


async def _remembered(step: ActorStep, past: Past, policy: History) -> list[Message]:
    """What a policy lets the agent see. An async policy may ask a model: it runs once per turn."""
    if not inspect.iscoroutinefunction(policy):
        return await past.messages(policy)
    messages: list[Message] = await step.perform(
        HISTORY, lambda: past.messages(policy), list[Message], retry=MODEL_RETRY, note="history"
    )
    return messages
