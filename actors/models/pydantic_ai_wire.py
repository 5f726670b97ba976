"""Converts messages to those of pydantic-ai, and back. Pure: no client, no network."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from .attachment import Document, Image
from .model import (
    Message,
    ModelRequest,
    ModelResponse,
    Opaque,
    Part,
    StopReason,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)

PROVIDER = "pydantic_ai"
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_STOPS: dict[str, StopReason] = {
    "stop": "end",
    "tool_call": "tool_use",
    "length": "max_tokens",
    "content_filter": "refusal",
}
_CUT_SHORT = {"max_tokens", "refusal"}


class Wire:
    """Converts with the classes of the `pydantic_ai` package, which is an extra."""

    def __init__(self, package: Any) -> None:
        from pydantic import TypeAdapter  # noqa: PLC0415  slow to load

        self._ai = package.messages
        self._models = package.models
        self._tools = package.tools
        self._parts = TypeAdapter[Any](self._ai.ModelResponsePart)

    def settings(self, request: ModelRequest) -> dict[str, Any]:
        """The settings for a request."""
        found: dict[str, Any] = {}
        if request.max_tokens is not None:
            found["max_tokens"] = request.max_tokens
        if request.tools:
            found["tool_choice"] = _CHOICES.get(request.tool_choice, [request.tool_choice])
        return found

    def parameters(self, request: ModelRequest) -> Any:
        """The parameters of a request: its tools."""
        definitions = [
            self._tools.ToolDefinition(
                name=tool.name,
                description=tool.description or None,
                parameters_json_schema=tool.parameters,
            )
            for tool in request.tools
        ]
        return self._models.ModelRequestParameters(function_tools=definitions)

    def messages(self, request: ModelRequest) -> list[Any]:
        """The conversation, with the instructions where pydantic-ai expects them."""
        written: list[Any] = []
        for role, group in groupby(request.messages, lambda message: message.role):
            parts = [part for message in group for part in message.parts]
            write = self._write_user if role == "user" else self._write_assistant
            written += write(parts)
        if written and request.system:
            written[-1].instructions = request.system
        return written

    def _write_user(self, parts: list[Part]) -> list[Any]:
        written: list[Any] = [self._result(part) for part in parts if isinstance(part, ToolResult)]
        content = [item for part in parts if (item := self._content(part)) is not None]
        if content:
            whole = content[0] if len(content) == 1 and isinstance(content[0], str) else content
            written.append(self._ai.UserPromptPart(content=whole))
        return [self._ai.ModelRequest(parts=written)] if written else []

    def _write_assistant(self, parts: list[Part]) -> list[Any]:
        written = [item for part in parts if (item := self._response_part(part)) is not None]
        return [self._ai.ModelResponse(parts=written)] if written else []

    def _result(self, result: ToolResult) -> Any:
        return self._ai.ToolReturnPart(
            tool_name=result.name,
            content=result.content,
            tool_call_id=result.id,
            outcome="failed" if result.is_error else "success",
        )

    def _content(self, part: Part) -> Any:
        match part:
            case Text(text=text):
                return text if text.strip() else None
            case Image(url=url) if url:
                return self._ai.ImageUrl(url=url, media_type=part.media_type or None)
            case Document(url=url) if url:
                return self._ai.DocumentUrl(url=url, media_type=part.media_type or None)
            case Image() | Document():
                return self._ai.BinaryContent(data=part.data, media_type=part.media_type)
            case _:
                return None

    def _response_part(self, part: Part) -> Any:
        match part:
            case Text(text=text):
                return self._ai.TextPart(content=text) if text.strip() else None
            case ToolCall():
                return self._ai.ToolCallPart(
                    tool_name=part.name, args=part.arguments, tool_call_id=part.id
                )
            case Opaque(provider=provider, data=data) if provider == PROVIDER:
                return self._parts.validate_python(data)
            case _:
                return None

    def response(self, response: Any, model: str) -> ModelResponse:
        """Our response for pydantic-ai's.

        A response that was cut short loses its tool calls: the last one may lack part of its
        arguments, and a call without a result would make the conversation invalid.
        """
        stop = _STOPS.get(response.finish_reason or "stop", "end")
        unwanted = "tool-call" if stop in _CUT_SHORT else ""
        parts = [self._read(part) for part in response.parts if part.part_kind != unwanted]
        if any(isinstance(part, ToolCall) for part in parts):
            stop = "tool_use"
        elif stop == "tool_use":
            stop = "end"
        return ModelResponse(
            message=Message(role="assistant", parts=parts),
            stop_reason=stop,
            usage=_read_usage(response.usage),
            model=response.model_name or model,
        )

    def _read(self, part: Any) -> Part:
        if part.part_kind == "text":
            return Text(text=part.content)
        if part.part_kind == "tool-call":
            arguments = part.args_as_dict()
            return ToolCall(id=part.tool_call_id, name=part.tool_name, arguments=arguments)
        return Opaque(provider=PROVIDER, data=self._parts.dump_python(part, mode="json"))


def _read_usage(usage: Any) -> Usage:
    """pydantic-ai also counts tokens of the cache as input; our usage counts no token twice."""
    read, write = usage.cache_read_tokens, usage.cache_write_tokens
    return Usage(
        input_tokens=max(0, usage.input_tokens - read - write),
        output_tokens=usage.output_tokens,
        cache_read_tokens=read,
        cache_write_tokens=write,
    )
