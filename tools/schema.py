"""Derives a JSON Schema and a validator for a model's arguments from a function's signature."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind
from pydantic_core import ErrorDetails, SchemaError, to_json

from ..runtime.errors import InvalidSetup
from . import docstring
from .context import ToolContext
from .errors import InvalidArguments

_SHOWN_PROBLEMS = 10
_SHOWN_INPUT = 60
_UNNAMED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_CANNOT_BE_BUILT = (PydanticUserError, SchemaError, TypeError, NameError)


class _Schema(GenerateJsonSchema):
    ignored_warning_kinds: set[JsonSchemaWarningKind] = {  # noqa: RUF012  pydantic's own form
        "skipped-choice",
        "non-serializable-default",  # the function's default still applies
    }


@dataclass(frozen=True)
class Arguments:
    """What a tool takes: `schema` describes it to a model, `check` checks what the model sends."""

    schema: dict[str, Any]
    context: str | None
    """The name of the parameter that gets the `ToolContext`, if there is one."""
    model: type[BaseModel]

    def check(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as the function takes them, defaults included.

        Raises:
            InvalidArguments: names each field that does not fit, and why.
        """
        try:  # as JSON, so that strict types accept the JSON forms of their values
            checked = self.model.model_validate_json(to_json(arguments))
        except ValidationError as error:
            lines = problems(error, self.schema["properties"])
            message = "\n".join([f"invalid arguments for {tool}:", *lines])
            raise InvalidArguments(message) from None
        fields = type(checked).model_fields
        return {str(field.alias): getattr(checked, name) for name, field in fields.items()}


def problems(error: ValidationError, known: Iterable[str] = ()) -> list[str]:
    """What is wrong, one line per field, in words for a model; `known` are the field names."""
    found = error.errors(include_url=False, include_context=False)
    lines = [f"- {_problem(problem, known)}" for problem in found[:_SHOWN_PROBLEMS]]
    hidden = len(found) - len(lines)
    return [*lines, *([f"- and {hidden} more"] if hidden else [])]


def _problem(problem: ErrorDetails, known: Iterable[str]) -> str:
    place = ".".join(str(part) for part in problem["loc"]) or "arguments"
    match problem["type"]:
        case "missing":
            return f"{place}: required, but missing"
        case "extra_forbidden" if len(problem["loc"]) == 1:
            return f"{place}: unexpected; the parameters are: {', '.join(known) or 'none'}"
        case "extra_forbidden":
            return f"{place}: unexpected"
        case _:
            reason = problem["msg"].removeprefix("Value error, ")
            return f"{place}: {reason} (got {_shortened(problem['input'])})"


def read_arguments(
    function: Callable[..., Any], name: str, local_names: Mapping[str, Any]
) -> Arguments:
    """Work out what `function` takes; `local_names` are the names in scope at its definition.

    Raises:
        InvalidSetup: names the parameter that cannot be described to a model, and the fix.
    """
    described = docstring.parameters(inspect.getdoc(function))
    hints = _hints(function, name, local_names)
    contexts = [parameter for parameter, (hint, _) in hints.items() if _is_context(hint)]
    if len(contexts) > 1:
        raise InvalidSetup(
            f"tool {name!r}: at most one parameter may be a ToolContext, not {contexts}"
        )
    fields = {
        parameter: _field(parameter, hint, default, described.get(parameter))
        for parameter, (hint, default) in hints.items()
        if parameter not in contexts
    }
    model = _model(name, fields)
    return Arguments(
        schema=tidy_object(model.model_json_schema(schema_generator=_Schema)),
        context=contexts[0] if contexts else None,
        model=model,
    )


def _hints(
    function: Callable[..., Any], name: str, local_names: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """Annotation and default of each parameter."""
    global_names = _global_names(function)
    found: dict[str, tuple[Any, Any]] = {}
    for parameter in _parameters(function, name):
        where = f"tool {name!r}: parameter {parameter.name!r}"
        _refuse_kind(parameter, where)
        try:
            hint = _resolve(parameter.annotation, global_names, local_names)
        except Exception as error:
            raise InvalidSetup(
                f"{where}: the annotation {parameter.annotation!r} cannot be resolved ({error}); "
                "import or define the type before the tool, outside `if TYPE_CHECKING`"
            ) from error
        default = parameter.default
        found[parameter.name] = hint, ... if default is inspect.Parameter.empty else default
    return found


def _parameters(function: Callable[..., Any], name: str) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (NameError, TypeError, ValueError) as error:  # NameError: annotations of Python 3.14
        raise InvalidSetup(f"tool {name!r}: its signature cannot be read ({error})") from error


def _refuse_kind(parameter: inspect.Parameter, where: str) -> None:
    if parameter.kind in _UNNAMED:
        raise InvalidSetup(f"{where}: a model cannot fill *args or **kwargs; name each parameter")
    if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
        raise InvalidSetup(f"{where}: a model names its arguments; move it after the `/`")
    if parameter.annotation is inspect.Parameter.empty:
        raise InvalidSetup(f"{where}: annotate it, as in `{parameter.name}: str`")


def _global_names(function: Callable[..., Any]) -> dict[str, Any]:
    inner: Any = inspect.unwrap(function)
    while isinstance(inner, functools.partial):
        inner = inspect.unwrap(inner.func)
    names = getattr(inner, "__globals__", None)
    return names if names is not None else getattr(type(inner).__call__, "__globals__", {})


def _resolve(annotation: Any, global_names: dict[str, Any], local_names: Mapping[str, Any]) -> Any:
    """The type that an annotation means; it may contain strings at any depth."""
    holder: Any = SimpleNamespace(__annotations__={"it": annotation})
    names = dict(local_names)
    return get_type_hints(holder, globalns=global_names, localns=names, include_extras=True)["it"]


def _is_context(hint: Any) -> bool:
    plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    plain = get_origin(plain) or plain
    return isinstance(plain, type) and issubclass(plain, ToolContext)


def _field(name: str, hint: Any, default: Any, described: str | None) -> tuple[Any, Any]:
    """A pydantic field whose alias is the parameter: no field may be named `_x` or `json`."""
    words = [extra for extra in get_args(hint)[1:] if isinstance(extra, str)]
    description = _described(hint, default) or (
        words[0] if words and get_origin(hint) is Annotated else described
    )
    own: Any = Field(
        alias=name, validation_alias=name, serialization_alias=name, description=description
    )
    return Annotated[hint, own], default


def _described(hint: Any, default: Any) -> str | None:
    """The description in a pydantic `Field`, given as annotation or as default."""
    extras = [default, *(get_args(hint)[1:] if get_origin(hint) is Annotated else ())]
    fields = [extra for extra in extras if isinstance(extra, FieldInfo)]
    return next((field.description for field in fields if field.description), None)


def _model(name: str, fields: dict[str, tuple[Any, Any]]) -> type[BaseModel]:
    """The validator of all parameters together."""
    try:
        return _built(name, fields)
    except _CANNOT_BE_BUILT as error:
        raise _unsupported(name, fields, error) from error


def _built(name: str, fields: dict[str, tuple[Any, Any]]) -> type[BaseModel]:
    numbered: dict[str, Any] = {f"p{n}": field for n, field in enumerate(fields.values())}
    model: type[BaseModel] = create_model(name, __config__=ConfigDict(extra="forbid"), **numbered)
    model.model_json_schema(schema_generator=_Schema)  # fails for types without a JSON form
    return model


def _unsupported(name: str, fields: dict[str, tuple[Any, Any]], error: Exception) -> InvalidSetup:
    """The error that names the parameter which pydantic cannot handle."""
    for parameter, field in fields.items():
        try:
            _built(name, {parameter: field})
        except _CANNOT_BE_BUILT:
            kind = _type_name(get_args(field[0])[0])
            return InvalidSetup(
                f"tool {name!r}: parameter {parameter!r}: a model cannot send {kind} as JSON; use "
                "str, int, float, bool, list, dict, an Enum, a Literal, a dataclass, a TypedDict "
                "or a pydantic model"
            )
    return InvalidSetup(f"tool {name!r}: its parameters have no JSON Schema: {error}")


def _type_name(hint: Any) -> str:
    return hint.__qualname__ if isinstance(hint, type) else str(hint)


def _shortened(value: Any) -> str:
    text = to_json(value, fallback=repr).decode()
    return text if len(text) <= _SHOWN_INPUT else f"{text[:_SHOWN_INPUT]}..."


def tidy_object(schema: dict[str, Any]) -> dict[str, Any]:
    """Pydantic's schema without its generated titles, which only cost tokens."""
    return {"type": "object", "properties": {}, **_tidy(schema)}


def _tidy(schema: dict[str, Any] | list[Any] | str | float | None) -> Any:
    if isinstance(schema, list):
        return [_tidy(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _tidy_value(key, value) for key, value in schema.items() if key != "title"}


def _tidy_value(key: str, value: Any) -> Any:
    if key in {"properties", "$defs", "patternProperties"}:  # their keys are names
        return {name: _tidy(inner) for name, inner in value.items()}
    if key in {"default", "const", "enum", "examples"}:  # data, not schemas
        return value
    return _tidy(value)
