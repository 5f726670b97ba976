"""Researchers at work side by side, routed by code: `layby dev examples.research_network:app`."""

from __future__ import annotations

from .app import app

__all__ = ["app"]
