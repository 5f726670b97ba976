"""The page that a link in a mail opens: no login, no script, and only its button answers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from ...actors.people.answer_link import AnswerLink, BadLink
from ...bus.errors import BusError, InvalidTicket, PermissionDenied
from ...runtime.channel import Inbound, Outcome
from ..console import console_of
from ..forms.typed import Typed
from ..options import LINKS
from ..posted import posted
from . import inbox_source as source
from .answer_view import FLAWS, answer_of, is_of, link_view
from .inbox_answer import Draft
from .inbox_history import texts_of
from .shell import bare

VIA: Final = "link"
_STYLE: Final = Path(__file__).parent.parent / "static" / "layby.css"
_DENIED: Final = (
    "This console may not hand in answers for others: its operator has to give it the login of "
    "a bridge. Answer in another way."
)
_NOT_SENT: Final = "It was not sent, because NATS does not answer. Try again."
_READ_ONLY: Final = "This console is read-only, so nothing can be answered here."


class _NotAnswerable(Exception):
    """A link by which nothing can be answered, with the response that says why."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


async def show(request: Request) -> Response:
    """Show the question, and what the button does. Changes nothing."""
    try:
        link, thread = await _asked(request)
    except _NotAnswerable as refused:
        return refused.response
    return _page(request, link, thread)


async def answer(request: Request) -> Response:
    """Answer in the name of the person to whom the link was sent."""
    try:
        link, thread = await _asked(request)
    except _NotAnswerable as refused:
        return refused.response
    view = link_view(link, thread)
    if not view.is_open or view.why_not or view.voted:
        return _page(request, link, thread, status=409)
    if console_of(request).options.read_only:
        return _note(request, 403, "This cannot be answered here", _READ_ONLY)
    draft = answer_of(link, thread.question, Draft(typed=Typed.of(posted(request).multi_items())))
    if not draft.text:
        return _page(request, link, thread, draft=draft)
    return await _say(request, link, thread, draft)


async def _say(request: Request, link: AnswerLink, thread: source.Thread, draft: Draft) -> Response:
    said = Inbound(
        ticket=link.ticket,
        question=link.question,
        role=link.role,
        person=link.person,
        answer=draft.text,
    )
    try:
        outcome = await console_of(request).desk.say(said, via=VIA)
    except PermissionDenied:
        return _note(request, 403, "This cannot be answered here", _DENIED)
    except InvalidTicket as error:
        return _note(request, 422, "This cannot be answered here", str(error))
    except BusError:
        return _note(request, 503, "NATS does not answer", _NOT_SENT)
    return _page(request, link, thread, draft=draft, outcome=outcome)


async def _asked(request: Request) -> tuple[AnswerLink, source.Thread]:
    """What a link says, and its question. Raises _NotAnswerable."""
    keys = console_of(request).options.links
    if keys is None:
        raise _NotAnswerable(
            _note(
                request,
                404,
                "This console takes no answers by links",
                "Start it with the same LAYBY_LINK_KEY as the workers.",
            )
        )
    try:
        link = keys.read(request.path_params["token"], time.time())
    except BadLink as bad:
        raise _NotAnswerable(_note(request, *FLAWS[bad.flaw])) from None
    thread = await source.thread_soon(request, link.question)
    if thread is None:
        raise _NotAnswerable(
            _note(
                request,
                404,
                "The question is not here",
                "The console has just started, or has forgotten it. Try again in a minute.",
            )
        )
    if not is_of(link, thread.question):
        raise _NotAnswerable(
            _note(request, 409, "The question has changed", "Open the newest mail.")
        )
    if thread.status == "answered" and not thread.question.confidential:
        [thread] = await texts_of(request).of([thread])
    return link, thread


def _page(
    request: Request,
    link: AnswerLink,
    thread: source.Thread,
    *,
    draft: Draft | None = None,
    outcome: Outcome | None = None,
    status: int = 0,
) -> HTMLResponse:
    view = link_view(link, thread, draft=draft, outcome=outcome)
    return bare(
        request,
        "answer.html",
        status=status or view.status,
        title=f"{link.ticket}: question for {link.person}",
        q=view,
        action=console_of(request).url(f"{LINKS}{request.path_params['token']}"),
    )


def _note(request: Request, status: int, title: str, detail: str) -> HTMLResponse:
    return bare(request, "answer_note.html", status=status, title=title, detail=detail)


async def style(request: Request) -> Response:  # noqa: ARG001  Starlette gives it
    """The style sheet again: a proxy need let only these paths through without a login."""
    return FileResponse(_STYLE, media_type="text/css")


routes = [
    Route(f"{LINKS}layby.css", style),
    Route(f"{LINKS}{{token}}", show, name="answer_link"),
    Route(f"{LINKS}{{token}}", answer, methods=["POST"]),
]
