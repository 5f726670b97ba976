"""What was asked and answered, newest first."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse

from ..console import console_of
from . import inbox_source as source
from .inbox_texts import AnswerTexts
from .shell import page

_UNREADABLE = 400


async def history(request: Request) -> HTMLResponse:
    """Show the closed questions that fit."""
    wanted = request.query_params
    by, role, text = (wanted.get(name, "").strip() for name in ("by", "role", "q"))
    cursor, status = wanted.get("cursor") or None, 200
    try:
        items, following = await source.history(request, by=by, role=role, text=text, cursor=cursor)
    except ValueError:
        items, following, status = [], None, _UNREADABLE
    query = {"by": by, "role": role, "q": text, "cursor": following or ""}
    return page(
        request,
        "inbox_history.html",
        title="History",
        nav="inbox",
        status=status,
        items=await texts_of(request).of(items),
        by=by,
        role=role,
        text=text,
        is_filtered=bool(by or role or text),
        roles=await console_of(request).catalogue.roles(),
        first=cursor is None,
        following=f"?{urlencode({k: v for k, v in query.items() if v})}" if following else "",
    )


def texts_of(request: Request) -> AnswerTexts:
    """The texts of answers, as far as this console has read them."""
    state = request.app.state
    if not hasattr(state, "answer_texts"):
        state.answer_texts = AnswerTexts(console_of(request).requests)
    found: AnswerTexts = state.answer_texts
    return found
