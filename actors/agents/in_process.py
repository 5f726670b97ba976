"""Runs one agent in memory, for scripts: the same loop, without a server or durability."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ...runtime.actor_step import ActorStep
from ...runtime.entry import Called, Raw
from ...runtime.errors import NeedsServer as NeedsServer  # noqa: PLC0414  re-exported
from ...runtime.memory import MemoryPorts, MemoryRecorder
from ...runtime.strand import entering
from ...runtime.values import dump, load
from ...tools.source import close, sources
from ..models.attachment import Attachment, checked_attachments
from ..models.model import Message, Model, ToolResult
from ..state.state import StateType, Values
from ..threads.history import past_of, say
from ..threads.thread import Earlier
from ..threads.turn import NetworkInput, TurnInput, TurnResult
from .loop import Turn
from .surroundings import NoNetwork
from .toolbox import equipped

if TYPE_CHECKING:
    from .definition import AgentDefinition


async def run_alone(
    agent: AgentDefinition,
    task: str,
    *,
    model: Model | None = None,
    state: Any = None,
    messages: Sequence[Message] = (),
    attachments: Sequence[Attachment] = (),
) -> TurnResult:
    """Let `agent` take one turn in memory; see `Agent.run`."""
    kind = StateType(None if state is None or isinstance(state, dict) else type(state))
    around = NoNetwork(default_model=model, state_type=kind)
    shown = checked_attachments(f"agent {agent.name!r}", attachments)
    work = NetworkInput(network="", input=task, state=kind.opening(state), attachments=shown)
    try:
        turn = await _Script(agent, around, uuid.uuid4().hex).play(agent, work, messages)
    finally:
        each_tools = (getattr(each, "tools", ()) for each in agent.performers())
        await close(source for tools in each_tools for source in sources(tools))
    return agent.typed(msgspec.structs.replace(turn, messages=[say(task, shown), *turn.messages]))


class _Script:
    """Takes the turns of an agent in a script, and of the agents that its tools call."""

    def __init__(self, agent: AgentDefinition, around: NoNetwork, run_id: str) -> None:
        self._around = around
        self._ports = MemoryPorts()
        self._run = run_id
        self._agents = {each.address: each for each in agent.performers()}

    async def play(
        self, agent: AgentDefinition, work: NetworkInput, messages: Sequence[Message] = ()
    ) -> TurnResult:
        """Let `agent` take one turn."""
        past = past_of(agent.name, work, earlier=_turns_of(messages, agent.name))
        step = ActorStep(MemoryRecorder(self._run, self._called), self._ports)
        with entering(0, 0):
            turn = Turn(
                await equipped(agent, step),
                agent.model or self._around.default_model,
                step,
                task=work,
                before=await past.messages(agent.history),
                values=Values(self._around.state_type, work.state),
            )
            return await turn.take()

    async def _called(self, called: Called) -> Raw:
        asked = load(called.input, TurnInput)
        agent = self._agents.get(called.actor)
        if agent is None or asked.task is None:
            raise NeedsServer(f"only a run on a server can call {called.actor}")
        return dump(await self.play(agent, asked.task))


def _turns_of(messages: Sequence[Message], agent: str) -> list[Earlier]:
    """The messages of earlier results, turn by turn: each begins with a message of the user."""
    turns: list[Earlier] = []
    for message in messages:
        results = any(isinstance(part, ToolResult) for part in message.parts)
        if not turns or (message.role == "user" and not results):
            turns.append(Earlier(agent, [], []))
        turns[-1].said.append(message)
    return turns
