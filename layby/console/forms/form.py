"""A form for a JSON Schema: drawn with a value or empty, and read when it is posted."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ...runtime.forms import fit
from .drawing import Drawing
from .field import Field
from .filling import Filling, same
from .reading import MISSING, Reading
from .shape import Shapes
from .typed import ADD, JSON, REMOVE, ROOT, Typed


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """What a posted form means.

    Attributes:
        value: The JSON value; None if something is wrong.
        errors: What is wrong, by the path of the field; empty if nothing is.
    """

    value: Any = None
    errors: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def is_valid(self) -> bool:
        """Whether a worker accepts it."""
        return not self.errors


class Form:
    """The form of one schema; `prefix` begins the ids of its controls."""

    def __init__(self, schema: Any, prefix: str = "") -> None:
        self._shapes = Shapes(schema)
        self._shape = self._shapes.root()
        self._prefix = prefix

    def fresh(self) -> Field:
        """Its fields, empty but for defaults."""
        filling = Filling(self._shapes)
        filling.fresh(self._shape)
        if self._shape.is_part:
            filling.typed.put(f"{ROOT}!on", "1")
        return self.drawn(filling.typed)

    def filled(self, value: Any) -> Field:
        """Its fields with a value, whether that is valid or not."""
        filling = Filling(self._shapes)
        filling.fill(self._shape, value)
        return self.drawn(filling.typed)

    def drawn(self, typed: Typed, errors: dict[str, str] | None = None) -> Field:
        """Its fields with what was typed, valid or not, and what is wrong with it."""
        return Drawing(self._shapes, typed, errors or {}, self._prefix).draw(self._shape)

    def read(self, typed: Typed) -> Entered:
        """The value that was typed, or what is wrong with it, field by field."""
        reading = Reading(self._shapes, typed)
        value = reading.read(self._shape)
        if not reading.errors and value is MISSING:
            return Entered(errors={ROOT: "Fill this in"})
        if not reading.errors:
            text = answer_text(value, self._shapes.definitions)
            if wrong := _misfit(text, self._shapes.definitions):
                return Entered(errors={ROOT: wrong})
        return Entered(errors=reading.errors) if reading.errors else Entered(value=value)

    def changed(self, typed: Typed) -> str | None:
        """Do what a button inside the form asks for: add or remove a row, show a part as JSON.

        The path of the part that changed; None if no such button was pressed.
        """
        if (path := typed.text(REMOVE)) and "/" in path:
            typed.remove_row(path)
            return path.rpartition("/")[0]
        if path := typed.text(JSON):
            return self._as_json(typed, path)
        if not (path := typed.text(ADD)):
            return None
        if path.endswith("!on"):
            typed.put(path, "1")
            return path.removesuffix("!on")
        return typed.add_row(path)

    def _as_json(self, typed: Typed, path: str) -> str:
        """Show all of it as JSON, with what was typed as far as it is valid."""
        value = self.read(typed).value
        typed.drop(ROOT)
        typed.put(f"{ROOT}!as", "json")
        typed.put(f"{ROOT}!on", "1")
        typed.put(ROOT, "" if value is None else json.dumps(value, indent=2, ensure_ascii=False))
        return path


def posted(pairs: Iterable[tuple[str, str]]) -> Typed:
    """What was posted, to be read or drawn."""
    return Typed.of(pairs)


def answer_text(value: Any, schema: dict[str, Any]) -> str:
    """A value as the text of an answer: plain where that means the same, JSON otherwise."""
    if isinstance(value, str) and value and value.strip() == value and _means(value, schema):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    return json.dumps(value, ensure_ascii=False)


def _misfit(text: str, schema: dict[str, Any]) -> str:
    """Why a worker would not accept an answer; empty if it would."""
    try:
        return fit(text, schema)
    except Exception:  # noqa: BLE001  a broken schema: no worker accepts anything
        return "This cannot be checked: its schema is broken"


def _means(text: str, schema: dict[str, Any]) -> bool:
    """Whether a worker reads a text as just this text, not as a number or boolean."""
    try:
        return not _misfit(text, schema) and same(_first(text), text)
    except (ValueError, RecursionError):
        return False


def _first(text: str) -> Any:
    """What a worker tries first."""
    if text.strip().lower() in {"yes", "no", "true", "false"}:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
