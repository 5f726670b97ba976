"""What the source must hold to, read from the source itself."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import ROOMS as INSTALLED
from tests.house import Counts, circles, counts, files, parsed, public, read

ROOT = Path(__file__).parents[2]
ROOMS = ("bus", "runtime", "tools", "actors", "layby", "benchmarks", "examples")


@functools.cache
def sources() -> list[tuple[str, ast.Module]]:
    """Every source file of the project but its tests, each once."""
    return [(str(path.relative_to(ROOT)), parsed(path)) for path in files(ROOT, *ROOMS)]


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


def test_no_module_is_longer_than_can_be_read_at_once() -> None:
    modules = {str(path.relative_to(ROOT)): read(path) for path in files(ROOT, *INSTALLED)}
    assert {name: module.lines for name, module in modules.items() if module.lines > 400} == {}


@pytest.fixture(scope="module")
def counted() -> Counts:
    return counts()


def test_modules_and_functions_stay_small(counted: Counts) -> None:
    assert counted.median_module <= 120
    assert counted.median_function <= 7
    assert counted.p95_function <= 35
    assert counted.long_functions <= 0.5


def test_what_is_public_is_documented() -> None:
    bare = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in files(ROOT, *INSTALLED)
        for node in public(parsed(path))
        if ast.get_docstring(node) is None
    ]
    assert bare == []


def test_there_are_more_lines_of_tests_than_of_source(counted: Counts) -> None:
    assert counted.tests_per_source >= 1.3
    assert counted.tests_per_code >= 1.4


def test_no_modules_import_one_another_in_a_circle() -> None:
    assert circles() == []


def test_no_modules_know_one_another_by_type_in_a_circle() -> None:
    assert circles(types=True) == []


def test_a_circle_is_found(tmp_path: Path) -> None:
    for room, module, code in (
        ("bus", "log", "from ..runtime import state\n"),
        ("runtime", "state", "def f() -> None:\n    from ..bus.log import Log\n"),
        ("tools", "one", "from .two import Two\n"),
        ("tools", "two", "if TYPE_CHECKING:\n    from . import one\n"),
        ("actors", "a", "import layby.actors.b\n"),
        ("actors", "b", "from .a import A\n"),
    ):
        (tmp_path / room).mkdir(exist_ok=True)
        (tmp_path / room / f"{module}.py").write_text(code)
    ring = ["layby.actors.a", "layby.actors.b"]
    assert circles(tmp_path) == [ring]
    assert circles(tmp_path, types=True) == [ring, ["layby.tools.one", "layby.tools.two"]]
