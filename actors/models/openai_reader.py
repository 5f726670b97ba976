"""Assembles a response of the Chat Completions API from its chunks. Pure."""

from __future__ import annotations

import json
import uuid
from typing import Any

from .model import (
    Message,
    ModelError,
    ModelResponse,
    Opaque,
    Part,
    StopReason,
    Text,
    ToolCall,
    Usage,
)
from .openai_wire import EXTRA, PROVIDER

_STOPS: dict[str, StopReason] = {
    "stop": "end",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "length": "max_tokens",
    "content_filter": "refusal",
}
_CUT_SHORT = {"max_tokens", "refusal"}


class _Call:
    """A tool call in progress."""

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments = ""
        self.extra: Any = None


class Reader:
    """Assembles the response from chunks, as the SDK parses them."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._text = ""
        self._refusal = ""
        self._calls: list[_Call] = []
        self._at: dict[int, _Call] = {}
        self._finish: str | None = None
        self._usage = Usage()

    @property
    def complete(self) -> bool:
        """Whether the server has said why the response ended."""
        return self._finish is not None

    @property
    def problem(self) -> tuple[str, str] | None:
        """None: the SDK raises errors in the stream itself."""
        return None

    def take(self, chunk: Any) -> str:
        """Add a chunk; returns the text in it."""
        self._model = chunk.model or self._model
        if chunk.usage is not None:
            self._usage = _read_usage(chunk.usage)
        if not chunk.choices:
            return ""
        choice = chunk.choices[0]
        self._finish = choice.finish_reason or self._finish
        delta = choice.delta
        if delta is None:
            return ""
        self._refusal += delta.refusal or ""
        for call in delta.tool_calls or ():
            self._take_call(call)
        text = delta.content or ""
        self._text += text
        return text

    def _take_call(self, piece: Any) -> None:
        call = self._call(piece)
        function = piece.function
        call.id = call.id or piece.id or ""
        call.extra = getattr(piece, "extra_content", None) or call.extra
        if function is not None:
            call.name = call.name or function.name or ""
            call.arguments += function.arguments or ""

    def _call(self, piece: Any) -> _Call:
        """The call that a piece belongs to. Some servers number all calls 0, or none of them."""
        index = len(self._calls) if piece.index is None else piece.index
        known = self._at.get(index)
        if known is None or (piece.id and known.id and piece.id != known.id):
            known = self._at[index] = _Call()
            self._calls.append(known)
        return known

    def response(self) -> ModelResponse:
        """The complete response.

        A response that was cut short loses its tool calls: the last one may lack part of its
        arguments, and a call without a result would make the conversation invalid.

        Raises:
            ModelError: the model called a tool with arguments that are not a JSON object.
        """
        stop = "refusal" if self._refusal else _STOPS.get(self._finish or "", "end")
        calls = [] if stop in _CUT_SHORT else self._calls
        if calls:
            stop = "tool_use"  # some servers say "stop"
        elif stop == "tool_use":
            stop = "end"
        text: list[Part] = [Text(text=self._text)] if self._text else []
        return ModelResponse(
            message=Message(
                role="assistant", parts=[*text, *self._opaque(calls), *self._read(calls)]
            ),
            stop_reason=stop,
            usage=self._usage,
            model=self._model,
        )

    def _read(self, calls: list[_Call]) -> list[ToolCall]:
        return [
            ToolCall(
                id=call.id,
                name=call.name,
                arguments=read_arguments(self._model, call.name, call.arguments),
            )
            for call in calls
        ]

    def _opaque(self, calls: list[_Call]) -> list[Opaque]:
        for call in calls:
            call.id = call.id or f"call_{uuid.uuid4().hex[:24]}"  # some servers send none
        kept = [{"type": EXTRA, "id": call.id, "extra": call.extra} for call in calls if call.extra]
        if self._refusal:  # for people who read the log; never sent back
            kept.append({"type": "refusal", "refusal": self._refusal})
        return [Opaque(provider=PROVIDER, data=data) for data in kept]


def read_arguments(model: str, tool: str, text: str) -> dict[str, Any]:
    """A call's arguments. Raises ModelError unless they are a JSON object."""
    try:
        return {**json.loads(text or "{}")}
    except (ValueError, TypeError):  # not JSON, or not an object
        raise ModelError(
            f"{model} called {tool} with arguments that are not a JSON object: {text[:200]!r}",
            retryable=True,
        ) from None


def _read_usage(usage: Any) -> Usage:
    """The API also counts tokens from its cache as input; our usage counts no token twice."""
    details = usage.prompt_tokens_details
    cached = (getattr(details, "cached_tokens", 0) or 0) if details is not None else 0
    prompt = usage.prompt_tokens or 0
    return Usage(
        input_tokens=max(0, prompt - cached),
        output_tokens=usage.completion_tokens or 0,
        cache_read_tokens=cached,
    )
