"""An agent that changes code, and asks before it writes: `layby dev examples.coding_agent:app`."""

from __future__ import annotations

from .app import app

__all__ = ["app"]
