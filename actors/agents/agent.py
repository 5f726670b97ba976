"""`Agent`, as users declare one: its definition, and what it can do without a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...tools.source import AnyTool
from ..models.attachment import Attachment
from ..models.model import Message, Model
from ..threads.turn import TurnResult
from .definition import AgentDefinition
from .delegation import as_tool


@dataclass(frozen=True, eq=False)
class Agent(AgentDefinition):
    """An agent: it thinks with a model and acts with tools."""

    def as_tool(self, *, name: str | None = None, description: str | None = None) -> AnyTool:
        """Make a tool with which other agents delegate a task to this one.

        Args:
            name: The tool's name for models; default: `ask_` and the agent's name.
            description: What the tool does; default: the agent's `description`.
        """
        return as_tool(self, name=name, description=description)

    async def run(
        self,
        task: str,
        *,
        model: Model | None = None,
        state: Any = None,
        messages: Sequence[Message] = (),
        attachments: Sequence[Attachment] = (),
    ) -> TurnResult:
        """Take one turn in this process, without a server. Nothing is stored.

        Args:
            task: What the agent is to do.
            model: The model to use if the agent has none of its own.
            state: What its tools see as the network's state: a dict, or an instance of a model.
            messages: The conversation so far: the `messages` of earlier results, concatenated.
            attachments: Images and documents that belong to the task.

        Raises:
            NeedsServer: it asked a person, or did something else that needs a server.
            StepFailed: the model failed, and retrying did not help.
        """
        from .in_process import run_alone  # noqa: PLC0415  only scripts need it

        return await run_alone(
            self, task, model=model, state=state, messages=messages, attachments=attachments
        )
