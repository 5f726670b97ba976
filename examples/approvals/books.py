"""The orders, and what was paid back: a file, in which every refund is written once."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from layby import ToolError

ORDERS = {
    "A17": (90_000, "a bicycle that arrived broken"),
    "A18": (1_900, "a bell that does not ring"),
}
"""By number: cents, and for what."""


class Books:
    """The refunds in a folder."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "refunds.jsonl"

    @classmethod
    def from_env(cls) -> Books:
        """`refunds.jsonl` in the folder that LAYBY_DATA names, `.layby` by default."""
        return cls(Path(os.environ.get("LAYBY_DATA") or ".layby"))

    def order(self, number: str) -> str:
        """An order in words. Raises ToolError."""
        cents, what = self._order(number)
        return f"{number}: {cents} cents were paid for {what}."

    def pay_back(self, number: str, cents: int, *, key: str) -> None:
        """Pay money back, once for each `key`. Raises ToolError."""
        paid, _ = self._order(number)
        if not 0 < cents <= paid:
            raise ToolError(f"{number}: between 1 and {paid} cents can be paid back, not {cents}")
        if any(each["key"] == key for each in self._written()):
            return  # this worker, or one that died, has done it before
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a") as lines:
            lines.write(json.dumps({"order": number, "cents": cents, "key": key}) + "\n")

    def paid_back(self) -> list[tuple[str, int]]:
        """The refunds so far: order and cents."""
        return [(each["order"], each["cents"]) for each in self._written()]

    def _written(self) -> list[dict[str, Any]]:
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        return [json.loads(line) for line in lines]

    def _order(self, number: str) -> tuple[int, str]:
        if number not in ORDERS:
            raise ToolError(f"there is no order {number!r}; there are: {', '.join(ORDERS)}")
        return ORDERS[number]
