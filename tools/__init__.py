"""Floor 3: what an agent may do. Imports `runtime` and `bus`."""

from typing import TYPE_CHECKING

from .ask_developer import ask_developer, make_ask
from .context import ToolContext
from .errors import Fatal, ToolError
from .tool import Tool, tool

if TYPE_CHECKING:
    from .mcp import mcp_server

__all__ = [
    "Fatal",
    "Tool",
    "ToolContext",
    "ToolError",
    "ask_developer",
    "make_ask",
    "mcp_server",
    "tool",
]

# Type checkers must not see this: they would then take any name for one of ours.
if not TYPE_CHECKING:

    def __getattr__(name):
        if name != "mcp_server":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from .mcp import mcp_server  # noqa: PLC0415  loads pydantic

        return mcp_server

    def __dir__():
        return [*globals(), "mcp_server"]
