"""Reads requests in the forms of several providers; what it does not know is shown as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeAlias, cast

import msgspec

from ..actors.models.marks import CONVERSATIONS
from .prompt import Prompt, PromptMessage, PromptPart, PromptTool

_Object: TypeAlias = dict[str, Any]

_SYSTEMS: Final = ("system", "instructions")
_READ: Final = {"model", "tools", *CONVERSATIONS, *_SYSTEMS}


def prompt(form: str, body: _Object) -> Prompt:
    """A request for people, from its JSON object."""
    said: Any = next((body[name] for name in CONVERSATIONS if name in body), None)
    items = [{"role": "user", "content": said}] if isinstance(said, str) else _list(said)
    system = next((_joined(body[name]) for name in _SYSTEMS if name in body), "")
    first = _object(items[0]) if items else {}
    if not system and first.get("role") in ("system", "developer"):
        system, items = _joined(first.get("content")), items[1:]
    return Prompt(
        form=form,
        model=str(body.get("model", "")),
        system=system,
        messages=[_message(item) for item in items],
        tools=[_tool(each) for each in _list(body.get("tools"))],
        params={name: value for name, value in body.items() if name not in _READ},
        body=body,
    )


def _object(value: Any) -> _Object:
    """`value` if it is an object, else an empty one."""
    return cast("_Object", value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return cast("Any", value) if isinstance(value, list) else []


def _joined(content: Any) -> str:
    return "\n\n".join(part.text for part in _parts(content))


def _message(value: Any) -> PromptMessage:
    """A message, or an item of the Responses API."""
    item = _object(value)
    if not item:
        return PromptMessage(role="", parts=[_other(value)])
    role = str(item.get("role") or ("assistant" if item.get("type") != _OUTPUT else "tool"))
    if role == "tool" and "tool_call_id" in item:
        return PromptMessage(role=role, parts=[_result(item)])
    if "role" not in item:
        return PromptMessage(role=role, parts=[_part(item)])
    parts = list(_parts(item.get("parts", item.get("content"))))
    parts += _parts(_list(item.get("tool_calls")))
    return PromptMessage(role=role, parts=parts)


_OUTPUT = "function_call_output"


def _parts(content: Any) -> Iterable[PromptPart]:
    if isinstance(content, str):
        return [PromptPart(kind="text", text=content)] if content else []
    return [_part(block) for block in _list(content)]


def _part(value: Any) -> PromptPart:
    block = _object(value)
    kind = str(block.get("type"))
    if isinstance(block.get("text"), str) and "data" not in block:
        return PromptPart(kind="text", text=block["text"])
    if kind in {"tool_use", "tool_call", "function_call", "function"}:
        return _call(block)
    if kind in {"tool_result", _OUTPUT}:
        return _result(block)
    if kind in {"image", "document", "image_url", "file", "input_image", "input_file"}:
        return PromptPart(kind="attachment", text=_attachment(block))
    return _other(value)


def _call(block: _Object) -> PromptPart:
    function = _object(block.get("function")) or block
    given: Any = next((function[name] for name in ("input", "arguments") if name in function), "")
    return PromptPart(
        kind="tool_call",
        text=given if isinstance(given, str) else _json(given),
        tool=str(function.get("name", "")),
        id=str(block.get("call_id") or block.get("id") or ""),
    )


def _result(block: _Object) -> PromptPart:
    content = block.get("output", block.get("content"))
    ids = (block.get(name) for name in ("tool_use_id", "tool_call_id", "call_id", "id"))
    return PromptPart(
        kind="tool_result",
        text=content if isinstance(content, str) else _joined(content),
        tool=str(block.get("name") or ""),
        id=str(next(filter(None, ids), "")),
        is_error=bool(block.get("is_error")),
    )


def _attachment(block: _Object) -> str:
    """An attachment in a few words: its type, name, address and size."""
    known: list[str] = [str(block.get("type"))]
    for name, value in _strings(block):
        if name in {"media_type", "name", "title", "filename"} or (
            name == "url" and not value.startswith("data:")
        ):
            known.append(value)
        elif name in {"data", "url", "image_url", "file_data"} and len(value) > 1:
            media = value[5:].partition(";")[0] if value.startswith("data:") else ""
            known += [media, f"{len(value):,} characters"]
    return ", ".join(filter(None, known))


def _strings(block: _Object) -> Iterable[tuple[str, str]]:
    for name, value in block.items():
        if isinstance(value, str):
            yield name, value
        else:
            yield from _strings(_object(value))


def _tool(value: Any) -> PromptTool:
    tool = _object(value)
    if not tool:
        return PromptTool(name=_json(value))
    function = _object(tool.get("function")) or tool
    return PromptTool(
        name=str(function.get("name") or tool.get("type") or ""),
        description=str(function.get("description") or ""),
        parameters=function.get("input_schema", function.get("parameters")),
    )


def _other(block: Any) -> PromptPart:
    return PromptPart(kind="other", text=_json(block))


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
