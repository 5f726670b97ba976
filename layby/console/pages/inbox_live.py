"""The inbox while it is open: what changes by itself, in parts."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from ..live import Part, Parts
from ..login.session import session_of
from . import inbox_source as source
from .inbox_opening import open_view
from .inbox_view import Inbox, Item, Opened, inbox
from .rail import stream
from .shell import fragment

_PARTS = ("meta", "note", "decide", "clock", "who", "opened")


def path(role: str, question: str, sent: str) -> str:
    """The path of the stream that keeps a page up to date."""
    wanted = {"role": role, "q": question, "sent": sent}
    query = urlencode({key: value for key, value in wanted.items() if value})
    return f"/inbox/live{'?' if query else ''}{query}"


async def live(request: Request) -> Response:
    """The patches of a page of the inbox."""
    session, wanted = session_of(request), request.query_params
    role, question = wanted.get("role", ""), wanted.get("q", "")

    async def parts() -> Parts:
        listed = inbox(await source.open_rows(request), session, role)
        opened = await open_view(request, question, patient=False) if question else None
        closed = await source.just_closed(request)
        return {
            **_of_list(request, listed, question),
            "closed": _of_closed(request, closed),
            **({} if opened is None else _of_question(request, opened)),
        }

    key = (role, question, wanted.get("sent", ""), session.name)
    return stream(request, "inbox", parts, key=key)


def _of_list(request: Request, listed: Inbox, question: str) -> dict[str, Any]:
    def row(item: Item) -> Part:
        current = item.row.id == question
        state = (item.row, item.mine, item.is_soon, current)
        return Part(
            state=state, html=lambda: _html(request, "listed", item, listed, current=current)
        )

    return {
        "inbox-count": Part(
            state=(listed.total, listed.due_soon), html=lambda: _html(request, "heading", listed)
        ),
        "inbox-roles": Part(
            state=(listed.roles, listed.role), html=lambda: _html(request, "roles", listed)
        ),
        "questions": {f"q-item-{item.row.id}": row(item) for item in listed.items},
    }


def _of_closed(request: Request, closed: list[source.Thread]) -> dict[str, Part]:
    return {
        f"q-closed-{each.question.id}": Part(
            state=each, html=partial(_html, request, "closed", each)
        )
        for each in closed
    }


def _of_question(request: Request, q: Opened) -> dict[str, Part]:
    state = (q.thread, q.receipt, q.is_open, q.run_status)
    return {
        f"q-{name}-{q.row.id}": Part(state=state, html=partial(_html, request, name, q))
        for name in _PARTS
    }


def _html(request: Request, part: str, *values: Any, **more: Any) -> str:
    return fragment(request, "inbox_region.html", part=part, values=values, more=more).strip()
