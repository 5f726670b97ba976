"""How a tool call goes wrong before or beside the tool's own code.

LaybyError
├─ Fatal               raised by a tool or tool hook: the run fails, the model is not told
└─ ToolError          the model is told the message, and may try otherwise
   ├─ InvalidArguments   the arguments do not fit the tool's parameters; the tool did not run
   ├─ ToolTimedOut       the tool ran longer than its `timeout`; it may have done its work
   └─ UnknownTool        the agent has no tool of that name
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..runtime.errors import LaybyError


class ToolError(LaybyError):
    """A tool call failed; raise it in a tool to tell the model why, in words meant for it."""


class Fatal(LaybyError):
    """Raise it in a tool or tool hook to fail the run: no try and no model can mend this."""

    retryable = False


class InvalidArguments(ToolError):
    """The model's arguments do not fit; the message names each field. The tool did not run."""


class ToolTimedOut(ToolError):
    """The tool took longer than its `timeout`. What it had begun may still have happened."""

    def __init__(self, tool: str, seconds: float) -> None:
        super().__init__(f"{tool} gave no result in {seconds:g} s; it may still have taken effect")
        self.tool = tool
        self.seconds = seconds

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.tool, self.seconds)


class UnknownTool(ToolError):
    """The model called a tool that the agent does not have; `known` are those it has."""

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        self.name = name
        self.known = sorted(known)
        tools = ", ".join(self.known) or "none"
        super().__init__(f"there is no tool named {name!r}; the tools are: {tools}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self.known)
