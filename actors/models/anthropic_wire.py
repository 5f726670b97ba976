"""Converts messages to those of Anthropic's Messages API, and back. Pure: no client, no network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .attachment import Document, Image
from .model import (
    Message,
    ModelError,
    ModelRequest,
    ModelResponse,
    Opaque,
    Part,
    StopReason,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
)

PROVIDER = "anthropic"
_CACHED: dict[str, Any] = {"cache_control": {"type": "ephemeral"}}

_STOPS: dict[str, StopReason] = {
    "end_turn": "end",
    "tool_use": "tool_use",
    "max_tokens": "max_tokens",
    "stop_sequence": "stop_sequence",
    "refusal": "refusal",
    "model_context_window_exceeded": "context_window",
    "pause_turn": "pause",
}
_CUT_SHORT = {"max_tokens", "context_window", "refusal"}
_THINKING = {"thinking", "redacted_thinking"}
_REFUSAL = "refusal"  # ours: the API has no such block


def write_request(request: ModelRequest) -> dict[str, Any]:
    """The fields of an API request for one of ours."""
    fields: dict[str, Any] = {"messages": write_messages(request.messages)}
    if request.system:
        fields["system"] = [{"type": "text", "text": request.system}]
    if request.tools:
        fields["tools"] = [_write_tool(tool) for tool in request.tools]
        fields["tool_choice"] = _write_tool_choice(request.tool_choice)
    return fields


def cached(fields: dict[str, Any], *, top_level: bool) -> dict[str, Any]:
    """The request with the mark that lets its prompt be cached.

    The mark goes on the request itself (`top_level`) or, for older SDKs, on the last block of what
    stays the same from request to request: system or tools.
    """
    if top_level:
        return {**_CACHED, **fields}
    for part in ("system", "tools"):
        if blocks := fields.get(part):
            return {**fields, part: [*blocks[:-1], {**blocks[-1], **_CACHED}]}
    return fields


def write_messages(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """The conversation in alternating turns, each with its tool results first."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        blocks = _write_blocks(message)
        if blocks and turns and turns[-1]["role"] == message.role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": message.role, "content": blocks})
    for turn in turns:
        turn["content"].sort(key=_is_not_a_result)  # stable
    return turns


def _is_not_a_result(block: dict[str, Any]) -> bool:
    return bool(block["type"] != "tool_result")


def _write_blocks(message: Message) -> list[dict[str, Any]]:
    blocks = [block for part in message.parts if (block := _write_block(part)) is not None]
    while message.role == "assistant" and blocks and blocks[-1]["type"] in _THINKING:
        blocks.pop()  # the API refuses a turn that ends in a thought
    return blocks


def _write_block(part: Part) -> dict[str, Any] | None:
    """The API's block; None for a part that it would refuse: blank text, or another provider's."""
    match part:
        case Text(text=text):
            return {"type": "text", "text": text} if text.strip() else None
        case Image() | Document():
            return _write_attachment(part)
        case ToolCall():
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": part.arguments}
        case ToolResult():
            block = {"type": "tool_result", "tool_use_id": part.id, "content": part.content}
            return {**block, "is_error": True} if part.is_error else block
        case Opaque(provider=provider, data=data):
            ours = provider != PROVIDER or data.get("type") == _REFUSAL
            return None if ours else dict(data)


def _write_attachment(part: Image | Document) -> dict[str, Any]:
    kind = "image" if isinstance(part, Image) else "document"
    title = {"title": part.name} if isinstance(part, Document) and part.name else {}
    source: dict[str, str]
    if part.url:
        source = {"type": "url", "url": part.url}
    elif isinstance(part, Document) and part.is_text:
        source = {"type": "text", "media_type": "text/plain", "data": part.text}
    else:
        source = {"type": "base64", "media_type": part.media_type, "data": part.base64}
    return {"type": kind, "source": source, **title}


def _write_tool(tool: ToolSpec) -> dict[str, Any]:
    description = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **description, "input_schema": tool.parameters}


def _write_tool_choice(choice: str) -> dict[str, Any]:
    return (
        {"type": choice} if choice in {"auto", "any", "none"} else {"type": "tool", "name": choice}
    )


def read_message(message: Any) -> ModelResponse:
    """The SDK's final `Message` as our response.

    A response that was cut short loses its tool calls: the last one may lack part of its arguments,
    and a call without a result would make the conversation invalid.

    Raises:
        ModelError: the API stopped for a reason that this version does not know.
    """
    stop = _STOPS.get(message.stop_reason)
    if stop is None:
        raise ModelError(
            f"{message.model} stopped for an unknown reason, {message.stop_reason!r}; update layby"
        )
    parts = _read_parts(message, cut_short=stop in _CUT_SHORT)
    if stop == "end" and any(isinstance(part, ToolCall) for part in parts):
        stop = "tool_use"  # some servers that imitate the API say "end_turn"
    return ModelResponse(
        message=Message(role="assistant", parts=parts),
        stop_reason=stop,
        usage=_read_usage(message.usage),
        model=message.model,
    )


def _read_parts(message: Any, *, cut_short: bool) -> list[Part]:
    parts = [*map(_read_block, message.content), _read_refusal(message)]
    unwanted = ToolCall if cut_short else ()
    return [part for part in parts if part is not None and not isinstance(part, unwanted)]


def _read_block(block: Any) -> Part | None:
    match block.type:
        case "text":
            return Text(text=block.text) if block.text else None
        case "tool_use":
            return ToolCall(id=block.id, name=block.name, arguments=dict(block.input))
        case "thinking" if not block.signature:
            return None  # cut short: the API would refuse it in the next request
        case _:
            return Opaque(provider=PROVIDER, data=block.to_dict())


def _read_refusal(message: Any) -> Part | None:
    """The reason of a refusal, for people who read the log; never sent back."""
    details = getattr(message, "stop_details", None)
    return details and Opaque(provider=PROVIDER, data={**details.to_dict(), "type": _REFUSAL})


def _read_usage(usage: Any) -> Usage:
    return Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_input_tokens or 0,
        cache_write_tokens=usage.cache_creation_input_tokens or 0,
    )
