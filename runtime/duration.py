"""Lengths of time as people write them; see `bus.duration`, which the settings there need too."""

from __future__ import annotations

from ..bus.duration import LONGEST, human, seconds
from ..bus.errors import InvalidDuration

__all__ = ["LONGEST", "InvalidDuration", "human", "seconds"]
