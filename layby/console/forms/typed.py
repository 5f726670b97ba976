"""What people have typed into a form: the posted pairs, by name.

The name of a field is its path, `f/customer/name`. A name with `!` holds what a field needs besides
its text: `!none`: what it means when it is empty, `!on`: whether an optional part is there, `!row`:
the rows of a list, `!is`: the chosen variant, `!as`: that it is written as JSON, `!more`: what a
value has besides what the form shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

ROOT: Final = "f"
"""The path of the whole form."""
ADD: Final = "_add"
"""The name of a button that adds to a list, or adds a part; its value is the path."""
REMOVE: Final = "_remove"
"""The name of a button that removes a row; its value is the path of the row."""
JSON: Final = "_json"
"""The name of a button that shows a part as JSON; its value is the path."""
_ROWS: Final = 200


class Typed:
    """The pairs of a form."""

    def __init__(self, pairs: Mapping[str, list[str]] | None = None) -> None:
        self.pairs: dict[str, list[str]] = dict(pairs or {})

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Typed:
        """The pairs of a posted form, in their order; a browser writes line ends as CR LF."""
        found = cls()
        for name, value in pairs:
            found.pairs.setdefault(name, []).append(value.replace("\r\n", "\n"))
        return found

    def text(self, path: str) -> str:
        """The text of a field; empty if it was not there."""
        found = self.pairs.get(path)
        return found[-1] if found else ""

    def all(self, path: str) -> list[str]:
        """All the texts that were posted with a name."""
        return self.pairs.get(path, [])

    def put(self, path: str, *texts: str) -> None:
        """Replace the texts of a name."""
        self.pairs[path] = list(texts)

    def rows(self, path: str) -> list[str]:
        """The keys of a list's rows, in their order."""
        return list(dict.fromkeys(self.all(f"{path}!row")))[:_ROWS]

    def is_json(self, path: str) -> bool:
        """Whether a part is written as JSON."""
        return self.text(f"{path}!as") == "json"

    def is_on(self, path: str) -> bool:
        """Whether an optional part is there."""
        return bool(self.text(f"{path}!on"))

    def drop(self, path: str) -> None:
        """Forget a part and all that is in it."""
        inside = (path, f"{path}/", f"{path}!")
        self.pairs = {
            name: texts
            for name, texts in self.pairs.items()
            if name != path and not name.startswith(inside[1:])
        }

    def add_row(self, path: str) -> str:
        """Add a row to a list; its path."""
        rows = self.rows(path)
        numbers = (int(row) for row in rows if re.fullmatch(r"\d{1,9}", row, re.ASCII))
        key = str(1 + max(numbers, default=-1))
        self.put(f"{path}!row", *rows, key)
        return f"{path}/{key}"

    def remove_row(self, row: str) -> None:
        """Remove a row of a list."""
        path, _, key = row.rpartition("/")
        self.drop(row)
        self.put(f"{path}!row", *(each for each in self.rows(path) if each != key))


def inner(path: str, name: str) -> str:
    """The path of a part inside another, whatever its name is."""
    return f"{path}/{name.replace('~', '~0').replace('/', '~1').replace('!', '~2')}"


def variant(path: str, number: int) -> str:
    """The path of a variant of a union."""
    return f"{path}!v{number}"
