"""A model that plays a test's script, and remembers its requests."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from ..actors.models.model import (
    Message,
    ModelError,
    ModelRequest,
    ModelResponse,
    OnText,
    StopReason,
    Text,
    ToolCall,
    Usage,
)

_USAGE = Usage(input_tokens=10, output_tokens=5)

Line: TypeAlias = "ModelResponse | str | Exception | Callable[[ModelRequest], ModelResponse | str]"
"""A response, a text, an error to raise, or a function of the request."""


class ScriptedModel:
    """A `Model` that plays its lines in order, or asks a function for each.

    `ScriptedModel([calls("search", query="login"), "It is fixed."])`. A function follows from the
    request alone, so it continues after a crash; a list belongs to this process.
    """

    def __init__(
        self,
        script: Iterable[Line] | Callable[[ModelRequest], ModelResponse | str],
        *,
        name: str = "scripted",
    ) -> None:
        self._name = name
        self._function = script if callable(script) else None
        self._lines: deque[Line] = deque(() if callable(script) else script)
        self.requests: list[ModelRequest] = []
        """What it was asked, in order."""

    @property
    def name(self) -> str:
        """What it is called."""
        return self._name

    @property
    def left(self) -> int:
        """Lines that were not played."""
        return len(self._lines)

    async def respond(self, request: ModelRequest, on_text: OnText | None = None) -> ModelResponse:
        """Play the next line; `on_text` hears its text word by word.

        Raises:
            ModelError: the script is at its end, which ends the turn at once.
        """
        self.requests.append(request)
        line: Line = self._function or self._next(request)
        if isinstance(line, Exception):
            raise line
        answer = line(request) if callable(line) else line
        response = says(answer) if isinstance(answer, str) else answer
        if on_text is not None:
            for word in re.findall(r"\S+\s*|\s+", response.message.text):
                on_text(word)
        return response

    def _next(self, request: ModelRequest) -> Line:
        if self._lines:
            return self._lines.popleft()
        newest = request.messages[-1] if request.messages else None
        raise ModelError(
            f"the script of model {self._name!r} is at its end, and it is asked again, the "
            f"{len(self.requests)}. time: {newest!r}"[:1_000]
        )


def says(text: str, *, stop_reason: StopReason = "end", usage: Usage = _USAGE) -> ModelResponse:
    """A response of text alone."""
    message = Message(role="assistant", parts=[Text(text=text)])
    return ModelResponse(message=message, stop_reason=stop_reason, usage=usage, model="scripted")


def calls(*wanted: str | tuple[str, dict[str, Any]], **arguments: Any) -> ModelResponse:
    """A response that calls a tool, `calls("search", query="login")`, or several at once.

    Several: `calls(("search", {"query": "login"}), ("reply", {"message": "..."}))`.
    """
    asked = [(one, arguments) if isinstance(one, str) else one for one in wanted]
    parts = [
        ToolCall(id=f"call_{place}_{name}", name=name, arguments=given)
        for place, (name, given) in enumerate(asked)
    ]
    message = Message(role="assistant", parts=[*parts])
    return ModelResponse(message=message, stop_reason="tool_use", usage=_USAGE, model="scripted")
