"""A support network that asks a developer: `layby dev examples.support_agent:app`."""

from .app import app

__all__ = ["app"]
