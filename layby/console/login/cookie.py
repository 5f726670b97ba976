"""The cookie of a session."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response


def cookie_name(port: int) -> str:
    """It holds the port, as browsers share cookies between the ports of a host."""
    return f"layby_{port}"


def set_cookie(response: Response, request: Request, *, name: str, key: str, path: str) -> None:
    """Have the browser send `key` with each request to the console, and show it to no script."""
    response.set_cookie(
        name, key, path=path, httponly=True, samesite="strict", secure=_is_encrypted(request)
    )


def delete_cookie(response: Response, *, name: str, path: str) -> None:
    """Have the browser forget it."""
    response.delete_cookie(name, path=path, httponly=True, samesite="strict")


def _is_encrypted(request: Request) -> bool:
    """Whether the browser speaks TLS, to us or to the proxy in front of us.

    Anyone can claim so; but that only keeps their own browser from sending the cookie.
    """
    return "https" in {request.url.scheme, request.headers.get("x-forwarded-proto")}
