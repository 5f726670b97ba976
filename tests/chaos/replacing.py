"""How a seeded fault gets into the code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def replace(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Replace an attribute by what `make` makes of it; it must be there."""
    setattr(owner, name, make(getattr(owner, name)))
