"""Which run somebody means by an id, the beginning of one, or a ticket."""

from __future__ import annotations

import re
from contextlib import aclosing

from ..bus.errors import InvalidTicket, LaybyError
from ..bus.log import Log
from ..bus.requests import Requests
from ..runtime.ids import is_run_id
from ..runtime.index import IndexRow
from .listing import Progress, newest_first, of_ticket

_BEGINNING = re.compile(r"[0-9a-f]{1,19}")


class NoSuchRun(LaybyError):
    """No run has that id or ticket."""


async def find(requests: Requests, log: Log, run: str, progress: Progress | None = None) -> str:
    """The id of the run that is meant; of a ticket's runs, the newest that no other run started.

    An id and a ticket are looked up at once, however many runs there are. The beginning of an id
    is looked for in the whole index, from its newest row backwards.

    Raises:
        NoSuchRun: there is none, or several ids begin like this.
    """
    if is_run_id(run) and await log.openings([run]):
        return run  # known before the index shows it
    try:
        of = await of_ticket(requests, run)
    except InvalidTicket:
        of = []
    if of:  # before ids: a short ticket must not mean, or cancel, another one's run
        return newest_root(of).id
    begins = await _beginning(requests, run, progress) if _BEGINNING.fullmatch(run) else set[str]()
    if len(begins) == 1:
        return begins.pop()
    if begins:
        raise NoSuchRun(f"{run!r} begins the ids of several runs: give more of it")
    raise NoSuchRun(f"there is no run {run!r}, and no run for a ticket of that name")


def newest_root(rows: list[IndexRow]) -> IndexRow:
    """The run that a ticket means: the newest that no other run started, if there is one."""
    roots = [row for row in rows if not row.parent]
    return max(roots or rows, key=lambda row: row.started_at)


async def _beginning(requests: Requests, text: str, progress: Progress | None) -> set[str]:
    found: set[str] = set()
    async with aclosing(newest_first(requests, progress=progress)) as rows:
        async for row in rows:
            if row.id.startswith(text):
                found.add(row.id)
            if len(found) > 1:
                break
    return found
