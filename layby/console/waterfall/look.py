"""What a person has chosen to see of a run: it is all in the address of the page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

_DIGITS = 12
BLOCK = 200
"""Rows that are sent together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The query of the page.

    Attributes:
        row: The id of the selected row; empty: the page chooses.
        true_scale: Whether waits are as long as they were.
        begin: Where the zoom begins, in milliseconds from the start of the run; None: no zoom.
        until: Where it ends.
        shut: The ids of the rows that are collapsed.
        block: The block of rows that is shown first, from 0; None: the one with the selected row.
    """

    row: str = ""
    true_scale: bool = False
    begin: int | None = None
    until: int | None = None
    shut: frozenset[str] = frozenset()
    block: int | None = None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Look:
        """Read a query; what makes no sense in it is ignored."""
        begin, until = _number(query.get("from")), _number(query.get("to"))
        if begin is None or until is None or until <= begin:
            begin = until = None
        return cls(
            row=query.get("row", "")[:64],
            true_scale=query.get("scale") == "true",
            begin=begin,
            until=until,
            shut=frozenset(filter(None, query.get("shut", "").split(","))),
            block=_number(query.get("block")),
        )

    @property
    def query(self) -> str:
        """The query, with its `?`; empty if nothing is chosen."""
        said: dict[str, str] = {}
        if self.row:
            said["row"] = self.row
        if self.true_scale:
            said["scale"] = "true"
        if self.begin is not None and self.until is not None:
            said |= {"from": str(self.begin), "to": str(self.until)}
        if self.shut:
            said["shut"] = ",".join(sorted(self.shut))
        if self.block is not None:
            said["block"] = str(self.block)
        return f"?{urlencode(said, safe=',')}" if said else ""

    def but(self, **changes: Any) -> Look:
        """The same with other choices."""
        return replace(self, **changes)

    def at(self, row: str) -> Look:
        """The same with another row selected."""
        return replace(self, row=row, block=None)

    def toggled(self, row: str) -> Look:
        """The same with a row collapsed, or expanded if it was."""
        return replace(self, shut=self.shut ^ {row}, block=None)

    def zoomed(self, by: float, whole: int) -> Look:
        """The same zoomed around the middle, of a run of `whole` milliseconds; `by` < 1: in."""
        begin, until = (self.begin or 0), (self.until or whole)
        half = max(0.5, (until - begin) * by / 2)
        middle = (begin + until) / 2
        begin, until = math.floor(max(0.0, middle - half)), math.ceil(min(whole, middle + half))
        if begin <= 0 and until >= whole:
            return replace(self, begin=None, until=None)
        return replace(self, begin=begin, until=max(until, begin + 1))


def _number(text: str | None) -> int | None:
    """A whole number that is not negative; None if the text is none."""
    if text is None or not text.isascii() or not text.isdigit() or len(text) > _DIGITS:
        return None
    return int(text)
