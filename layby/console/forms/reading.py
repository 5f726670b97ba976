"""A posted form as a JSON value, checked by the rules that a worker has."""

from __future__ import annotations

import json
import re
from datetime import date, datetime, time
from typing import Any, Final, cast

from .checks import problems
from .shape import Shape, Shapes
from .typed import ROOT, Typed, inner, variant


class Missing:
    """Stands for a part that is not there."""


MISSING: Final = Missing()
_EMPTY: Final = "Fill this in"
_NUMBER: Final = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_DIGITS: Final = 300
_LOCAL: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?")


class Reading:
    """Reads the fields of one posted form, and collects what is wrong with them."""

    def __init__(self, shapes: Shapes, typed: Typed) -> None:
        self._shapes = shapes
        self._typed = typed
        self.errors: dict[str, str] = {}
        """By path: what is wrong with the field."""

    def read(self, shape: Shape, path: str = ROOT, *, required: bool = True) -> Any:
        """The value of a part; MISSING if it is left out, or cannot be read."""
        if self._typed.is_json(path):
            value = self._json(shape, path, required=required)
        elif is_off(shape, self._typed, path, required=required):
            return self._nothing(shape, path, required=required)
        else:
            value = self._value(shape, path, required=required)
        if value is not MISSING and not self._has_error(path) and (value is not None or not
                shape.nullable):  # fmt: skip
            self._check(shape, path, value)
        return value

    def _value(self, shape: Shape, path: str, *, required: bool) -> Any:
        if shape.kind == "group":
            return self._group(shape, path)
        readers = {
            "list": self._list,
            "many": self._many,
            "union": self._union,
            "const": self._const,
            "json": self._json,
        }
        return readers.get(shape.kind, self._scalar)(shape, path, required=required)

    def _many(self, shape: Shape, path: str, *, required: bool) -> Any:
        found = [_loaded(each) for each in self._typed.all(path)]
        return found or self._nothing(shape, path, required=required, empty=[])

    def _scalar(self, shape: Shape, path: str, *, required: bool) -> Any:
        text = self._typed.text(path)
        if shape.kind != "text":
            text = text.strip()
        if not text:
            return self._nothing(shape, path, required=required, empty="")
        read = {"yesno": _yesno, "choice": _choice, "number": _number, "integer": _integer}
        try:
            return read.get(shape.kind, _TEXTS.get(shape.kind, str))(text)
        except (ValueError, RecursionError):
            return self._wrong(path, _WRONG[shape.kind])

    def _nothing(self, shape: Shape, path: str, *, required: bool, empty: Any = MISSING) -> Any:
        """What an empty field means."""
        meaning = self._typed.text(f"{path}!none")
        if meaning == "null" and shape.nullable:
            return None
        if empty is not MISSING and meaning == "empty":
            return empty
        if not required:
            return MISSING
        if shape.nullable:
            return None
        return empty if empty == [] else self._wrong(path, _EMPTY)

    def _const(self, shape: Shape, path: str, *, required: bool) -> Any:
        if required and not shape.nullable:
            return shape.schema["const"]
        if self._typed.is_on(path):
            return shape.schema["const"]
        return self._nothing(shape, path, required=required)

    def _group(self, shape: Shape, path: str) -> Any:
        found = self._more(path)
        for name, part, required in self._shapes.properties(shape):
            value = self.read(part, inner(path, name), required=required)
            if value is not MISSING:
                found[name] = value
        return found

    def _more(self, path: str) -> dict[str, Any]:
        more = _loaded(self._typed.text(f"{path}!more") or "{}")
        return dict(cast("dict[str, Any]", more)) if isinstance(more, dict) else {}

    def _list(self, shape: Shape, path: str, *, required: bool) -> Any:
        rows = self._typed.rows(path)
        if not rows:
            return self._nothing(shape, path, required=required, empty=[])
        item = self._shapes.item(shape)
        found = [self.read(item, f"{path}/{key}") for key in rows]
        return [each for each in found if each is not MISSING]

    def _union(self, shape: Shape, path: str, *, required: bool) -> Any:
        chosen = self._typed.text(f"{path}!is")
        variants = self._shapes.variants(shape)
        if not chosen.isdecimal() or len(chosen) > 2 or int(chosen) >= len(variants):  # noqa: PLR2004
            return self._nothing(shape, path, required=required) if not required else self._wrong(
                path, "Choose one")  # fmt: skip
        return self.read(variants[int(chosen)], variant(path, int(chosen)))

    def _json(self, shape: Shape, path: str, *, required: bool) -> Any:
        text = self._typed.text(path)
        if not text.strip():
            return self._nothing(shape, path, required=required)
        value = _loaded(text)
        return self._wrong(path, "Is not valid JSON") if value is MISSING else value

    def _check(self, shape: Shape, path: str, value: Any) -> None:
        for where, problem in problems(self._shapes.schema(shape), value):
            self.errors.setdefault(self._place(shape, path, where), problem)

    def _place(self, shape: Shape, path: str, where: list[Any]) -> str:
        """The path of the field that a problem is about, as near as there is one."""
        if not where or self._typed.is_json(path):
            return path
        if shape.kind == "group":
            for name, part, _ in self._shapes.properties(shape):
                if name == where[0]:
                    return self._place(part, inner(path, name), where[1:])
        rows = self._typed.rows(path)
        if shape.kind == "list" and isinstance(where[0], int) and where[0] < len(rows):
            item = self._shapes.item(shape)
            return self._place(item, f"{path}/{rows[where[0]]}", where[1:])
        return path

    def _has_error(self, path: str) -> bool:
        return any(
            each == path or each.startswith((f"{path}/", f"{path}!")) for each in self.errors
        )

    def _wrong(self, path: str, problem: str) -> Missing:
        self.errors.setdefault(path, problem)
        return MISSING


def is_off(shape: Shape, typed: Typed, path: str, *, required: bool) -> bool:
    """Whether a part is not there as a whole."""
    if shape.is_part and (shape.recursive or not required or shape.nullable):
        return not typed.is_on(path)
    return False


def is_local(text: str) -> bool:
    """Whether it is a time as a browser's field for date and time has it."""
    return _LOCAL.fullmatch(text) is not None


def _loaded(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refused)
    except (ValueError, RecursionError):
        return MISSING


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _choice(text: str) -> Any:
    found = _loaded(text)
    if found is MISSING:
        raise ValueError(text)
    return found


def _yesno(text: str) -> bool:
    return {"true": True, "false": False}[text] if text in {"true", "false"} else _refused(text)


def _number(text: str) -> int | float:
    text = text.replace(" ", "").replace("−", "-")  # noqa: RUF001  a pasted minus
    if not _NUMBER.fullmatch(text) or len(text) > _DIGITS:
        raise ValueError(text)
    found = cast("int | float", json.loads(text))
    if found in {float("inf"), float("-inf")}:
        raise ValueError(text)
    return found


def _integer(text: str) -> int | float:
    found = _number(text)
    if found != int(found):
        raise ValueError(text)
    return found


def _date(text: str) -> str:
    date.fromisoformat(text)
    return text


def _time(text: str) -> str:
    time.fromisoformat(text)
    return text


def _datetime(text: str) -> str:
    """A time; one without an offset is in UTC, as its field says."""
    then = datetime.fromisoformat(text)
    if is_local(text) and then.tzinfo is None:
        return f"{text}:00Z" if text.count(":") == 1 else f"{text}Z"
    return text


_TEXTS: Final = {"date": _date, "time": _time, "datetime": _datetime}
_WRONG: Final = {
    "yesno": "Choose yes or no",
    "choice": "Choose one",
    "number": "Must be a number",
    "integer": "Must be a whole number",
    "text": "Must be text",
    "date": "Must be a date, like 2026-12-01",
    "time": "Must be a time, like 14:30",
    "datetime": "Must be a date and time, like 2026-12-01T14:30:00Z",
}
