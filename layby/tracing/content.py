"""What models and tools say, as attributes: only if it is asked for, cut, and without secrets."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from ..actors.models.model import Message, ModelRequest, ModelResponse, Text, ToolCall, ToolResult
from ..runtime.redaction import redacted
from . import names
from .bounded import shown

SWITCH: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""The variable that asks for it."""
_ON: Final = frozenset({"true", "span_only", "span_and_event"})
_LONGEST_TEXT: Final = 8_000
"""Characters of a text."""
_LONGEST: Final = 64_000
"""Characters of a conversation, of which the oldest messages are left out first."""
_DEEPEST: Final = 12
FINISH: Final[Mapping[str, str]] = {
    "end": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_call",
    "max_tokens": "length",
    "context_window": "length",
    "refusal": "content_filter",
}
"""Why a response ended: our words, and those of the conventions."""


def is_wanted(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether contents are to be in spans."""
    return environ.get(SWITCH, "").strip().lower() in _ON


def asked(request: ModelRequest) -> dict[str, str]:
    """What a model is sent."""
    system = {names.SYSTEM: _json([_text(request.system)])} if request.system else {}
    return {**system, names.INPUT: _messages(request.messages)}


def said(response: ModelResponse) -> dict[str, str]:
    """What a model responds."""
    reason = FINISH.get(response.stop_reason, response.stop_reason)
    return {names.OUTPUT: _json([{**_message(response.message), "finish_reason": reason}])}


def called(arguments: Mapping[str, Any]) -> dict[str, str]:
    """What a tool is called with."""
    return {names.TOOL_ARGUMENTS: shown(_json(_clean(arguments)), _LONGEST_TEXT)}


def returned(content: str) -> dict[str, str]:
    """What a tool returns."""
    return {names.TOOL_RESULT: _said(content)}


def _messages(messages: Sequence[Message]) -> str:
    written: list[str] = []
    left = _LONGEST
    for message in reversed(messages):
        text = _json(_message(message))
        left -= len(text)
        if left < 0 and written:
            break
        written.append(text)
    return f"[{','.join(reversed(written))}]"


def _message(message: Message) -> dict[str, Any]:
    return {"role": message.role, "parts": [_part(part) for part in message.parts]}


def _part(part: Any) -> dict[str, Any]:
    match part:
        case Text(text=text):
            return _text(text)
        case ToolCall(id=id_, name=name, arguments=arguments):
            called = {"id": id_, "name": name, "arguments": _clean(arguments)}
            return {"type": "tool_call", **called}
        case ToolResult(id=id_, content=content):
            return {"type": "tool_call_response", "id": id_, "response": _said(content)}
        case _:
            return {
                "type": type(part).__name__.lower()
            }  # an image, or what only its provider reads


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "content": _said(text)}


def _said(text: str) -> str:
    return shown(redacted(text), _LONGEST_TEXT)


def _clean(value: Any, depth: int = 0) -> Any:
    """A JSON value without secrets in its texts."""
    if depth > _DEEPEST:
        return "…"
    if isinstance(value, str):
        return _said(value)
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        return {_said(str(key)): _clean(each, depth + 1) for key, each in fields.items()}
    if isinstance(value, list | tuple):
        return [_clean(each, depth + 1) for each in cast("Sequence[Any]", value)]
    return value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
