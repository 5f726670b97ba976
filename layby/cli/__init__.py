"""The `layby` command. Starts fast: nothing heavy is imported before a command needs it."""

from __future__ import annotations

from .entry import main

__all__ = ["main"]
