"""Has workers look after runs whose timers may be missing, after a restore or a takeover.

The server's timers are no part of a log, so they may be lost where it is not. Each run that may
wait gets a message in the mailbox of due timers; the worker that takes it arms what the log says.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import msgspec

from ..bus.bucket import Bucket
from ..bus.inventory import is_log, own_streams
from ..bus.log_subject import NoPosition, parse
from ..bus.requests import Requests
from ..bus.timers import DUE
from ..runtime.envelope import UNREADABLE
from ..runtime.index import BUCKET, IndexRow
from ..runtime.ports import Due
from ..runtime.state import UNENDED

MISSING: Final = "missing"
"""The kind of these messages."""
_AT_ONCE: Final = 256
_WITHIN: Final = 30.0
"""Seconds that a server may take to name the subjects of a stream."""


async def look_after_timers(requests: Requests) -> int:
    """Have the timers of all runs that have not ended armed; return how many runs these are.

    Repeatable. Raises BusError.
    """
    tails: dict[str, int] = {}
    for info in await own_streams(requests):
        if is_log(info["config"]["name"], requests.names):
            await _add_tails(requests, info["config"]["name"], tails)
    if not tails:
        return 0  # the account of the audit trail, for instance, has nothing else
    async for item in Bucket(requests, BUCKET).items():
        row = item.read(_read_row)
        if row is not None and row.status not in UNENDED and row.pos >= tails.get(row.id, 0):
            tails.pop(row.id, None)
    now = time.time()
    runs = list(tails)
    for first in range(0, len(runs), _AT_ONCE):
        await asyncio.gather(*(_tell(requests, run, now) for run in runs[first : first + _AT_ONCE]))
    return len(runs)


def _read_row(data: bytes) -> IndexRow | None:
    try:
        return msgspec.json.decode(data, type=IndexRow)
    except UNREADABLE:
        return None


async def _add_tails(requests: Requests, stream: str, tails: dict[str, int]) -> None:
    """The last positions of the logs in a stream, by run."""
    seen = 0
    while True:
        body = {"subjects_filter": ">", "offset": seen}
        info: dict[str, Any] = await requests.api(f"STREAM.INFO.{stream}", body, timeout=_WITHIN)
        subjects: dict[str, int] = info["state"].get("subjects") or {}
        for subject in subjects:
            try:
                _, run, n = parse(subject)
            except NoPosition:
                continue
            tails[run] = max(n, tails.get(run, 0))
        seen += len(subjects)
        if not subjects or seen >= int(info.get("total", 0)):
            return


async def _tell(requests: Requests, run: str, now: float) -> None:
    body = msgspec.json.encode(Due(kind=MISSING, run=run, at=now))
    await requests.store(requests.names.subject(f"{DUE}.{MISSING}-{run}"), body)
