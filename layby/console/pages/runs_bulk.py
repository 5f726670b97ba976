"""What is done to several runs at once: first the question, then the result of each."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from ...bus.errors import LaybyError
from ...client import Client
from ...operations.retrying import RETRIED
from ...runtime.ids import is_run_id
from ...views.rows import RunRow
from ..catalogue.query import shown_status
from ..console import console_of
from ..login.session import session_of
from ..posted import posted
from .shell import page
from .way_back import way_back
from .words import look, plural, short

MOST: Final = 500
"""Runs of one action, at most."""
_AT_ONCE: Final = 8
"""Commands that are under way at once."""
_OVER: Final = frozenset(
    {"completed", "failed", "timed_out", "max_turns", "budget_spent", "cancelled", "erased"}
)


class BulkAction(NamedTuple):
    """What is done to runs.

    Attributes:
        verb: The command of the CLI.
        doing: The title of the question.
        done: What is said of each.
        explain: What it means.
        fits: Whether it can be done to a run, as far as is known.
        act: Does it.
    """

    verb: str
    doing: str
    done: str
    explain: str
    fits: Callable[[RunRow], bool]
    act: Callable[[Client, str, str, str], Awaitable[RunRow]]


def _goes_on(row: RunRow) -> bool:
    return row.status not in _OVER


def _went_wrong(row: RunRow) -> bool:
    return row.status in RETRIED


async def _cancel(client: Client, run: str, by: str, reason: str) -> RunRow:
    return await client.cancel(run, reason, by=by)


async def _retry(client: Client, run: str, by: str, reason: str) -> RunRow:
    return await client.retry(run, by=by, reason=reason)


ACTIONS: Final = {
    "cancel": BulkAction(
        "cancel",
        "Cancel",
        "cancelled",
        "Their work stops at once, and their open questions are closed. That cannot be undone.",
        _goes_on,
        _cancel,
    ),
    "retry": BulkAction(
        "retry",
        "Retry",
        "retried",
        "Each goes on from the step that failed; what is recorded stays.",
        _went_wrong,
        _retry,
    ),
}


class Line(NamedTuple):
    """The result for one run."""

    ok: bool
    word: str
    what: str
    why: str = ""
    link: str = ""


async def ask(request: Request) -> Response:
    """Say what will be done, and ask for confirmation."""
    action, rows = _action(request), await _chosen(request)
    if not rows:
        return RedirectResponse(console_of(request).url(f"/{way_back(request)}"), 303)
    fit = [row for row in rows if action.fits(row)]
    command = "\n".join(f"layby {action.verb} {shlex.quote(row.id)}" for row in fit)
    question = f"{action.doing} {plural(len(fit), 'run')}?" if fit else f"Nothing to {action.verb}"
    return page(
        request,
        "confirm.html",
        title=f"{action.doing} runs",
        nav="runs",
        question=question,
        explain=action.explain if fit else "None of these runs is in a state for that.",
        listed=[_said(row, action) for row in rows],
        command=command,
        reason=bool(fit),
        hidden=[("do", action.verb), *(("run", row.id) for row in fit)],
        action="/runs/do",
        back=f"/{way_back(request)}",
        keep="Leave them",
        does=f"{action.doing} {plural(len(fit), 'run')}" if fit else "",
        grave=action.verb == "cancel",
    )


def _said(row: RunRow, action: BulkAction) -> str:
    stays = "" if action.fits(row) else "; stays as it is"
    return f"{short(row.ticket, 60)}, {row.workflow}: {look(shown_status(row)).word}{stays}"


async def do(request: Request) -> HTMLResponse:
    """Do it, and show the result of each."""
    action, rows, session = _action(request), await _chosen(request), session_of(request)
    reason = posted(request).get("reason", "").strip()[:500]
    free = asyncio.Semaphore(_AT_ONCE)

    async def one(row: RunRow) -> Line:
        what, link = f"{short(row.ticket, 60)}, {row.workflow}", f"/runs/{row.id}"
        async with free:
            try:
                await action.act(session.client, row.id, session.name, reason)
            except LaybyError as error:
                return Line(ok=False, word="not done", what=what, why=str(error), link=link)
        return Line(ok=True, word=action.done, what=what, link=link)

    lines = await asyncio.gather(*map(one, rows))
    good = sum(line.ok for line in lines)
    return page(
        request,
        "done.html",
        title=f"{good} of {plural(len(lines), 'run')} {action.done}",
        nav="runs",
        lines=sorted(lines, key=lambda line: line.ok),
        back=f"/{way_back(request)}",
        to="Back to the runs",
    )


def _action(request: Request) -> BulkAction:
    if not session_of(request).rights.operate:
        raise HTTPException(403, "Ask an operator to do that.")
    action = ACTIONS.get(posted(request).get("do", ""))
    if action is None:
        raise HTTPException(400, "The page did not say what to do with the runs.")
    return action


async def _chosen(request: Request) -> list[RunRow]:
    """The runs that were chosen, each once; those that are gone are left out."""
    catalogue = console_of(request).catalogue
    ids = [run for run in dict.fromkeys(posted(request).getlist("run")) if is_run_id(run)]
    if len(ids) > MOST:
        raise HTTPException(400, f"Choose at most {MOST} runs at once.")
    found = [await catalogue.run(run) for run in ids]
    return [row for row in found if row is not None]


routes = [
    Route("/runs/confirm", ask, methods=["POST"]),
    Route("/runs/do", do, methods=["POST"]),
]
