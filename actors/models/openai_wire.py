"""Converts messages to those of the Chat Completions API. Pure: no client, no network."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

from .attachment import Document, Image
from .model import (
    Message,
    ModelError,
    ModelRequest,
    Opaque,
    Part,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
)

PROVIDER = "openai"
EXTRA = "tool_call_extra"
"""Data in a tool call that the server wants back, such as Gemini's thought signatures."""

_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def write_request(request: ModelRequest) -> dict[str, Any]:
    """The fields of an API request for one of ours. Raises ModelError."""
    system = [{"role": "system", "content": request.system}] if request.system else []
    fields: dict[str, Any] = {"messages": system + write_messages(request.messages)}
    if request.tools:
        fields["tools"] = [_write_tool(tool) for tool in request.tools]
        fields["tool_choice"] = write_tool_choice(request.tool_choice, _named)
    return fields


def write_messages(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """The conversation; tool results directly follow their calls, as the API requires."""
    written: list[dict[str, Any]] = []
    for role, group in groupby(messages, lambda message: message.role):
        parts = [part for message in group for part in message.parts]
        written += _write_user(parts) if role == "user" else _write_assistant(parts)
    return written


def _write_user(parts: list[Part]) -> list[dict[str, Any]]:
    results = [_write_result(part) for part in parts if isinstance(part, ToolResult)]
    content = [block for part in parts if (block := _write_block(part)) is not None]
    if not content:
        return results
    if all(
        block["type"] == "text" for block in content
    ):  # servers of small models accept text only
        joined = "\n\n".join(block["text"] for block in content)
        return [*results, {"role": "user", "content": joined}]
    return [*results, {"role": "user", "content": content}]


def _write_assistant(parts: list[Part]) -> list[dict[str, Any]]:
    text = "".join(part.text for part in parts if isinstance(part, Text))
    extras = {
        part.data["id"]: part.data["extra"]
        for part in parts
        if isinstance(part, Opaque) and part.provider == PROVIDER and part.data.get("type") == EXTRA
    }
    calls = [_write_call(part, extras.get(part.id)) for part in parts if isinstance(part, ToolCall)]
    if not calls and not text.strip():
        return []
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    return [{**message, "tool_calls": calls} if calls else message]


def _write_call(call: ToolCall, extra: Any) -> dict[str, Any]:
    function = {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)}
    written = {"id": call.id, "type": "function", "function": function}
    return written if extra is None else {**written, "extra_content": extra}


def _write_result(result: ToolResult) -> dict[str, Any]:
    content = f"Error: {result.content}" if result.is_error else result.content
    return {"role": "tool", "tool_call_id": result.id, "content": content}


def _write_block(part: Part) -> dict[str, Any] | None:
    match part:
        case Text(text=text):
            return {"type": "text", "text": text} if text.strip() else None
        case Image():
            return {"type": "image_url", "image_url": {"url": part.data_url}}
        case Document():
            return _write_document(part)
        case _:
            return None


def _write_document(document: Document) -> dict[str, Any]:
    if document.is_text:
        name = document.name or "document"
        return {"type": "text", "text": f"[{name}]\n{document.text}"}
    if document.url:
        raise ModelError(
            f"the Chat Completions API does not fetch documents: send {document.url} as data=",
            bad_request=True,
        )
    file = {"filename": document.name or "document.pdf", "file_data": document.data_url}
    return {"type": "file", "file": file}


def _write_tool(tool: ToolSpec) -> dict[str, Any]:
    description = {"description": tool.description} if tool.description else {}
    function = {"name": tool.name, **description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def write_tool_choice(choice: str, named: Callable[[str], Any]) -> Any:
    """Which tool the model must call, if any; `named` writes a tool's name."""
    return _CHOICES.get(choice) or named(choice)


def _named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}
