"""A model that answers at once and from the request alone: route, tool, ask, reply."""

from __future__ import annotations

from layby.models import Message, ModelRequest, ModelResponse, ToolCall, ToolResult

AGENT = "Technical"


class Script:
    """Costs nothing and knows its lines."""

    name = "script"

    async def respond(self, request: ModelRequest, on_text: object = None) -> ModelResponse:
        """The next line of the play."""
        del on_text
        call = _next(request)
        return ModelResponse(
            message=Message(role="assistant", parts=[call]), stop_reason="tool_use", model=self.name
        )


def _next(request: ModelRequest) -> ToolCall:
    if any(tool.name == "route_to_agent" for tool in request.tools):
        return _call("route_to_agent", agent=AGENT, reason="it is technical")
    done = {
        part.name: part.content
        for message in request.messages
        for part in message.parts
        if isinstance(part, ToolResult)
    }
    if "search" not in done:
        return _call("search", keyword="crash")
    if "ask_developer" not in done:
        return _call("ask_developer", question="What about it?", context="It is urgent.")
    return _call("reply", message=done["ask_developer"])


def _call(tool: str, **arguments: str) -> ToolCall:
    return ToolCall(id=f"call_{tool}", name=tool, arguments=dict(arguments))
