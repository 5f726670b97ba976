"""What a workflow's runs are called in lists: a title and labels, from fields of their events."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...runtime.errors import InvalidSetup
from ...runtime.matching import field

_LONGEST_TITLE = 200
"""Characters of a title that are kept."""
_LONGEST_LABEL = 100
"""Characters of a label's value that are kept."""
_MOST_LABELS = 16
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


class Labelling:
    """Reads title and labels from an event.

    A field that is missing, or holds neither text, a number, true nor false, gives nothing: an
    event is never refused because of them.
    """

    def __init__(self, title: str = "", labels: Mapping[str, str] | None = None) -> None:
        """`title`: the field, or a path to it. `labels`: the fields by the labels' names.

        Raises:
            InvalidSetup: too many labels, or a name that cannot be typed as `name:value`.
        """
        self._title = title
        self._labels = dict(labels or {})
        if len(self._labels) > _MOST_LABELS:
            raise InvalidSetup(f"{len(self._labels)} labels, more than {_MOST_LABELS}")
        for name in self._labels:
            if not _NAME.fullmatch(name):
                raise InvalidSetup(
                    f"{name!r} cannot name a label: use up to 63 letters, digits and any of _ . - "
                    "that begin with a letter or a digit"
                )

    def title(self, event: dict[str, Any]) -> str:
        """The title of an event's run; empty: it has none."""
        return _text(event, self._title, _LONGEST_TITLE) if self._title else ""

    def labels(self, event: dict[str, Any]) -> dict[str, str]:
        """The labels of an event's run by name, without empty ones."""
        found = {name: _text(event, path, _LONGEST_LABEL) for name, path in self._labels.items()}
        return {name: value for name, value in found.items() if value}


def _text(event: dict[str, Any], path: str, longest: int) -> str:
    value = field(event, path)
    if isinstance(value, bool):
        value = "true" if value else "false"
    if not isinstance(value, str | int | float):
        return ""
    flat = " ".join(str(value).split())
    return flat if len(flat) <= longest else f"{flat[: longest - 1]}…"
