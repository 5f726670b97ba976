"""A support network that asks a developer: `layby dev examples.support_agent:app`."""

from __future__ import annotations

from .app import app

__all__ = ["app"]
