"""What an agent sees of a network's turns before its own."""

from __future__ import annotations

from typing import Any

from ..runtime.journal import Frame, RunState
from ..runtime.step import Step
from ..runtime.values import load
from .model import Message, Text
from .turn import NetworkInput, TurnInput, TurnResult


async def turns_before(step: Step, state: RunState, frame: Frame) -> list[TurnResult]:
    """The finished turns of the network frame that `frame` is a turn of, in order."""
    asked = load(frame.input, TurnInput)
    slots = state.frames[frame.parent].slots
    found: list[TurnResult] = []
    for number in range(asked.number):
        found += [
            await step.read(slot.result, TurnResult)
            for key, slot in slots.items()
            if key.startswith(f"turn#{number}.") and slot.settled and slot.error is None
        ]
    return found


async def conversation(
    step: Step, state: RunState, frame: Frame, task: NetworkInput
) -> tuple[list[Message], dict[str, Any]]:
    """The messages before a turn, and the network's state at its beginning."""
    asked = load(frame.input, TurnInput)
    messages = [say(task.input)]
    values = dict(task.state)
    for turn in await turns_before(step, state, frame):
        values.update(turn.state)
        messages += turn.messages if turn.agent == asked.agent else [say(retold(turn))]
    if messages[-1].role == "assistant":
        messages.append(say("It is your turn again."))
    return messages, values


def say(text: str) -> Message:
    """A user message."""
    return Message(role="user", parts=[Text(text=text)])


def retold(turn: TurnResult) -> str:
    """Another agent's turn, as text: its tools are not this agent's tools."""
    lines = [f"[{turn.agent} took a turn.]"]
    lines += [
        f"- It called {call.name} with {call.arguments}: {'error: ' if call.is_error else ''}"
        f"{call.content}"
        for call in turn.calls
    ]
    if turn.text:
        lines.append(f"- It said: {turn.text}")
    return "\n".join(lines)
