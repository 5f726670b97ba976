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


STREAMS = {"EVENTS", "RUNS", "QUESTIONS", "ANSWERS", "TIMERS", "DEAD", "BLOBS", "THREADS", "AUDIT"}


def test_streams_are_asked_for_by_the_names_of_the_app() -> None:
    """With a prefix a stream is called otherwise: `requests.names.stream("RUNS")` knows how."""
    found = [
        (file, node.lineno)
        for file, tree in sources()
        if not file.startswith(("bus/", "benchmarks/"))
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _called(node) in PORT and _names_a_stream(node)
    ]
    assert found == []


PORT = {"api", "direct_get", "stored", "newest", "every"}


def test_buckets_are_asked_for_by_the_names_of_the_app() -> None:
    """`requests.names.keys("parked", ">")` and `.bucket_stream("parked")` know how."""
    found = [
        (file, node.lineno)
        for file, tree in sources()
        if not file.startswith(("bus/", "benchmarks/"))
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        and isinstance(node.values[0], ast.Constant)
        and str(node.values[0].value).startswith(("KV_", "$KV."))
    ]
    assert found == []


def _called(call: ast.Call) -> str:
    return getattr(call.func, "attr", "") or getattr(call.func, "id", "")


def _names_a_stream(call: ast.Call) -> bool:
    texts = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]
    return any(isinstance(text, str) and text.rpartition(".")[2] in STREAMS for text in texts)
