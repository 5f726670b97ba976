"""Translates what MCP servers send: tools, results, and requests for input from a person."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, cast

import jsonschema
import msgspec
from jsonschema import exceptions
from pydantic import RootModel, WithJsonSchema

from ..runtime.errors import InvalidSetup
from . import schema
from .context import ToolContext
from .errors import InvalidArguments, ToolError

CONTEXT = "layby:context"
"""The parameter that gets the `ToolContext`: no argument of a server can have this name."""
_LONGEST = 64
_PREFIX = re.compile(r"[a-zA-Z0-9_-]{1,40}")
_ODD = re.compile(r"[^a-zA-Z0-9_-]")
_SHOWN = 5
_DECLINE = "decline"


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A tool as its server lists it."""

    name: str
    description: str
    parameters: dict[str, Any]


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a call."""

    text: str
    is_error: bool = False


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a server needs to know before it can finish a call; recorded in the run's log."""

    asked: dict[str, dict[str, Any]]
    """The server's requests for input, by its own keys."""
    state: str | None = None
    """The server's own note, sent back to it unchanged."""


def name_of(server: str, tool: str) -> str:
    """The name of a server's tool for models. Raises InvalidSetup for a bad name of the server."""
    if not _PREFIX.fullmatch(server):
        raise InvalidSetup(f"mcp_server({server!r}): use 1 to 40 letters, digits, `_` and `-`")
    name = f"{server}-{_ODD.sub('_', tool)}"
    if len(name) <= _LONGEST:
        return name
    digest = hashlib.blake2b(tool.encode(), digest_size=3).hexdigest()
    return f"{name[: _LONGEST - 7]}_{digest}"


@dataclass(frozen=True)
class Arguments(schema.Arguments):
    """What a server's tool takes, checked against its own schema."""

    def check(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments, unchanged. Raises InvalidArguments, with a message for the model."""
        given = dict(arguments)
        validator = jsonschema.Draft202012Validator(self.schema)
        problems = list[Any](validator.iter_errors(given))[:_SHOWN]
        if not problems:
            return given
        lines = [
            f"- {'.'.join(str(part) for part in problem.absolute_path) or 'arguments'}: "
            f"{problem.message[:200]}"
            for problem in problems
        ]
        raise InvalidArguments("\n".join([f"invalid arguments for {tool}:", *lines]))


def arguments_of(tool: Listed) -> Arguments:
    """What a listed tool takes. An invalid schema lets everything pass: the server checks."""
    parameters: dict[str, Any] = {"type": "object", "properties": {}, **tool.parameters}
    try:
        jsonschema.Draft202012Validator.check_schema(parameters)
    except exceptions.SchemaError:
        parameters = {"type": "object", "properties": {}}

    shown = Annotated[dict[str, Any], WithJsonSchema(parameters)]
    model = cast("type[Any]", RootModel[shown])
    return Arguments(schema=parameters, context=CONTEXT, model=model)


def reply_of(result: Any) -> Reply:
    """A complete result as text: its text parts, or else its structured content."""
    texts = [_text_of(block) for block in result.content]
    text = "\n".join(each for each in texts if each)
    if not text and result.structured_content is not None:
        text = json.dumps(result.structured_content, ensure_ascii=False)
    return Reply(text=text, is_error=bool(result.is_error))


def _text_of(block: Any) -> str:
    match block.type:
        case "text":
            return str(block.text)
        case "image" | "audio":
            return f"[{block.type} {block.mime_type}, {len(block.data) * 3 // 4} bytes]"
        case "resource_link":
            return f"[{block.name}: {block.uri}]"
        case "resource":
            inner = block.resource
            return str(getattr(inner, "text", "") or f"[resource {inner.uri}]")
        case other:
            return f"[{other}]"


def wanted_of(required: Any) -> Wanted:
    """The input that a result of the kind `input_required` asks for."""
    requests: dict[str, Any] = required.input_requests or {}
    asked = {
        key: request.model_dump(mode="json", by_alias=True, exclude_none=True)
        for key, request in requests.items()
    }
    return Wanted(asked=asked, state=required.request_state)


async def ask_person(
    ctx: ToolContext[Any], role: str, wanted: Wanted, *, confidential: bool = False
) -> dict[str, Any] | None:
    """Ask a person for what a server wants to know; the run is parked until they answer.

    Returns the responses by the server's keys; None: it asked for nothing.

    Raises:
        ToolError: it wants something that only a client with a model or a file system can give.
        AskTimedOut: nobody answered: the call is not completed.
    """
    responses: dict[str, Any] = {}
    for key, request in wanted.asked.items():
        if request.get("method") != "elicitation/create":
            raise ToolError(
                f"the server wants {request.get('method')}, which Layby does not support"
            )
        params = request["params"]
        form = _form_of(params)
        answer = await ctx.step.ask(
            role,
            params["message"],
            context=_context_of(params),
            answer=Annotated[Any, WithJsonSchema(form)],
            agent=ctx.agent,
            confidential=confidential,
            name=f"elicit {key}",
        )
        responses[key] = _response_of(params, answer.value)
    return responses or None


def _fields(params: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = params.get("requestedSchema", {}).get("properties", {})
    return fields


def _form_of(params: dict[str, Any]) -> dict[str, Any]:
    """The schema of an answer: the whole form, the value of its only field, or a refusal."""
    if params.get("mode") == "url":
        return {"enum": ["done", _DECLINE]}
    fields = _fields(params)
    only_field = list(fields.values()) if len(fields) == 1 else []
    return {"anyOf": [{"const": _DECLINE}, params["requestedSchema"], *only_field]}


def _context_of(params: dict[str, Any]) -> str:
    if params.get("mode") == "url":
        return f"Go to {params['url']}, then answer 'done'. Or answer '{_DECLINE}'."
    fields = [
        f"{name} ({field.get('type', 'text')})"
        + (f": {field['description']}" if field.get("description") else "")
        for name, field in _fields(params).items()
    ]
    how = "Answer with its value" if len(fields) == 1 else "Answer with a JSON object"
    return f"Wanted: {'; '.join(fields)}. {how}, or '{_DECLINE}'."


def _response_of(params: dict[str, Any], value: Any) -> dict[str, Any]:
    if value == _DECLINE:
        return {"action": "decline"}
    if params.get("mode") == "url":
        return {"action": "accept"}
    if isinstance(value, dict):
        return {"action": "accept", "content": value}
    return {"action": "accept", "content": {next(iter(_fields(params))): value}}
