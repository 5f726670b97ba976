"""Reducers merge parallel changes to a field of a state: `Annotated[list[str], merge]`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast, get_args, get_origin, get_type_hints

from ...runtime.errors import InvalidSetup
from ...runtime.values import dump

_TWO, _THREE = 2, 3


class Reducer:
    """A function of (current, written), or of (base, current, written)."""

    def __init__(self, field: str, annotation: Any, function: Callable[..., Any]) -> None:
        """Take a field's function. Raises InvalidSetup for one with the wrong parameters."""
        from pydantic import TypeAdapter  # noqa: PLC0415  slow to load, and not always needed

        self._adapter: Any = TypeAdapter(annotation)
        self._function = function
        self._takes = _takes(field, function)

    def merged(self, base: Any, current: Any, written: Any) -> Any:
        """The field's value, as JSON data, after `written` is merged into `current`."""
        values = [base, current, written] if self._takes == _THREE else [current, written]
        made = self._function(*(self._adapter.validate_json(bytes(dump(v))) for v in values))
        again = self._adapter.validate_json(self._adapter.dump_json(made, warnings=False))
        return self._adapter.dump_python(again, mode="json")


def reducers_of(wanted: Any) -> dict[str, Reducer]:
    """The reducers of a state's type, by field. Raises InvalidSetup."""
    found: dict[str, Reducer] = {}
    for field, (annotation, marks) in _fields(wanted).items():
        functions = [mark for mark in marks if _is_reducer(mark)]
        if len(functions) > 1:
            raise InvalidSetup(
                f"field {field!r} of the state has {len(functions)} reducers: keep one"
            )
        if functions:
            found[field] = Reducer(field, annotation, functions[0])
    return found


def _fields(wanted: Any) -> Mapping[str, tuple[Any, tuple[Any, ...]]]:
    """Each field's type, and the metadata of its annotation."""
    known: Any = getattr(wanted, "model_fields", None)
    if isinstance(known, dict):
        fields = cast("dict[str, Any]", known)
        return {name: (info.annotation, tuple(info.metadata)) for name, info in fields.items()}
    try:
        hints = get_type_hints(wanted, include_extras=True)
    except (NameError, TypeError):
        return {}
    return {name: _parts(hint) for name, hint in hints.items()}


def _parts(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    metadata = getattr(hint, "__metadata__", None)
    if metadata is not None:
        return hint.__origin__, metadata
    if get_origin(hint) is not None and getattr(get_origin(hint), "__name__", "") in _WRAPPERS:
        return _parts(get_args(hint)[0])
    return hint, ()


_WRAPPERS = {"Required", "NotRequired", "ReadOnly"}


def _is_reducer(mark: Any) -> bool:
    if inspect.isclass(mark) or not callable(mark):
        return False
    return not any(hasattr(mark, name) for name in _PYDANTICS)


_PYDANTICS = ("__get_pydantic_core_schema__", "__get_pydantic_json_schema__")


def _takes(field: str, function: Callable[..., Any]) -> int:
    if inspect.iscoroutinefunction(function):
        raise InvalidSetup(f"the reducer of field {field!r} is async: make it a plain function")
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a builtin without a signature
        return _TWO
    needed = [
        p
        for p in parameters
        if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD} and p.default is p.empty
    ]
    if len(needed) not in {_TWO, _THREE}:
        raise InvalidSetup(
            f"the reducer of field {field!r} takes {len(needed)} values: "
            "give a function of (current, written) or of (base, current, written)"
        )
    return len(needed)
