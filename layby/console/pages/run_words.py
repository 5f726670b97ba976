"""Words that only the page of a run needs, as filters of its templates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ...runtime.times import iso


def cut(text: object, most: int) -> str:
    """The beginning of a text."""
    whole = str(text)
    return whole if len(whole) <= most else f"{whole[: most - 1]}…"


FILTERS: Final[dict[str, Callable[..., Any]]] = {"cut": cut, "iso": iso}
