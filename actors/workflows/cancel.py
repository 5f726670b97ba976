"""The key under which a run waits for the event that cancels it."""

from __future__ import annotations

CANCEL_KEY = "!cancel"
"""Stands for a step's key: the event cancels the run."""
