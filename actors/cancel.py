"""The name under which a run waits to be cancelled by an event."""

from __future__ import annotations

CANCEL_KEY = "!cancel"
"""In the place of a step's key: the event cancels the run."""
