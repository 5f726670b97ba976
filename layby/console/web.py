"""The console as an ASGI app: its routes behind the guard."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from .api import routes as api
from .console import Console
from .guard import Guard
from .pages import answer, health, inbox, rail, run, runs, send, sign_in
from .problems import http_problem
from .wall import for_rights

_STATIC = Path(__file__).parent / "static"


def web_app(console: Console) -> Starlette:
    """The routes of a console."""
    app = Starlette(
        routes=[*_entrance(console), *_routes()],
        middleware=[Middleware(Guard, console)],
        exception_handlers={HTTPException: http_problem},
    )
    app.state.console = console
    return app


def _entrance(console: Console) -> list[BaseRoute]:
    """The pages that need no session."""
    own = sign_in.routes if console.options.auth == "nats" else []
    return [*console.login.routes, *own, *answer.routes]


def _routes() -> list[BaseRoute]:
    return [
        *for_rights(runs.routes),
        *for_rights(run.routes),
        *for_rights(inbox.routes, see="session", change="answer"),
        *for_rights(send.routes),
        *for_rights(health.routes),
        *for_rights(rail.routes, see="session"),
        *api.routes,
        Mount("/static", StaticFiles(directory=_STATIC)),
    ]
