"""The page Inbox: the open questions, and one of them opened, to be answered."""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from ...actors.people.act import DEFAULT_CLAIM
from ...bus.errors import BusError, PermissionDenied
from ...client import NoReceipt
from ...runtime.act_records import VERBS, Verb
from ...views.rows import QuestionRow
from ..acting import RECORDED, MayNot, act
from ..console import console_of
from ..forms.typed import Typed
from ..login.session import session_of
from ..posted import posted
from . import inbox_source as source
from .inbox_answer import DO, PATIENCE, Draft, Sent, answer_in, send, why_not
from .inbox_call import call_in
from .inbox_history import history
from .inbox_live import live, path
from .inbox_opened import opened
from .inbox_opening import evidence_of, open_view, role_of, sent_answers, sent_seq
from .inbox_view import inbox
from .shell import page

_UNPROCESSABLE: Final = 422
_GONE: Final = 404
_VERBS: Final[dict[str, Verb]] = {verb: verb for verb in VERBS}


async def show(request: Request) -> Response:
    """Show the list, with its first question opened next to it."""
    listed = inbox(await source.open_rows(request), session_of(request), role_of(request))
    first = next((item for item in listed.items if item.mine), None) or next(
        iter(listed.items), None
    )
    return await _page(request, first.row.id if first else "", alone=False)


async def show_one(request: Request) -> Response:
    """Show one question, and the list next to it."""
    return await _page(request, request.path_params["question"])


async def answer(request: Request) -> Response:
    """Take an answer, or what a button inside its form asks for."""
    session, question = session_of(request), request.path_params["question"]
    thread = await source.thread(request, question)
    if thread is None:
        return await _page(request, question)
    row, typed = thread.question, _typed(request)
    evidence = await evidence_of(request, thread)
    if why_not(row, session, read_only=console_of(request).options.read_only):
        return await _page(request, question, status=403)
    draft = answer_in(row, call_in(row, evidence.arguments), typed)
    if not draft.text:
        status = 200 if draft.changed is not None else _UNPROCESSABLE
        return await _page(request, question, draft=draft, status=status)
    return await _send(request, row, draft)


async def say(request: Request) -> Response:
    """Claim a question, pass it on, decline it or ask back."""
    question, wanted = request.path_params["question"], request.path_params["verb"]
    thread = await source.thread(request, question)
    verb: Verb | None = _VERBS.get(wanted)
    if thread is None or verb is None:
        return await _page(request, question)
    status, why = await _said(request, thread.question, verb)
    if why:
        return await _unsent(request, thread.question, Draft(), why, status)
    await console_of(request).catalogue.question_changed(thread.question)
    query = f"?{urlencode({'role': role_of(request)})}" if role_of(request) else ""
    return RedirectResponse(f"{console_of(request).url(f'/inbox/{question}')}{query}", 303)


async def _said(request: Request, row: QuestionRow, verb: Verb) -> tuple[int, str]:
    """Send it; return the status, and why it was not recorded: empty if it was."""
    typed = _typed(request)
    minutes = 0.0 if typed.text(DO) == "release" else DEFAULT_CLAIM
    said = {"to": typed.text("to").strip(), "text": typed.text("text").strip()}
    try:
        receipt = await act(
            session_of(request), row, verb, **said, minutes=minutes, within=PATIENCE
        )
    except (MayNot, PermissionDenied) as error:
        return 403, f"You may not do that: {error}"
    except NoReceipt:
        return 202, "It is stored. A worker will record it once one is running."
    except BusError as error:
        return 503, f"It was not sent: {error}"
    return 409, "" if receipt.outcome in RECORDED else f"It was not recorded: {receipt.reason}"


async def _send(request: Request, row: QuestionRow, draft: Draft) -> Response:
    """Send an answer; then its page, which shows the receipt and may be loaded again."""
    try:
        sent = await send(session_of(request), row, draft.text)
    except PermissionDenied as error:
        return await _unsent(request, row, draft, f"You may not answer this: {error}", 403)
    except BusError as error:
        return await _unsent(request, row, draft, f"It was not sent: {error}", 503)
    sent_answers(request).add(sent)
    if sent.receipt is not None and sent.receipt.outcome == "invalid":
        return await _page(request, row.id, draft=draft, sent=sent, status=_UNPROCESSABLE)
    query = {"sent": str(sent.seq), **({"role": role_of(request)} if role_of(request) else {})}
    address = console_of(request).url(f"/inbox/{row.id}")
    return RedirectResponse(f"{address}?{urlencode(query)}", 303)


async def _unsent(
    request: Request, row: QuestionRow, draft: Draft, why: str, status: int
) -> Response:
    wrong = replace(draft, errors={"": why})
    return await _page(request, row.id, draft=wrong, status=status)


async def _page(
    request: Request,
    question: str,
    *,
    draft: Draft | None = None,
    sent: Sent | None = None,
    status: int = 200,
    alone: bool = True,
) -> HTMLResponse:
    """The page, with a question opened."""
    session = session_of(request)
    listed = inbox(await source.open_rows(request), session, role_of(request))
    view = await open_view(request, question, draft=draft, sent=sent) if question else None
    if question and view is None:
        status = _GONE
    return page(
        request,
        "inbox.html",
        title="Inbox",
        nav="inbox",
        status=status,
        inbox=listed,
        q=view,
        wanted=question,
        alone=alone,
        closed=await source.just_closed(request),
        live=path(role_of(request), question, str(sent.seq) if sent else sent_seq(request)),
    )


def _typed(request: Request) -> Typed:
    """What was posted."""
    return Typed.of(posted(request).multi_items())


routes = [
    Route("/inbox", show, name="inbox"),
    Route("/inbox/live", live),
    Route("/inbox/history", history, name="history"),
    Route("/inbox/{question}", show_one, name="question"),
    Route("/inbox/{question}", answer, methods=["POST"], name="answer"),
    Route("/inbox/{question}/opened", opened, methods=["POST"], name="opened"),
    Route("/inbox/{question}/{verb}", say, methods=["POST"], name="say"),
]
