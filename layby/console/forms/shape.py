"""What a part of a JSON Schema asks for: a shape that has a field of its own kind.

Schemas come from apps and from logs, and may be anything: a part that has no field of its own is
`json`, and people write it as JSON. References may be recursive: shapes are made on demand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, cast

Kind = Literal[
    "yesno", "choice", "many", "const", "text", "number", "integer", "date", "time", "datetime",
    "list", "group", "union", "json",
]  # fmt: skip

DEEPEST: Final = 8
"""Levels below which everything is JSON."""
_VARIANTS: Final = 6
_CHOICES: Final = 200
_HOPS: Final = 16
_FEW: Final = 12
_FORMATS: Final[dict[str, Kind]] = {"date": "date", "time": "time", "date-time": "datetime"}
_KINDS: Final[dict[str, Kind]] = {
    "boolean": "yesno",
    "integer": "integer",
    "number": "number",
    "string": "text",
    "array": "list",
    "object": "group",
    "null": "const",
}
_DEFINITIONS: Final = ("$defs", "definitions")
_NOTES: Final = ("title", "description", "default", "examples")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One part of a schema.

    Attributes:
        kind: The kind of its field.
        schema: The part itself, its reference followed.
        nullable: Whether null is one of its values.
        recursive: Whether it is inside itself; without a value, it is then not drawn.
        within: The references that lead to it.
        depth: How many levels it is below the root.
    """

    kind: Kind
    schema: dict[str, Any]
    nullable: bool = False
    recursive: bool = False
    within: tuple[str, ...] = ()
    depth: int = 0

    @property
    def is_part(self) -> bool:
        """Whether it can be there or not, as a whole."""
        return self.kind in {"group", "union"}


class Shapes:
    """The shapes of one schema."""

    def __init__(self, root: Any) -> None:
        self.definitions = as_object(root)
        """The whole schema, which references point into."""
        known = tuple(f"#/{key}/" for key in _DEFINITIONS)
        self._is_movable = all(each.startswith(known) for each in _references(self.definitions))

    def root(self) -> Shape:
        """The shape of the whole."""
        return self._of(self.definitions, (), 0)

    def properties(self, shape: Shape) -> list[tuple[str, Shape, bool]]:
        """The parts of a group: name, shape, and whether it must be there."""
        needed = as_list(shape.schema.get("required"))
        found = as_object(shape.schema.get("properties"))
        return [(name, self._inner(shape, part), name in needed) for name, part in found.items()]

    def item(self, shape: Shape) -> Shape:
        """The shape of each item of a list."""
        return self._inner(shape, shape.schema.get("items"))

    def variants(self, shape: Shape) -> list[Shape]:
        """The shapes that a union may have."""
        return [self._inner(shape, each) for each in _several(shape.schema)]

    def choices(self, shape: Shape) -> list[Any]:
        """The values that a choice has; those of each item, where several may be chosen."""
        schema = self.item(shape).schema if shape.kind == "many" else shape.schema
        return [schema["const"]] if "const" in schema else as_list(schema.get("enum"))

    def schema(self, shape: Shape) -> dict[str, Any]:
        """A shape's part as a schema of its own; empty where its references need the whole."""
        if not self._is_movable:
            return {}
        found = dict(shape.schema)
        for key in _DEFINITIONS:
            if key in self.definitions:
                found[key] = self.definitions[key]
        return found

    def _inner(self, shape: Shape, part: Any) -> Shape:
        return self._of(part, shape.within, shape.depth + 1)

    def _of(self, part: Any, within: tuple[str, ...], depth: int) -> Shape:
        schema, inside = self._resolved(part, within)
        schema, nullable = _without_null(schema)
        if nullable:
            schema, inside = self._resolved(schema, inside)
        shape = Shape(kind="json", schema=schema, nullable=nullable, within=inside, depth=depth)
        shape = replace(shape, recursive=len(set(inside)) < len(inside))
        return shape if depth > DEEPEST else replace(shape, kind=self._kind(shape))

    def _resolved(
        self, part: Any, within: tuple[str, ...]
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """A part with its references followed, and what it says besides them."""
        schema = as_object(part)
        for _ in range(_HOPS):
            reference = schema.get("$ref")
            if isinstance(reference, str):
                within = (*within, reference)
                beside = {key: value for key, value in schema.items() if key != "$ref"}
                schema = {**self._at(reference), **beside}
            elif len(alone := as_list(schema.get("allOf"))) == 1:
                beside = {key: value for key, value in schema.items() if key != "allOf"}
                schema = {**as_object(alone[0]), **beside}
            else:
                return schema, within
        return {}, within

    def _at(self, reference: str) -> dict[str, Any]:
        """What a reference points to; nothing is known of what it does not find."""
        found: Any = self.definitions
        if not reference.startswith("#"):
            return {}
        for step in reference[1:].split("/")[1:]:
            found = as_object(found).get(step.replace("~1", "/").replace("~0", "~"))
        return as_object(found)

    def _kind(self, shape: Shape) -> Kind:
        if "const" in shape.schema:
            return "const"
        return self._alternatives(shape.schema) or self._typed_kind(shape)

    @staticmethod
    def _alternatives(schema: dict[str, Any]) -> Kind | None:
        if "enum" in schema:
            return "choice" if 0 < len(as_list(schema["enum"])) <= _CHOICES else "json"
        if several := _several(schema):
            return "union" if len(several) <= _VARIANTS and "properties" not in schema else "json"
        return None

    def _typed_kind(self, shape: Shape) -> Kind:
        schema = shape.schema
        named = schema.get("type", "object" if "properties" in schema else None)
        kind = _KINDS.get(named) if isinstance(named, str) else None
        if kind == "text":
            return _FORMATS.get(str(schema.get("format")), "text")
        if kind == "list":
            return self._list_kind(shape)
        if kind == "group" and not as_object(schema.get("properties")):
            return "json"
        return kind or "json"

    def _list_kind(self, shape: Shape) -> Kind:
        if "prefixItems" in shape.schema or not as_object(shape.schema.get("items")):
            return "json"
        item = self.item(shape)
        some = as_list(item.schema.get("enum"))
        if shape.schema.get("uniqueItems") is True and item.kind == "choice" and len(some) <= _FEW:
            return "many"
        return "list"


def _references(part: Any) -> Iterator[str]:
    """All references in a schema."""
    level: list[Any] = [part]
    while level:
        each = level.pop()
        if isinstance(reference := as_object(each).get("$ref"), str):
            yield reference
        level += [*as_object(each).values(), *as_list(each)]


def _several(schema: dict[str, Any]) -> list[Any]:
    """The alternatives of a union, without what is said about all of them."""
    named = schema.get("type")
    if isinstance(named, list) and not ("anyOf" in schema or "oneOf" in schema):
        rest = {key: value for key, value in schema.items() if key not in _NOTES}
        return [{**rest, "type": each} for each in as_list(named)]
    return as_list(schema.get("anyOf")) or as_list(schema.get("oneOf"))


def _without_null(schema: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """A schema without its alternative null, and whether it had that."""
    if schema.get("type") == "null":
        return {"const": None, **{k: v for k, v in schema.items() if k != "type"}}, False
    key = "anyOf" if "anyOf" in schema else "oneOf" if "oneOf" in schema else "type"
    everything = as_list(schema.get(key))
    left = [each for each in everything if each not in ("null", {"type": "null"})]
    if len(left) == len(everything) or not left:
        return schema, False
    rest = {name: value for name, value in schema.items() if name != key}
    if len(left) > 1:
        return {**rest, key: left}, True
    return ({**rest, "type": left[0]} if key == "type" else {**as_object(left[0]), **rest}), True


def as_object(value: Any) -> dict[str, Any]:
    """The value if it is an object, else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]
