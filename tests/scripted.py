"""A model that says what a test has written down, and remembers what it was asked."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

from layby.actors.model import (
    Message,
    ModelRequest,
    ModelResponse,
    OnText,
    StopReason,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)

Line: TypeAlias = "ModelResponse | Exception | Callable[[ModelRequest], ModelResponse]"
"""A response, an error to raise, or a function of the request."""

USAGE = Usage(input_tokens=10, output_tokens=1)


class Scripted:
    """Plays its lines in order; the last one, when it is a function, for ever."""

    def __init__(self, *lines: Line, name: str = "scripted") -> None:
        self._name = name
        self._lines = deque(lines)
        self.requests: list[ModelRequest] = []

    @property
    def name(self) -> str:
        return self._name

    @property
    def paid(self) -> int:
        """How often it was asked."""
        return len(self.requests)

    async def respond(self, request: ModelRequest, on_text: OnText | None = None) -> ModelResponse:
        del on_text
        self.requests.append(request)
        line = self._next()
        if isinstance(line, Exception):
            raise line
        return line(request) if callable(line) else line

    def _next(self) -> Line:
        if not self._lines:
            raise AssertionError(f"model {self._name!r} has no line left: {self.requests[-1]}")
        if len(self._lines) == 1 and callable(self._lines[0]):
            return self._lines[0]
        return self._lines.popleft()


def says(text: str, stop_reason: StopReason = "end") -> ModelResponse:
    """A response of text alone."""
    return ModelResponse(
        message=Message(role="assistant", parts=[Text(text=text)]),
        stop_reason=stop_reason,
        usage=USAGE,
    )


def calls(*asked: tuple[str, dict[str, Any]], text: str = "") -> ModelResponse:
    """A response that calls tools: `calls(("ask_developer", {"question": "Why?"}))`."""
    spoken = [Text(text=text)] if text else []
    wanted = [
        ToolCall(id=f"call_{place}_{name}", name=name, arguments=arguments)
        for place, (name, arguments) in enumerate(asked)
    ]
    return ModelResponse(
        message=Message(role="assistant", parts=[*spoken, *wanted]),
        stop_reason="tool_use",
        usage=USAGE,
    )


def asks(question: str = "May I?", **more: Any) -> ModelResponse:
    """A response that calls `ask_developer`."""
    return calls(("ask_developer", {"question": question, **more}))


def routes(agent: object, **more: Any) -> ModelResponse:
    """A routing agent's choice of who is next."""
    return calls(("route_to_agent", {"agent": agent, **more}))


def done(summary: str = "") -> ModelResponse:
    """A routing agent's word that the work is done."""
    return calls(("done", {"summary": summary}))


def results(request: ModelRequest) -> list[ToolResult]:
    """The tool results that the newest message of a request brings."""
    return [part for part in request.messages[-1].parts if isinstance(part, ToolResult)]


def read(request: ModelRequest) -> str:
    """Everything that a request's messages say."""
    return "\n".join(str(part) for message in request.messages for part in message.parts)
