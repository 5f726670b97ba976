"""An agent with the tools of an MCP server: `layby dev examples.mcp_tools:app`."""

from __future__ import annotations

from .app import app

__all__ = ["app"]
