"""What a model was sent, as people see it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class PromptPart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of a message.

    Attributes:
        kind: `text`, `tool_call`, `tool_result`, `attachment`, or `other` for a block that only its
            provider understands.
        text: What it says; a call's arguments as JSON, and the type of an attachment.
        tool: The tool's name; of a result, where the request says it.
        id: Of a call, and of its result.
        is_error: Whether a result is an error.
    """

    kind: Literal["text", "tool_call", "tool_result", "attachment", "other"]
    text: str = ""
    tool: str = ""
    id: str = ""
    is_error: bool = False


class PromptMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message: its `role` as the provider calls it, and its `parts`."""

    role: str
    parts: list[PromptPart]


class PromptTool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that the model was offered; `parameters` is a JSON Schema."""

    name: str
    description: str = ""
    parameters: Any = None


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """What a model was sent.

    Attributes:
        run: The run's id.
        step: The path to the step that sent it.
        n: The position of the step's record in the run's log.
        place: Its index within the message at that position.
        form: Whose form `body` has: `anthropic`, `openai`, `responses`, or `layby` where the
            model's adapter does not say what it sends.
        model: The model's name.
        system: The instructions.
        messages: The conversation.
        new_from: The index of the first message that the request before it did not have.
        tools: The tools.
        params: The other fields of `body`.
        body: The JSON object of the request, without logins.
    """

    run: str = ""
    step: str = ""
    n: int = 0
    place: int = 0
    form: str
    model: str = ""
    system: str = ""
    messages: list[PromptMessage] = []
    new_from: int = 0
    tools: list[PromptTool] = []
    params: dict[str, Any] = {}
    body: dict[str, Any] = {}
