"""What people do with a message that no worker could handle: read it, retry it, drop it."""

from __future__ import annotations

from typing import Final, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from ...bus.dead import NoSuchLetter
from ...bus.errors import LaybyError
from ...views.rows import DeadRow
from ..console import console_of
from ..login.session import session_of
from ..posted import posted
from .shell import page

_BACK: Final = "/health"


class _Action(NamedTuple):
    title: str
    question: str
    explain: str
    button: str
    command: str


_ACTIONS: Final = {
    "retry": _Action(
        "Retry dead letter",
        "Have this message handled again?",
        "A worker handles it where it failed, and then removes the letter. Fix the cause first. "
        "An event starts the run that it would have started.",
        "Retry",
        "layby dead retry",
    ),
    "drop": _Action(
        "Drop dead letter",
        "Remove this message for good?",
        "A worker removes the letter. Nothing will handle the message.",
        "Drop",
        "layby dead drop",
    ),
}


class Line(NamedTuple):
    """A line of the page that shows the result."""

    ok: bool
    word: str
    what: str
    why: str = ""
    link: str = ""


async def show(request: Request) -> HTMLResponse:
    """Show one letter."""
    letter = await _letter(request)
    title = f"Dead letter {letter.id}"
    return page(request, "dead_letter.html", title=title, nav="health", letter=letter)


async def ask(request: Request) -> HTMLResponse:
    """Ask for confirmation."""
    action = _action(request)
    letter = await _letter(request)
    return page(
        request,
        "confirm.html",
        title=f"{action.title} {letter.id}",
        nav="health",
        question=action.question,
        explain=action.explain,
        listed=[f"{letter.mailbox}: {letter.reason}", f"{letter.subject}, {letter.size} bytes"],
        command=f"{action.command} {letter.id}",
        reason=True,
        hidden=[],
        action=f"/health/dead/{letter.id}/{request.path_params['verb']}",
        back=_BACK,
        keep="Keep it",
        does=action.button,
        grave=action.button == "Drop",
    )


async def act(request: Request) -> HTMLResponse:
    """Do it, and show the result."""
    action, session, number = _action(request), session_of(request), _number(request)
    why = posted(request).get("reason", "").strip()[:500]
    what = f"Letter {number}"
    try:
        if action.button == "Drop":
            await session.client.drop_dead(number, by=session.name, reason=why)
            line = Line(ok=True, word="dropped", what=what)
        else:
            sent = await session.client.retry_dead(number, by=session.name, reason=why)
            started = f"Run {sent.run} has started." if sent.run else "It is handled again."
            link = f"/runs/{sent.run}" if sent.run else ""
            line = Line(ok=True, word="retried", what=what, why=started, link=link)
    except LaybyError as error:
        line = Line(ok=False, word="not done", what=what, why=str(error))
    console_of(request).vitals.traffic.forget()
    return page(
        request,
        "done.html",
        title=f"{action.title} {number}",
        nav="health",
        lines=[line],
        back=_BACK,
        to="Back to health",
    )


def _action(request: Request) -> _Action:
    if not session_of(request).rights.operate:
        raise HTTPException(403, "Ask an operator to do that.")
    action = _ACTIONS.get(request.path_params["verb"])
    if action is None:
        raise HTTPException(404)
    return action


def _number(request: Request) -> int:
    number: int = request.path_params["letter"]
    return number


async def _letter(request: Request) -> DeadRow:
    session = session_of(request)
    if not session.rights.view:
        raise HTTPException(403, "Ask an operator for the right to view runs.")
    try:
        return await session.client.dead_letter(_number(request))
    except NoSuchLetter:
        text = f"There is no dead letter {_number(request)}: it was retried or dropped."
        raise HTTPException(404, text) from None


routes = [
    Route("/health/dead/{letter:int}", show),
    Route("/health/dead/{letter:int}/{verb}", ask),
    Route("/health/dead/{letter:int}/{verb}", act, methods=["POST"]),
]
