"""Reads a tool's docstring: its first paragraph, and the `Args:` section in Google's style."""

from __future__ import annotations

import inspect
import re

_SECTION = re.compile(r"(?P<title>Args|Arguments|Parameters):\s*$")
_ENTRY = re.compile(r"\*{0,2}(?P<name>\w+)\s*(?:\([^)]*\))?\s*:\s*(?P<text>.*)$")


def summary(docstring: str | None) -> str:
    """The first paragraph on one line; empty when it is missing or a section."""
    paragraph = inspect.cleandoc(docstring or "").split("\n\n", 1)[0]
    return "" if _SECTION.match(paragraph.split("\n", 1)[0]) else " ".join(paragraph.split())


def parameters(docstring: str | None) -> dict[str, str]:
    """The descriptions under `Args:`, by parameter name, each on one line."""
    found: dict[str, list[str]] = {}
    margin = 0
    current: list[str] | None = None
    for line in _section(inspect.cleandoc(docstring or "").splitlines()):
        indent = len(line) - len(line.lstrip())
        margin = margin or indent
        entry = _ENTRY.match(line.strip()) if indent <= margin else None
        if entry:
            current = found.setdefault(entry["name"], [])
        if current is not None:
            current.append(entry["text"] if entry else line.strip())
    return {name: " ".join(" ".join(lines).split()) for name, lines in found.items()}


def _section(lines: list[str]) -> list[str]:
    """The indented, non-empty lines below `Args:`."""
    starts = [n for n, line in enumerate(lines) if _SECTION.match(line)]
    if not starts:
        return []
    body: list[str] = []
    for line in lines[starts[0] + 1 :]:
        if line and not line.startswith(" "):
            break
        if line.strip():
            body.append(line)
    return body
