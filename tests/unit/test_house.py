"""What the source must hold to, read from the source itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("bus", "runtime", "tools", "actors", "layby", "benchmarks", "examples")


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Every source file of the project but its tests, each once."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if path.resolve().relative_to(ROOT.resolve()).parts[0] == room:
                yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def called(tree: ast.Module) -> Iterator[str]:
    """The names of all functions and classes that a file calls directly."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


def test_the_bus_is_opened_in_one_place() -> None:
    assert [file for file, tree in sources() if "Requests" in called(tree)] == ["bus/opened.py"]
