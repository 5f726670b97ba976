"""`python -m benchmarks.markdown FILE...`: the figures of `--out` files as Markdown."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from .measure import Figure
from .reach import reached
from .report import cells, headings, parts, rows


def main(files: Sequence[str]) -> None:
    """Print all tables, then what was aimed at."""
    figures: list[Figure] = []
    for file in files:
        document = json.loads(Path(file).read_text())
        about = document["about"]
        words = (f"{key} {value}" for key, value in about.items())
        sys.stdout.write(f"<!-- {', '.join(words)} -->\n")
        figures += [Figure(**figure) for figure in document["figures"]]
    for title, chosen in parts(figures):
        sys.stdout.write(f"\n### {title}\n\n")
        lines = ([row.name, row.unit, *cells(row, chosen)] for row in rows(chosen))
        _table(headings(chosen), lines)
    sys.stdout.write("\n### Reach\n\n")
    aims = ([line.aim, line.measured, "yes" if line.held else "no"] for line in reached(figures))
    _table(["aim", "measured", "held"], aims)


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    _line(head)
    _line(["---", *("---:" for _ in head[1:])])
    for line in lines:
        _line(line)


def _line(words: Sequence[str]) -> None:
    sys.stdout.write(f"| {' | '.join(words)} |\n")


if __name__ == "__main__":
    main(sys.argv[1:])
