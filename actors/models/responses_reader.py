"""Assembles a response of OpenAI's Responses API from its events. Pure."""

from __future__ import annotations

from typing import Any

from .model import Message, ModelResponse, Opaque, Part, StopReason, Text, ToolCall, Usage
from .openai_reader import read_arguments
from .responses_wire import PHASE, PROVIDER, REFUSAL

_ENDS = {"response.completed", "response.incomplete", "response.failed"}
_INCOMPLETE: dict[str, StopReason] = {
    "max_output_tokens": "max_tokens",
    "content_filter": "refusal",
}


class ResponsesReader:
    """Assembles the response from events, as the SDK parses them."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._items: dict[int, Any] = {}
        self._end: Any = None
        self.problem: tuple[str, str] | None = None
        """The code and message of an error in the stream; None: there was none."""

    @property
    def complete(self) -> bool:
        """Whether the server has said how the response ended."""
        return self._end is not None

    def take(self, event: Any) -> str:
        """Add an event; returns the text in it."""
        kind = event.type
        if kind == "response.output_text.delta":
            return str(event.delta)
        if kind == "response.output_item.done":
            self._items[event.output_index] = event.item
        elif kind in _ENDS:
            self._end = event.response
            if kind == "response.failed":
                self._blame(event.response.error)
        elif kind == "error":
            self._blame(event)
        return ""

    def _blame(self, error: Any) -> None:
        code, message = getattr(error, "code", None), getattr(error, "message", None)
        self.problem = (str(code or ""), str(message or "it did not say why"))

    def response(self) -> ModelResponse:
        """The complete response.

        A response that was cut short loses its calls and its reasoning: the last call may lack part
        of its arguments, and a call without a result would make the conversation invalid.

        Raises:
            ModelError: the model called a tool with arguments that are not a JSON object.
        """
        found = [self._items[place] for place in sorted(self._items)] or self._end.output or []
        parts = [part for item in found for part in self._read(item)]
        stop = self._stop(parts)
        if stop in {"max_tokens", "refusal"}:
            parts = [part for part in parts if _survives_cut(part)]
        return ModelResponse(
            message=Message(role="assistant", parts=parts),
            stop_reason=stop,
            usage=_read_usage(self._end.usage),
            model=self._end.model or self._model,
        )

    def _stop(self, parts: list[Part]) -> StopReason:
        if any(isinstance(part, Opaque) and part.data["type"] == REFUSAL for part in parts):
            return "refusal"
        if self._end.status == "incomplete":
            details = self._end.incomplete_details
            return _INCOMPLETE.get(details.reason if details else "", "max_tokens")
        return "tool_use" if any(isinstance(part, ToolCall) for part in parts) else "end"

    def _read(self, item: Any) -> list[Part]:
        if item.type == "message":
            return [part for content in item.content for part in _read_content(item, content)]
        if item.type != "function_call":
            return [Opaque(provider=PROVIDER, data=item.to_dict(mode="json"))]
        if self._end.status == "incomplete":
            return []  # its arguments may be incomplete
        arguments = read_arguments(self._model, item.name, item.arguments)
        return [ToolCall(id=item.call_id, name=item.name, arguments=arguments)]


def _read_content(message: Any, content: Any) -> list[Part]:
    if content.type == "refusal":
        return [Opaque(provider=PROVIDER, data={"type": REFUSAL, "refusal": content.refusal})]
    if content.type != "output_text" or not content.text:
        return []
    text = Text(text=content.text)
    phase = getattr(message, "phase", None)
    if not phase:
        return [text]
    return [Opaque(provider=PROVIDER, data={"type": PHASE, "phase": phase}), text]


def _survives_cut(part: Part) -> bool:
    if isinstance(part, Opaque):
        return part.data["type"] in {PHASE, REFUSAL}
    return not isinstance(part, ToolCall)


def _read_usage(usage: Any) -> Usage:
    """The API also counts tokens of its cache as input; our usage counts no token twice."""
    if usage is None:
        return Usage()
    details = getattr(usage, "input_tokens_details", None)
    read = getattr(details, "cached_tokens", 0) or 0
    written = getattr(details, "cache_write_tokens", 0) or 0
    return Usage(
        input_tokens=max(0, (usage.input_tokens or 0) - read - written),
        output_tokens=usage.output_tokens or 0,
        cache_read_tokens=read,
        cache_write_tokens=written,
    )
