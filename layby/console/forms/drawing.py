"""Turns a schema, and what was typed, into fields."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from .field import Choice, Field
from .reading import is_local, is_off
from .shape import Shape, Shapes
from .typed import ROOT, Typed, inner, variant

_MOST: Final = 400
"""Fields of one form; what is beyond is written as JSON."""
_LONG: Final = 120
"""Characters from which on a text gets more than one line."""
_SHORT: Final = 60
_HINT: Final = 2_000


class Drawing:
    """Draws one form."""

    def __init__(
        self, shapes: Shapes, typed: Typed, errors: dict[str, str], prefix: str = ""
    ) -> None:
        self._shapes = shapes
        self._typed = typed
        self._errors = errors
        self._prefix = prefix
        self._count = 0

    def draw(
        self, shape: Shape, path: str = ROOT, name: str = "", *, required: bool = True
    ) -> Field:
        """The field of a part."""
        self._count += 1
        off = is_off(shape, self._typed, path, required=required)
        switched = shape.is_part and (shape.recursive or not required or shape.nullable)
        is_json = self._typed.is_json(path) or self._count > _MOST or shape.kind == "json"
        kind = "code" if is_json else self._kind(shape, path, required=required)
        closed = off and (shape.recursive or self._count > _MOST)
        return Field(
            path=path,
            id=f"{self._prefix}{_slug(path)}",
            kind=kind,
            label=_spoken(name) if _is_named(shape, name) else label_of(shape.schema, name),
            hint=_hint(shape, kind),
            error=self._errors.get(path, ""),
            optional=not required or shape.nullable,
            part=switched and not shape.recursive,
            on=self._typed.is_on(path) if kind == "switch" else not off,
            closed=closed,
            text=self._text(shape, path, kind),
            choices=() if is_json else self._choices(shape, path, kind, required=required),
            fields=() if is_json or closed else self._inside(shape, path),
            attributes=_attributes(shape.schema, kind),
            hidden=self._hidden(path, kind, shown=not closed, kept=shape.recursive and not off),
        )

    def _kind(self, shape: Shape, path: str, *, required: bool) -> str:
        text = self._typed.text(path)
        match shape.kind:
            case "text":
                return _text_kind(shape.schema, text)
            case "const":
                return "const" if required and not shape.nullable else "switch"
            case "date" | "time":
                whole = _DATE if shape.kind == "date" else _TIME
                return shape.kind if not text or whole.fullmatch(text) else "text"
            case "datetime":
                return "datetime" if not text or is_local(text) else "text"
            case _:
                return shape.kind

    def _text(self, shape: Shape, path: str, kind: str) -> str:
        text = self._typed.text(path)
        if kind == "code" and not text and not self._typed.is_json(path):
            return ""
        return json.dumps(shape.schema["const"]) if kind == "const" else text

    def _choices(self, shape: Shape, path: str, kind: str, *, required: bool) -> tuple[Choice, ...]:
        chosen = self._typed.all(path)
        if kind == "yesno":
            some = [("true", "Yes"), ("false", "No")]
        elif kind in {"choice", "many"}:
            some = [(json.dumps(each), shown(each)) for each in self._shapes.choices(shape)]
        elif kind == "union":
            chosen = self._typed.all(f"{path}!is")
            some = [
                (str(number), variant_name(each, self._shapes))
                for number, each in enumerate(self._shapes.variants(shape))
            ]
        else:
            return ()
        if kind == "yesno" and (not required or shape.nullable):
            some.append(("", "Leave out"))
            chosen = chosen or [""]
        return tuple(
            Choice(value=value, label=text, chosen=value in chosen) for value, text in some
        )

    def _inside(self, shape: Shape, path: str) -> tuple[Field, ...]:
        if shape.kind == "group":
            parts = self._shapes.properties(shape)
            return tuple(
                self.draw(part, inner(path, name), name, required=required)
                for name, part, required in parts
            )
        if shape.kind == "list":
            item, rows = self._shapes.item(shape), self._typed.rows(path)
            return tuple(
                self.draw(item, f"{path}/{key}", str(number)) for number, key in enumerate(rows, 1)
            )
        if shape.kind == "union":
            return tuple(
                self.draw(each, variant(path, number), _NO_NAME)
                for number, each in enumerate(self._shapes.variants(shape))
            )
        return ()

    def _hidden(
        self, path: str, kind: str, *, shown: bool, kept: bool
    ) -> tuple[tuple[str, str], ...]:
        names = [f"{path}!none", f"{path}!more"]
        if shown and self._typed.is_json(path):
            names.append(f"{path}!as")
        found = [(name, text) for name in names if (text := self._typed.text(name))]
        if kept:
            found.append((f"{path}!on", "1"))
        if kind == "list":
            found += [(f"{path}!row", key) for key in self._typed.rows(path)]
        return tuple(found)


_NO_NAME: Final = "\0"
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_TIME: Final = re.compile(r"\d\d:\d\d(:\d\d(\.\d{1,3})?)?")
_WORDS: Final = {
    "yesno": "Yes or no",
    "text": "Text",
    "number": "Number",
    "integer": "Whole number",
    "date": "Date",
    "time": "Time",
    "datetime": "Date and time",
    "list": "List",
    "many": "List",
    "group": "Details",
    "json": "JSON",
    "choice": "Choice",
    "union": "Choice",
}


def _is_named(shape: Shape, name: str) -> bool:
    """Whether a part is called by its name: its title is that of its class."""
    return shape.is_part and name not in {"", _NO_NAME} and not name.isdecimal()


def label_of(schema: dict[str, Any], name: str) -> str:
    """What a part is called: its title, unless that only repeats its name."""
    title = schema.get("title")
    if name == _NO_NAME:
        return ""
    given = title if isinstance(title, str) and not name.isdecimal() else ""
    if given and _bare(given) != _bare(name):
        return given[:_HINT]
    return _spoken(name)


def variant_name(shape: Shape, shapes: Shapes) -> str:
    """What a variant of a union is called."""
    title = shape.schema.get("title")
    if isinstance(title, str) and title:
        return title[:_SHORT]
    if shape.kind == "const":
        return shown(shape.schema["const"])
    if shape.kind == "list":
        return f"List of {variant_name(shapes.item(shape), shapes).lower()}"[:_SHORT]
    return _WORDS.get(shape.kind, "JSON")


def shown(value: Any) -> str:
    """A value of a choice as people read it."""
    if value is True or value is False:
        return "Yes" if value else "No"
    return value[:_HINT] if isinstance(value, str) and value else json.dumps(value)[:_HINT]


def _bare(text: str) -> str:
    return re.sub(r"[\s_-]", "", text).casefold()


def _spoken(name: str) -> str:
    """`fixed_on` and `fixedOn` as `Fixed on`."""
    words = re.sub(r"([a-z0-9])([A-Z])(?=[a-z])", lambda m: f"{m[1]} {m[2].lower()}", name)
    words = words.replace("_", " ").strip() or name
    return words[:1].upper() + words[1:_HINT]


def _text_kind(schema: dict[str, Any], text: str) -> str:
    if schema.get("writeOnly") is True or schema.get("format") == "password":
        return "secret"
    longest = schema.get("maxLength")
    is_short = isinstance(longest, int) and longest <= _LONG
    is_plain = is_short or schema.get("format") is not None or "pattern" in schema
    return "text" if is_plain and "\n" not in text else "long"


def _hint(shape: Shape, kind: str) -> str:
    schema = shape.schema
    said = schema.get("description")
    parts = [said.strip().rstrip(".")[:_HINT]] if isinstance(said, str) and said.strip() else []
    parts += [text for text in (_bounds(schema, kind), _FORMS.get(kind, "")) if text]
    if kind == "text" and shape.kind == "datetime":
        parts.append("like 2026-12-01T14:30:00Z")
    if kind == "text" and (form := _TEXT_FORMS.get(str(schema.get("format")))):
        parts.append(form)
    joined = ", ".join(parts)
    return joined[:1].upper() + joined[1:]


def _bounds(schema: dict[str, Any], kind: str) -> str:
    low, high = _number(schema, "minimum"), _number(schema, "maximum")
    if kind in {"number", "integer"}:
        if low and high:
            return f"{low} to {high}"
        return f"{low} or more" if low else f"up to {high}" if high else ""
    if kind in {"text", "long"} and (longest := _number(schema, "maxLength")):
        return f"up to {longest} characters"
    if kind == "list" and (least := _number(schema, "minItems")) not in {"", "0"}:
        return f"{least} or more"
    return ""


def _number(schema: dict[str, Any], key: str) -> str:
    found = schema.get(key)
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    return json.dumps(found)[:_SHORT] if is_number else ""


def _attributes(schema: dict[str, Any], kind: str) -> dict[str, str]:
    if kind in {"number", "integer"}:
        negative = not str(schema.get("minimum", "-")).startswith("-")
        mode = "decimal" if kind == "number" else "numeric"
        return {"inputmode": mode} if negative else {}
    return {"step": "1"} if kind in {"time", "datetime"} else {}


def _slug(path: str) -> str:
    """A path as an id: one word, whatever its parts are called."""
    return re.sub(
        r"[^A-Za-z0-9]", lambda found: "-" if found[0] == "/" else f"_{ord(found[0]):x}_", path
    )


_FORMS: Final = {"datetime": "in UTC", "code": "as JSON"}
_TEXT_FORMS: Final = {
    "duration": "like PT1H30M",
    "uuid": "like 3b241101-e2bb-4255-8caf-4136c566a962",
    "email": "an e-mail address",
    "uri": "an address, like https://example.com",
}
