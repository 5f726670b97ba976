"""A refund that finance and legal approve together: `layby dev examples.approvals:app`."""

from __future__ import annotations

from .app import app

__all__ = ["app"]
