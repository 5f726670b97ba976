"""docs/logs.md names every event that a worker logs, with its level and its fields."""

from __future__ import annotations

import ast
import functools
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FOLDERS = ("actors", "bus", "runtime", "tools", "layby")
LEVELS = {"debug", "info", "warning", "error", "exception"}
NO_FIELDS = {"exc_info"}
"""What is shown otherwise: as `exception`."""

_ROW = re.compile(r"^\| `([a-z_]+(?:\.[a-z_]+)*)` \| (\w+) \|([^|]*)\| ([^|]+) \|$", re.MULTILINE)
_FACT = re.compile(r"(\w+)=%[rs]")
_RUNG = {"run", "ticket", "question", "rung", "to", "told"}
_CARD = {"run", "ticket", "question", "role", "channel"}
_ACT = {"run", "ticket", "question", "by"}
_CALLED = {
    "_about": {"run", "ticket"},
    "_about_act": _ACT,
    "_about_rung": _RUNG,
    "_about_card": _CARD,
    "texts": set[str](),
}
"""Fields that a helper makes."""


@functools.cache
def logged() -> list[tuple[str, str, frozenset[str]]]:
    """Each call of a logger in the source: event, level, fields."""
    return list(_logged())


def _logged() -> Iterator[tuple[str, str, frozenset[str]]]:
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            if path.is_symlink() or any(part.is_symlink() for part in path.parents):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and (found := _event(node, path)):
                    yield found


def _event(node: ast.Call, path: Path) -> tuple[str, str, frozenset[str]] | None:
    function = node.func
    if not isinstance(function, ast.Attribute) or function.attr not in LEVELS:
        return None
    if not re.search(r"\b_?log$|get_logger\(.*\)$", ast.unparse(function.value)):
        return None
    message = node.args[0]
    assert isinstance(message, ast.Constant), f"{path}:{node.lineno}: name the event"
    assert isinstance(message.value, str)
    fields = set(_FACT.findall(message.value))
    for keyword in node.keywords:
        fields |= _fields(keyword, path)
    event = message.value.partition(" ")[0]
    level = "error" if function.attr == "exception" else function.attr
    return event, level, frozenset(fields - NO_FIELDS)


def _fields(keyword: ast.keyword, path: Path) -> set[str]:
    if keyword.arg:
        return {keyword.arg}
    value = keyword.value  # **facts: made by a helper of that module
    assert isinstance(value, ast.Call), f"{path}:{value.lineno}: write the fields out"
    return _CALLED[ast.unparse(value.func)]


def documented() -> dict[tuple[str, str], frozenset[str]]:
    text = (ROOT / "docs" / "logs.md").read_text()
    return {
        (event, level): frozenset(re.findall(r"`(\w+)`", fields))
        for event, level, fields, _ in _ROW.findall(text)
    }


def test_every_event_is_in_the_table_with_its_level_and_fields() -> None:
    table = documented()
    for event, level, fields in logged():
        assert (event, level) in table, f"docs/logs.md lacks `{event}` at {level}: {sorted(fields)}"
        assert fields <= table[event, level], f"docs/logs.md: {event} has {sorted(fields)}"


def test_the_table_names_nothing_that_is_not_logged() -> None:
    found: dict[tuple[str, str], set[str]] = {}
    for event, level, fields in logged():
        found.setdefault((event, level), set()).update(fields)
    assert documented() == {key: frozenset(fields) for key, fields in found.items()}


def test_a_line_is_written_in_one_piece() -> None:
    """Workers may share one stderr, and lines of one must not end up within lines of another."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    code = (
        "import structlog; from layby.runtime import telemetry; telemetry.configure(json=True);"
        "log = structlog.get_logger(); log.info('run.started'); log.info('run.completed')"
    )
    with ours, theirs:
        subprocess.run([sys.executable, "-c", code], stderr=theirs.fileno(), check=True, timeout=30)  # noqa: S603
        theirs.close()
        pieces = list(iter(lambda: ours.recv(65536), b""))
    assert [json.loads(piece)["event"] for piece in pieces] == ["run.started", "run.completed"]
    assert all(piece.endswith(b"\n") for piece in pieces)
