"""The routes of the API."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..console import console_of
from .openapi import document
from .operation import JSON, ROOT, Operation, check_right
from .operations import OPERATIONS
from .problem import Late, problem_response
from .reading import reader

Endpoint = Callable[[Request], Awaitable[Response]]


def json_response(value: Any, headers: Mapping[str, str] | None = None) -> Response:
    """A response that holds a value as JSON."""
    return Response(msgspec.json.encode(value), headers=headers, media_type=JSON)


def endpoint(operation: Operation) -> Endpoint:
    """What serves an operation: checks the request, does it, and tells what came of it."""
    read = reader(operation)

    async def serve(request: Request) -> Response:
        try:
            if operation.right != "public":
                read_only = console_of(request).options.read_only
                check_right(operation.right, request.state.session, read_only=read_only)
            call = await read(request)
            value = await _within(operation.within, operation.handler(call))
        except (HTTPException, ClientDisconnect):
            raise
        except Exception as error:  # noqa: BLE001  no request may end in a stack trace
            return problem_response(error)
        return value if isinstance(value, Response) else json_response(value, call.headers)

    return serve


async def _within(seconds: float, work: Awaitable[Any]) -> Any:
    clock = asyncio.timeout(seconds)
    try:
        async with clock:
            return await work
    except TimeoutError:
        if clock.expired():
            raise Late(f"it was not done within {seconds:g} s") from None
        raise


async def openapi(request: Request) -> Response:
    """The OpenAPI document."""
    return json_response(document(console_of(request)))


routes: Final[list[BaseRoute]] = [
    *(Route(ROOT + each.path, endpoint(each), methods=[each.method]) for each in OPERATIONS),
    Route(f"{ROOT}/openapi.json", openapi, methods=["GET"]),
]
