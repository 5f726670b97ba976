"""Looking after the streams: what is stuck, what is old, what an earlier release wrote."""

from __future__ import annotations

from .actors.migration import Migration
from .bus.connection import Connection
from .bus.requests import Requests
from .doctor import examine
from .listing import Progress
from .purging import Purge
from .rows import Finding, Purged


class Upkeep:
    """The part of a client that operators use."""

    def __init__(self, connection: Connection, requests: Requests) -> None:
        self._connection = connection
        self._requests = requests

    async def doctor(self) -> list[Finding]:
        """Look at the server, the streams and whatever is stuck."""
        return await examine(self._connection, self._requests)

    async def purge(self, older_than: float, progress: Progress | None = None) -> Purged:
        """Remove runs that ended more than `older_than` seconds ago: logs, rows and what is left.

        Runs that have not ended stay, however old. Needs the right to purge the streams of logs.

        Args:
            older_than: Seconds.
            progress: Is told now and then how many runs were removed.
        """
        return await Purge(self._requests).run(older_than, progress)

    async def migrate(self) -> int:
        """Bring what an earlier release wrote into today's form; return how many rows that took.

        A worker does so before it takes work. This is for after an upgrade in which workers of both
        releases ran for a time, and may be repeated.

        Raises:
            StreamMissing: the app was not provisioned by this release yet.
        """
        return await Migration(self._requests).repeat()
