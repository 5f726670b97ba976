"""The arguments of a call as a person reads them: JSON, multi-line texts, changes."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any

_CHANGES = (("old", "new"), ("before", "after"), ("original", "replacement"))
_KINDS = ("", "_text", "_string", "_str", "_code", "_content")
_MARGIN = "  | "


def safe_json(value: Any, indent: int | None = None) -> str:
    """JSON that cannot mislead: characters that hide or reorder others are escaped."""
    return visible(json.dumps(value, indent=indent, ensure_ascii=False))


def visible(text: str) -> str:
    """`text` with the characters escaped that hide or reorder others; line breaks stay."""
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def arguments_text(arguments: dict[str, Any]) -> str:
    """All arguments, nothing cut off. Multi-line texts follow as blocks, changes as a diff.

    Each line of a block has a margin, so that no text can pose as a line of Layby's.
    """
    shown, blocks = dict(arguments), list[str]()
    for old, new in _pairs(arguments):
        shown[old] = shown[new] = "shown below as a change"
        diff = _diff(arguments[old], arguments[new])
        blocks.append(_block(f"change from {old} to {new}", diff))
    blocks += [_block(path, text.split("\n")) for path, text in _texts(shown)]
    return "\n".join([f"arguments: {safe_json(_without_texts(shown), indent=2)}", *blocks])


def _pairs(arguments: dict[str, Any]) -> list[tuple[str, str]]:
    """The names of arguments that hold a text before and after a change."""
    names = [(f"{old}{kind}", f"{new}{kind}") for old, new in _CHANGES for kind in _KINDS]
    return [
        (old, new)
        for old, new in names
        if isinstance(arguments.get(old), str) and isinstance(arguments.get(new), str)
        if "\n" in f"{arguments[old]}{arguments[new]}"
    ]


def _is_long(value: Any) -> bool:
    return isinstance(value, str) and "\n" in value


def _items(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        fields: dict[Any, Any] = value  # pyright: ignore[reportUnknownVariableType]
        return [(str(key), inner) for key, inner in fields.items()]
    if isinstance(value, list):
        inside: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
        return [(str(place), inner) for place, inner in enumerate(inside)]
    return []


def _texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The multi-line texts in a value, each with its path."""
    if _is_long(value):
        yield path, value
    for key, inner in _items(value):
        yield from _texts(inner, f"{path}.{key}" if path else key)


def _without_texts(value: Any) -> Any:
    """The value with a note in place of each multi-line text."""
    if _is_long(value):
        return f"{value.count(chr(10)) + 1} lines, shown below"
    if isinstance(value, dict):
        return {key: _without_texts(inner) for key, inner in _items(value)}
    if isinstance(value, list):
        return [_without_texts(inner) for _, inner in _items(value)]
    return value


def _diff(before: str, after: str) -> list[str]:
    """A unified diff that contains both texts completely."""
    old, new = before.split("\n"), after.split("\n")
    context = max(len(old), len(new))
    found = list(difflib.unified_diff(old, new, n=context, lineterm=""))
    return found[3:] or [f"  {line}" for line in old]


def _block(title: str, lines: list[str]) -> str:
    """Lines with a margin below a title. Tabs stay, because most of these texts are code."""
    shown = ("\t".join(visible(part) for part in line.split("\t")) for line in lines)
    return "\n".join([f"{visible(title)}:", *(f"{_MARGIN}{line}" for line in shown)])
