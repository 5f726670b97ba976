"""The way from a run back to the list of runs as it was when somebody opened the run.

The browser says in `Referer` which page it comes from: to the console's own pages only, as the
header `Referrer-Policy` asks. The session remembers that for each run, because the links within the
page of a run say no more of the list; so the filter is in no further address, and no script is
needed.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import QueryParams
from starlette.requests import Request

from ..console import Console, console_of
from ..hosts import Hosts
from ..login.session import session_of
from .run_filter import RunFilter

_MOST: Final = 200
"""Runs of one session for which it is remembered."""
_LONGEST: Final = 2_000


def way_back(request: Request) -> str:
    """The query of the list of runs, with its `?`, that the page was opened from.

    It is remembered for the run in the page's path; for the pages on several runs, for all of them.
    """
    run: str = request.path_params.get("run", "")
    known = session_of(request).lists
    query = _referred(request, known)
    if query is None:
        return known.get(run, "")
    known.pop(run, None)
    known[run] = query
    if len(known) > _MOST:
        known.pop(next(iter(known)))
    return query


def _referred(request: Request, known: dict[str, str]) -> str | None:
    """What the page says that a browser comes from; None: nothing, or it is not ours."""
    referer = request.headers.get("referer", "")
    console = console_of(request)
    if not _hosts(console).is_own(referer, request.headers.get("host", "")):
        return None
    place = urlsplit(referer)
    match place.path.removeprefix(console.options.base_path).split("/"):
        case ["", ""]:
            query = place.query if len(place.query) <= _LONGEST else ""
            return RunFilter(QueryParams(query)).address()
        case ["", "runs", run]:
            return known.get(run)
        case _:
            return None


def _hosts(console: Console) -> Hosts:
    return Hosts(console.options.host, console.options.allow_hosts)
