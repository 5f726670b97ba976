"""What a request carries, checked: each error names the parameter or the field that is wrong."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeVar, get_origin, get_type_hints

import msgspec
from starlette.requests import Request

from .operation import JSON, Call, Nothing, Operation
from .problem import InvalidRequest, NotJson

T = TypeVar("T")
_PLACE: Final = re.compile(r" - at `\$\.?(.*)`$")
_WHOLE: Final = re.compile(r"-?[0-9]{1,18}")
_MOST: Final = 100
"""Parameters of one query."""


def reader(operation: Operation) -> Callable[[Request], Awaitable[Call[Any, Any, Any]]]:
    """What reads the requests for an operation, and checks all that they carry.

    It raises InvalidRequest if something is wrong, and NotJson if the body has another media type.
    """
    path, query, body = operation.types()

    async def read(request: Request) -> Call[Any, Any, Any]:
        return Call(
            request=request,
            path=_parameters(request.path_params.items(), path),
            query=_parameters(request.query_params.multi_items(), query),
            body=await _body(request, body),
        )

    return read


def _parameters(given: Iterable[tuple[str, str]], wanted: type[Any]) -> Any:
    types = get_type_hints(wanted)
    found: dict[str, Any] = {}
    for count, (name, value) in enumerate(given):
        if count >= _MOST:
            raise InvalidRequest(f"there are more than {_MOST} parameters")
        if name not in types:
            known = ", ".join(sorted(types)) or "none"
            raise InvalidRequest(f"no parameter {name[:80]!r} is known here: {known}", name[:80])
        if get_origin(types[name]) is list:
            found.setdefault(name, []).append(value)
        elif name in found:
            raise InvalidRequest(f"the parameter {name!r} can be given once", name)
        else:
            found[name] = int(value) if types[name] is int and _WHOLE.fullmatch(value) else value
    return _converted(found, wanted)


def is_optional(body: type[msgspec.Struct]) -> bool:
    """Whether a body may be left out."""
    return not any(field.required for field in msgspec.structs.fields(body))


async def _body(request: Request, wanted: type[Any]) -> Any:
    if wanted is Nothing:
        return Nothing()
    data = await request.body()
    if not data and is_optional(wanted):
        return wanted()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise NotJson(f"the body is {kind[:80] or 'of no type'}: it must be {JSON}")
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"the body is not JSON: {error}"[:300]) from None
    return _converted(value, wanted)


def _converted(value: Any, wanted: type[T]) -> T:
    try:
        return msgspec.convert(value, wanted)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None


def _invalid(text: str) -> InvalidRequest:
    """`Expected int - at $.limit` in words of ours."""
    where = _PLACE.search(text)
    if where is None:
        return InvalidRequest(text)
    name = where[1].partition("[")[0].partition(".")[0]
    return InvalidRequest(f"{where[1]}: {text[: where.start()]}"[:300], name)
