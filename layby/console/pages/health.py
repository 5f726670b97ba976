"""The page Health."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from typing import Any, Final

from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, StreamingResponse
from starlette.routing import Route

from ..console import Console, console_of
from ..live import Part
from ..login.session import session_of
from . import dead_letters, rail
from .health_view import HealthView, command, health_view, kept
from .shell import fragment, page
from .timers import LISTED, on_line

_EVERY: Final = 2.0
"""Seconds between two updates while somebody looks; streams are read less often, see `Vitals`."""


async def show(request: Request) -> HTMLResponse:
    """Show the page."""
    console = console_of(request)
    _check_view(request)
    await asyncio.gather(console.vitals.look(), console.vitals.examined())
    parts = await _parts(request)
    shown = {id_: Markup(part.html()) for id_, part in parts.items()}  # noqa: S704  rendered here
    live = f"/health/live{'?idle=1' if _idle(request) else ''}"
    return page(request, "health.html", title="Health", nav="health", live=live, parts=shown)


async def live(request: Request) -> StreamingResponse:
    """Keep the page up to date."""
    _check_view(request)
    return rail.stream(
        request,
        "health",
        partial(_parts, request),
        key=_idle(request),
        changes=partial(_looking, console_of(request)),
    )


async def _parts(request: Request) -> dict[str, Part]:
    view = await health_view(console_of(request), idle=_idle(request))
    shown: dict[str, Any] = {
        "head": (view.examination,),
        "trouble": view.trouble,
        "figures": view.figures,
        "doctor": view.examination,
        "workers": view.workers,
        "dead": view.letters,
        "mailboxes": (view.mailboxes, view.traffic is None),
        "streams": view.traffic and view.traffic.streams,
        "apps": view.apps,
        "timers": view.timers,
    }
    return {
        f"health-{name}": Part(state=state, html=partial(_drawn, request, name, view))
        for name, state in shown.items()
    }


def _drawn(request: Request, part: str, view: HealthView) -> str:
    return fragment(
        request,
        "health_part.html",
        part=part,
        view=view,
        kept=kept,
        command=command,
        on_line=on_line,
        most=LISTED,
    )


@contextlib.asynccontextmanager
async def _looking(console: Console) -> AsyncGenerator[AsyncIterator[None]]:
    yield _looks(console)


async def _looks(console: Console) -> AsyncIterator[None]:
    """Yields now and then, with what was read."""
    while True:
        await console.vitals.look()
        yield
        await asyncio.sleep(_EVERY)


def _idle(request: Request) -> bool:
    return request.query_params.get("idle") == "1"


def _check_view(request: Request) -> None:
    if not session_of(request).rights.view:
        raise HTTPException(403, "Ask an operator for the right to view runs.")


routes = [
    Route("/health", show, name="health"),
    Route("/health/live", live),
    *dead_letters.routes,
]
