"""Converts messages to items of OpenAI's Responses API. Pure: no client, no network.

A response is a list of items: reasoning, text, calls. They go back in the order in which they came,
because reasoning belongs to the item after it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from .attachment import Document, Image
from .model import Message, ModelRequest, Opaque, Part, Text, ToolCall, ToolResult, ToolSpec
from .openai_wire import write_tool_choice

PROVIDER = "openai-responses"
PHASE = "phase"
"""The phase of the text that follows: a comment along the way, or the answer."""
REFUSAL = "refusal"
"""Our own: the reason of a refusal, for people who read the log; never sent back."""


def write_response_request(request: ModelRequest, *, stored: bool = False) -> dict[str, Any]:
    """The fields of an API request for one of ours.

    Unless responses are `stored`, reasoning without its encrypted content cannot be sent back.
    """
    items = [item for message in request.messages for item in _write_message(message, stored)]
    fields: dict[str, Any] = {"input": items}
    if request.system:
        fields["instructions"] = request.system
    if request.tools:
        fields["tools"] = [_write_tool(tool) for tool in request.tools]
        fields["tool_choice"] = write_tool_choice(request.tool_choice, _named)
    return fields


def _write_message(message: Message, stored: bool) -> list[dict[str, Any]]:  # noqa: FBT001
    if message.role == "assistant":
        return _write_assistant(message.parts, stored)
    results = [_write_result(part) for part in message.parts if isinstance(part, ToolResult)]
    content = [block for part in message.parts if (block := _write_block(part)) is not None]
    return [*results, {"role": "user", "content": content}] if content else results


def _write_assistant(parts: Iterable[Part], stored: bool) -> list[dict[str, Any]]:  # noqa: FBT001
    written: list[dict[str, Any]] = []
    reasoning: list[dict[str, Any]] = []
    phase: dict[str, Any] = {}
    for part in parts:
        item: dict[str, Any] | None = None
        match part:
            case Text(text=text) if text.strip():
                item = {"role": "assistant", "content": text, **phase}
                phase = {}
            case ToolCall():
                item = _write_call(part)
            case Opaque(provider=provider, data=data) if provider == PROVIDER:
                if data.get("type") == PHASE:
                    phase = {"phase": data["phase"]}
                elif data.get("type") == "reasoning":
                    if stored or data.get("encrypted_content"):
                        reasoning.append(_without_status(data))
                elif data.get("type") != REFUSAL:
                    item = dict(data)
            case _:
                pass
        if item is not None:  # the API rejects reasoning that nothing follows
            written += [*reasoning, item]
            reasoning = []
    return written


def _without_status(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "status"}


def _write_call(call: ToolCall) -> dict[str, Any]:
    arguments = json.dumps(call.arguments, ensure_ascii=False)
    return {
        "type": "function_call",
        "call_id": call.id,
        "name": call.name,
        "arguments": arguments,
    }


def _write_result(result: ToolResult) -> dict[str, Any]:
    output = f"Error: {result.content}" if result.is_error else result.content
    return {"type": "function_call_output", "call_id": result.id, "output": output}


def _write_block(part: Part) -> dict[str, Any] | None:
    match part:
        case Text(text=text):
            return {"type": "input_text", "text": text} if text.strip() else None
        case Image():
            return {"type": "input_image", "detail": "auto", "image_url": part.data_url}
        case Document():
            return _write_document(part)
        case _:
            return None


def _write_document(document: Document) -> dict[str, Any]:
    if document.is_text:
        name = document.name or "document"
        return {"type": "input_text", "text": f"[{name}]\n{document.text}"}
    if document.url:
        return {"type": "input_file", "file_url": document.url}
    name = document.name or "document.pdf"
    return {"type": "input_file", "filename": name, "file_data": document.data_url}


def _write_tool(tool: ToolSpec) -> dict[str, Any]:
    description = {"description": tool.description} if tool.description else {}
    # Otherwise the API takes every schema for a strict one, without optional fields.
    return {
        "type": "function",
        "name": tool.name,
        **description,
        "parameters": tool.parameters,
        "strict": False,
    }


def _named(name: str) -> dict[str, Any]:
    return {"type": "function", "name": name}
