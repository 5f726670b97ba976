"""AgentKit's support agent, call by call: `layby dev examples.from_agentkit:app`."""

from __future__ import annotations

from .app import app

__all__ = ["app"]
