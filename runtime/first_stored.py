"""Reads a run's log: the first message stored at each position.

The fence lets nobody append to a position that is taken. A publisher that does not use it can still
store another message on the subject of an entry, and a read returns the last one. So an entry that
cannot be decoded is read again, as the first message on its subject.
"""

from __future__ import annotations

from ..bus.log import Log, LogMessage
from .envelope import read


async def entries(log: Log, run: str, after: int = 0) -> list[LogMessage]:
    """Every position after `after`, in order and without a gap: see `Log.load`."""
    found = await log.load(run, after)
    for place, message in enumerate(found):
        if read(message.data) is None:
            found[place] = message._replace(data=await log.original(run, message.n))
    return found
