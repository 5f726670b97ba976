"""What went wrong, as the caller reads it: a page in the frame, or problem+json in the API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from .pages.shell import bare, page

_TITLES: Final = {
    400: "That cannot be read",
    401: "Sign in first",
    403: "That is not allowed",
    404: "There is no such page",
    405: "That cannot be done here",
    413: "That is too large",
    429: "That was too often",
    500: "Something went wrong",
    503: "NATS does not answer",
}
API: Final = "/api/"


def problem(
    request: Request,
    status: int,
    detail: str = "",
    *,
    title: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The response that says what went wrong.

    Args:
        request: What was asked.
        status: The HTTP status.
        detail: What happened and what to do next, a sentence or two.
        title: What happened, in a few words.
        headers: More headers.
    """
    title = title or _TITLES.get(status) or _phrase(status)
    if request.scope["path"].startswith(API):
        text = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        return Response(json.dumps(text), status, headers, media_type="application/problem+json")
    show = bare if getattr(request.state, "session", None) is None else page
    response = show(request, "problem.html", title=title, status=status, detail=detail)
    response.headers.update(headers or {})
    return response


async def http_problem(request: Request, error: Exception) -> Response:
    """The response to an `HTTPException`."""
    assert isinstance(error, HTTPException)  # noqa: S101  Starlette calls it for nothing else
    detail = "" if error.detail == _phrase(error.status_code) else error.detail
    return problem(request, error.status_code, detail, headers=error.headers)


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase
