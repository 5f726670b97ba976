"""Errors of a tool call, apart from those that the tool's own code raises.

LaybyError
├─ Fatal               raised by a tool or tool hook: the run fails, and the model sees nothing
└─ ToolError          the model sees the message, and may try something else
   ├─ InvalidArguments   the arguments do not fit the tool's parameters; the tool did not run
   ├─ ToolTimedOut       the tool ran longer than its `timeout`; it may have done its work
   └─ UnknownTool        the agent has no tool of that name
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..runtime.errors import LaybyError


class ToolError(LaybyError):
    """A tool call failed. Raise it in a tool with a message that the model should see."""


class Fatal(LaybyError):
    """Raise it in a tool or tool hook to fail the run, when no retry and no model can help."""

    retryable = False


class InvalidArguments(ToolError):
    """The model's arguments do not fit; the message names each field. The tool did not run."""


class ToolTimedOut(ToolError):
    """The tool took longer than its `timeout`. It may still have taken effect."""

    def __init__(self, tool: str, seconds: float) -> None:
        super().__init__(f"{tool} gave no result in {seconds:g} s; it may still have taken effect")
        self.tool = tool
        self.seconds = seconds

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.tool, self.seconds)


class UnknownTool(ToolError):
    """The model called a tool that the agent does not have; `known` lists those that it has."""

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        self.name = name
        self.known = sorted(known)
        tools = ", ".join(self.known) or "none"
        super().__init__(f"there is no tool named {name!r}; the tools are: {tools}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self.known)
