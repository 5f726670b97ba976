"""A run's log as it is read: of each position what was stored first.

The fence lets nobody append to a position that is taken. Whoever publishes without it may store
more on the subject of an entry, and a read returns the last: what cannot be read is therefore
looked up again, where it is the first.
"""

from __future__ import annotations

from ..bus.log import Log, LogMessage
from .entry import read


async def entries(log: Log, run: str, after: int = 0) -> list[LogMessage]:
    """Every position after `after`, in order and without a gap: see `Log.load`."""
    found = await log.load(run, after)
    for place, message in enumerate(found):
        if read(message.data) is None:
            found[place] = message._replace(data=await log.original(run, message.n))
    return found
