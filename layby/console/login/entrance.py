"""Who may come in: what each of the three logins does."""

from __future__ import annotations

from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from .session import Session


class Entrance(Protocol):
    """Finds out who a request is from."""

    @property
    def routes(self) -> list[BaseRoute]:
        """Its own pages, which anyone may open."""
        ...

    async def session(self, request: Request) -> Session | None:
        """The session of a request, or None."""
        ...

    async def enter(self, request: Request) -> Response | None:
        """The response to a request that signs in by its address; None: it does not."""
        ...

    def stranger(self, request: Request) -> Response:
        """The response to a request without a session. Raises HTTPException."""
        ...

    async def close(self) -> None:
        """End all sessions."""
        ...
