"""Scripts for models: those of `layby.testing`, silent and cheap, and what only our tests need."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from layby import testing
from layby.actors.models.model import (
    Message,
    ModelRequest,
    ModelResponse,
    OnText,
    StopReason,
    Text,
    ToolResult,
    Usage,
)
from layby.testing.script import Line

USAGE = Usage(input_tokens=10, output_tokens=1)


class Scripted(testing.ScriptedModel):
    """Plays its lines in order, without streaming; a last line that is a function, forever."""

    def __init__(self, *lines: Line, name: str = "scripted") -> None:
        super().__init__(lines, name=name)

    @property
    def paid(self) -> int:
        """How many requests it has received."""
        return len(self.requests)

    async def respond(self, request: ModelRequest, on_text: OnText | None = None) -> ModelResponse:
        del on_text
        return await super().respond(request)

    def _next(self, request: ModelRequest) -> Line:
        if len(self._lines) == 1 and callable(self._lines[0]):
            return self._lines[0]
        return super()._next(request)


def says(text: str, stop_reason: StopReason = "end") -> ModelResponse:
    """A response of text alone."""
    return replace(testing.says(text, stop_reason=stop_reason, usage=USAGE), model="")


def calls(*wanted: tuple[str, dict[str, Any]], text: str = "") -> ModelResponse:
    """A response that calls tools: `calls(("ask_developer", {"question": "Why?"}))`."""
    response = testing.calls(*wanted)
    parts = [*([Text(text=text)] if text else []), *response.message.parts]
    message = Message(role="assistant", parts=parts)
    return replace(response, message=message, usage=USAGE, model="")


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
