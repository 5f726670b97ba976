"""The OpenAPI document, made from the table of operations and the types of their handlers."""

from __future__ import annotations

import inspect
import re
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

import msgspec

from ...events import AnyEvent
from ..catalogue.entries import QuestionThread
from ..console import Console
from ..login.cookie import cookie_name
from ..options import ConsoleOptions
from .operation import EVENTS, JSON, ROOT, Nothing, Operation
from .operations import OPERATIONS
from .problem import MEDIA, Problem
from .reading import is_optional
from .values import Gone, Reset

_REF: Final = "#/components/schemas/{name}"
_STREAMED: Final = (AnyEvent, QuestionThread, Gone, Reset)
_ATTRIBUTE: Final = re.compile(r"^(\w+): ", re.MULTILINE)
_ABOUT: Final = (
    "Runs, questions and health of one app, for programs. Fields, operations and parameters may be "
    "added; nothing is renamed or removed under /api/v1. Readers skip fields they do not know."
)
_WORDS: Final = {
    200: "Done",
    202: "Stored, and done when a worker gets to it",
    204: "There is nothing more",
}


def document(console: Console) -> dict[str, Any]:
    """The document of a console."""
    returned = [each.returns for each in OPERATIONS if each.media == JSON]
    bodies = [each.types()[2] for each in OPERATIONS if each.types()[2] is not Nothing]
    types = [*dict.fromkeys([*returned, *bodies, Problem, *_STREAMED])]
    _, schemas = msgspec.json.schema_components(types, ref_template=_REF)
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.template, {})[operation.method.lower()] = _operation(operation)
    schemes = _schemes(console.options)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Layby", "version": version("layby"), "description": _ABOUT},
        "servers": [{"url": console.url(ROOT)}],
        "security": [{name: []} for name in schemes],
        "paths": paths,
        "components": {
            "schemas": {name: _described(schema) for name, schema in schemas.items()},
            "securitySchemes": schemes,
        },
    }


def _schemes(options: ConsoleOptions) -> dict[str, Any]:
    """How a request may sign in."""
    cookie = {"type": "apiKey", "in": "cookie", "name": cookie_name(options.port)}
    token = {"type": "http", "scheme": "bearer"}
    basic = {"basic": {"type": "http", "scheme": "basic"}} if options.auth == "nats" else {}
    return {"token": token, **basic, "cookie": cookie}


def _operation(operation: Operation) -> dict[str, Any]:
    path, query, body = operation.types()
    summary, _, description = operation.words.partition("\n\n")
    parameters = [*_parameters(path, "path"), *_parameters(query, "query")]
    if operation.media == EVENTS:
        parameters.append(_LAST)
    found: dict[str, Any] = {
        "operationId": operation.name,
        "summary": summary.rstrip("."),
        "parameters": [*parameters, *([_HEADER] if operation.method == "POST" else [])],
        "responses": _responses(operation),
    }
    if description := description.partition("Raises:")[0].strip():
        found["description"] = description
    if body is not Nothing:
        found["requestBody"] = {
            "required": not is_optional(body),
            "content": {JSON: {"schema": {"$ref": _REF.format(name=body.__name__)}}},
        }
    if operation.right == "public":
        found["security"] = []
    return found


_HEADER: Final = {
    "name": "Layby-Console",
    "in": "header",
    "required": True,
    "description": "Shows that no page of another site has sent this.",
    "schema": {"const": "1"},
}
_LAST: Final = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The number of the last event that you have; it takes precedence over `after`.",
    "schema": {"type": "string"},
}


def _parameters(wanted: type[Any], place: str) -> list[dict[str, Any]]:
    """The fields of a struct as parameters."""
    _, schemas = msgspec.json.schema_components([wanted], ref_template=_REF)
    schema = _described(schemas[wanted.__name__])
    found: list[dict[str, Any]] = []
    for name, field in schema.get("properties", {}).items():
        described = field.pop("description", "")
        if "anyOf" in field:  # None stands for a parameter that was not given
            (field,) = (each for each in field["anyOf"] if each != {"type": "null"})  # noqa: PLW2901
        if not field.get("default", True):
            del field["default"]
        parameter = {"name": name, "in": place, "description": described, "schema": field}
        found.append(parameter | ({"required": True} if place == "path" else {}))
    return found


def _responses(operation: Operation) -> dict[str, Any]:
    problem = {
        "description": "",
        "content": {MEDIA: {"schema": {"$ref": _REF.format(name="Problem")}}},
    }
    if operation.media != JSON:
        schema: dict[str, Any] = {"type": "string"}
    else:
        (schema,), _ = msgspec.json.schema_components([operation.returns], ref_template=_REF)
    found: dict[str, Any] = {
        "200": {"description": _WORDS[200], "content": {operation.media: {"schema": schema}}}
    }
    if 204 in operation.statuses:  # noqa: PLR2004
        found["204"] = {"description": _WORDS[204]}
    return found | {
        str(status): problem | {"description": _WORDS.get(status) or HTTPStatus(status).phrase}
        for status in operation.problems
    }


def _described(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema whose docstring is divided among the descriptions of its fields."""
    about, _, rest = inspect.cleandoc(schema.get("description", "")).partition("Attributes:")
    found = {**schema, "description": about.strip()}
    if not found["description"]:
        del found["description"]
    properties = {name: dict(field) for name, field in schema.get("properties", {}).items()}
    parts = _ATTRIBUTE.split(inspect.cleandoc(rest))[1:]
    for name, words in zip(parts[::2], parts[1::2], strict=True):
        if name in properties and "$ref" not in properties[name]:
            properties[name]["description"] = " ".join(words.split())
    return found | ({"properties": properties} if properties else {})
