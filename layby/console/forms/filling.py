"""A JSON value as what one would have typed into its form."""

from __future__ import annotations

import json
from typing import Any, cast

from .reading import MISSING, Reading, is_local
from .shape import Shape, Shapes, as_list
from .typed import ROOT, Typed, inner, variant

_ROWS = 100
"""Items of a list from which on it is written as JSON."""


class Filling:
    """Fills one form."""

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes
        self.typed = Typed()

    def fresh(self, shape: Shape, path: str = ROOT, *, required: bool = True) -> None:
        """Fill in the defaults that a part has."""
        if shape.schema.get("default") is not None:
            self.fill(shape, shape.schema["default"], path, required=required)
            if self.typed.text(f"{path}!none"):  # an emptied default is no default
                self.typed.drop(f"{path}!none")
        elif shape.kind == "group" and not shape.recursive:
            for name, part, needed in self._shapes.properties(shape):
                self.fresh(part, inner(path, name), required=needed)

    def fill(self, shape: Shape, value: Any, path: str = ROOT, *, required: bool = True) -> None:
        """Fill in a part's value; MISSING: it is left out."""
        if value is MISSING or (value is None and shape.nullable):
            self.typed.put(f"{path}!none", "null" if value is None else "absent")
            return
        if shape.is_part:
            self.typed.put(f"{path}!on", "1")
        self._put(shape, value, path, required=required)
        reading = Reading(self._shapes, self.typed)
        again = reading.read(shape, path, required=required)
        if again is MISSING or not same(again, value) or _is_lost(value):
            self._put_json(value, path)

    def _put(self, shape: Shape, value: Any, path: str, *, required: bool) -> None:
        match shape.kind:
            case "group":
                self._group(shape, value, path)
            case "list":
                self._list(shape, value, path)
            case "many" if isinstance(value, list):
                self.typed.put(path, *(json.dumps(each) for each in as_list(value)))
                self._empty(path, value)
            case "union":
                self._union(shape, value, path)
            case "const":
                if not required or shape.nullable:
                    self.typed.put(f"{path}!on", "1")
            case "json":
                self._put_json(value, path, marked=False)
            case "choice" | "yesno":
                self.typed.put(path, json.dumps(value))
            case "datetime" if isinstance(value, str):
                local = value.removesuffix("Z")
                self.typed.put(path, local if is_local(local) and value != local else value)
            case _:
                self.typed.put(path, value if isinstance(value, str) else json.dumps(value))
                self._empty(path, value)

    def _empty(self, path: str, value: Any) -> None:
        """An empty text or list that was there stays one."""
        if value in ("", []):
            self.typed.put(f"{path}!none", "empty")

    def _group(self, shape: Shape, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            return
        left = dict(cast("dict[str, Any]", value))
        for name, part, required in self._shapes.properties(shape):
            self.fill(part, left.pop(name, MISSING), inner(path, name), required=required)
        if left:
            self.typed.put(f"{path}!more", json.dumps(left))

    def _list(self, shape: Shape, value: Any, path: str) -> None:
        if not isinstance(value, list):
            return
        items, item = as_list(value), self._shapes.item(shape)
        if len(items) > _ROWS:
            return
        self._empty(path, items)
        self.typed.put(f"{path}!row", *(str(number) for number in range(len(items))))
        for number, each in enumerate(items):
            self.fill(item, each, f"{path}/{number}")

    def _union(self, shape: Shape, value: Any, path: str) -> None:
        from .checks import problems  # noqa: PLC0415  in one place with its validator

        for number, each in enumerate(self._shapes.variants(shape)):
            if not problems(self._shapes.schema(each), value):
                self.typed.put(f"{path}!is", str(number))
                self.fill(each, value, variant(path, number))
                return

    def _put_json(self, value: Any, path: str, *, marked: bool = True) -> None:
        self.typed.drop(path)
        self.typed.put(path, json.dumps(value, indent=2, ensure_ascii=False))
        self.typed.put(f"{path}!on", "1")
        if marked:
            self.typed.put(f"{path}!as", "json")


def _is_lost(value: Any) -> bool:
    """Whether a text has characters that a field of a browser does not keep."""
    return isinstance(value, str) and any(each in value for each in "\r\0")


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same; true is not 1, and 1 is not 1.0."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
