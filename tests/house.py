"""The counts of the house: `python -m tests.house [FOLDER]`, for this checkout or another one.

Lines are those of the files, blank ones and comments included; lines of code have neither, and no
docstrings. A function's run from its `def` to its last line. Public is what neither it nor what
holds it has a leading underscore.
"""

from __future__ import annotations

import ast
import functools
import statistics
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("actors", "bus", "layby", "runtime", "tools")
"""What is installed: the source that the tests are held against."""
LONG = 60
"""Lines of a function that is too long to be read at once."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One source file."""

    path: Path
    lines: int
    code: int
    functions: list[int]
    """How many lines each of its functions has, nested ones and methods included."""
    public: int
    """Its public functions, methods and classes."""
    documented: int
    """How many of these have a docstring."""


@dataclass(frozen=True)
class Counts:
    """What the table shows."""

    modules: int
    median_module: float
    longest_module: int
    median_function: float
    p95_function: float
    long_functions: float
    """The share that has more than `LONG` lines, in percent."""
    documented: float
    """The share of what is public that has a docstring, in percent."""
    tests_per_source: float
    """Lines of the tests for each line of the source."""
    tests_per_code: float
    """The same in lines of code: the source has more docstrings than the tests."""

    def __str__(self) -> str:
        """A table of one row, as Markdown."""
        row = {
            "modules": f"{self.modules}",
            "median / max lines": f"{self.median_module:g} / {self.longest_module}",
            "function median / p95 / over 60": (
                f"{self.median_function:g} / {self.p95_function:g} / {self.long_functions:.1f} %"
            ),
            "public documented": f"{self.documented:.0f} %",
            "test : source": f"{self.tests_per_source:.2f}",
            "in lines of code": f"{self.tests_per_code:.2f}",
        }
        lines = [" | ".join(row), "|".join("---" for _ in row), " | ".join(row.values())]
        return "\n".join(f"| {line} |" for line in lines)


def files(root: Path, *rooms: str) -> Iterator[Path]:
    """Every Python file in these folders, once: links to other folders are not followed."""
    for room in rooms:
        for path in sorted((root / room).rglob("*.py")):
            if path.resolve().relative_to(root.resolve()).parts[0] == room:
                yield path


@functools.cache
def parsed(path: Path) -> ast.Module:
    """A file's syntax tree."""
    return ast.parse(path.read_text())


@functools.cache
def read(path: Path) -> Module:
    """Count one file."""
    text, tree = path.read_text(), parsed(path)
    found = list(public(tree))
    return Module(
        path=path,
        lines=len(text.splitlines()),
        code=_code(text),
        functions=[
            (node.end_lineno or node.lineno) - node.lineno + 1
            for node in ast.walk(tree)
            if isinstance(node, Function)
        ],
        public=len(found),
        documented=sum(ast.get_docstring(node) is not None for node in found),
    )


def _code(text: str) -> int:
    """How many lines have code; a text that stands alone is a docstring."""
    lines = {
        number
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    }
    for node in _statements(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Those of a module or of a block, and those within them."""
    for name in ("body", "orelse", "handlers", "finalbody"):
        for inner in getattr(node, name, ()):
            if isinstance(inner, ast.stmt):
                yield inner
            yield from _statements(inner)


def public(tree: ast.Module | ast.ClassDef) -> Iterator[Function | ast.ClassDef]:
    """The public functions and classes of a module, and what is public in these classes.

    Not what is declared again for type checkers (`@overload`), nor what overrides something with
    a docstring of its own (`@override`).
    """
    for node in tree.body:
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        if {ast.unparse(each) for each in node.decorator_list} & {"overload", "override"}:
            continue
        yield node
        if isinstance(node, ast.ClassDef):
            yield from public(node)


def counts(root: Path = ROOT) -> Counts:
    """Count a checkout."""
    modules = [read(path) for path in files(root, *ROOMS)]
    lines = [module.lines for module in modules]
    functions = [length for module in modules for length in module.functions]
    tests = [path.read_text() for path in files(root, "tests")]
    return Counts(
        modules=len(modules),
        median_module=statistics.median(lines),
        longest_module=max(lines),
        median_function=statistics.median(functions),
        p95_function=statistics.quantiles(functions, n=20)[-1],
        long_functions=100 * sum(length > LONG for length in functions) / len(functions),
        documented=100 * sum(m.documented for m in modules) / sum(m.public for m in modules),
        tests_per_source=sum(len(text.splitlines()) for text in tests) / sum(lines),
        tests_per_code=sum(map(_code, tests)) / sum(module.code for module in modules),
    )


def circles(root: Path = ROOT, *, types: bool = False) -> list[list[str]]:
    """The modules that import one another in a circle, by the name that they are imported by.

    Args:
        root: The checkout.
        types: Whether imports that only type checkers follow count, too.
    """
    paths = {_module(root, path): path for path in files(root, *ROOMS)}
    arrows = {
        name: {_target(each, paths) for each in _imported(name, path, types=types)} & paths.keys()
        for name, path in paths.items()
    }
    reached = {name: _reached(name, arrows) for name in arrows}
    rings = {
        tuple(sorted(other for other in reached[name] if name in reached[other]))
        for name in arrows
        if name in reached[name]
    }
    return [list(ring) for ring in sorted(rings)]


def _module(root: Path, path: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(part for part in ("layby", *parts) if part != "__init__").replace(
        "layby.layby", "layby", 1
    )


def _target(name: str, known: Mapping[str, Path]) -> str:
    """The module that an import loads: `a.b.c` may be the name `c` in the module `a.b`."""
    return name if name in known else name.rpartition(".")[0]


def _imported(name: str, path: Path, *, types: bool) -> Iterator[str]:
    """What a module imports while it is loaded: not what its functions import once they run."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    nodes: list[ast.stmt] = list(parsed(path).body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If):
            checked = ast.unparse(node.test) == "TYPE_CHECKING"
            nodes += node.orelse if checked and not types else [*node.body, *node.orelse]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _reached(start: str, arrows: Mapping[str, set[str]]) -> set[str]:
    """Every module that one leads to; itself only by a circle."""
    found: set[str] = set()
    ahead = [*arrows[start]]
    while ahead:
        if (name := ahead.pop()) not in found:
            found.add(name)
            ahead += arrows[name]
    return found


if __name__ == "__main__":
    checkout = Path(sys.argv[1]) if sys.argv[1:] else ROOT
    print(counts(checkout))  # noqa: T201
    for ring in circles(checkout, types=True):
        print("circle:", " <-> ".join(ring))  # noqa: T201
