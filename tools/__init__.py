"""Floor 3: what an agent may do. Imports `runtime` and `bus`."""

from .ask_developer import ask_developer, make_ask
from .context import ToolContext
from .errors import Fatal, ToolError
from .tool import Tool, tool

__all__ = ["Fatal", "Tool", "ToolContext", "ToolError", "ask_developer", "make_ask", "tool"]
