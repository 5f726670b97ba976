"""Looking after the streams: what is stuck, what is old, what an earlier release wrote."""

from __future__ import annotations

import msgspec

from .actors.migration import Migration
from .bus.connection import Connection
from .bus.requests import Requests
from .command_desk import CommandDesk
from .commands import ERASE, PURGE, Command
from .doctor import examine
from .listing import Progress
from .rows import Finding, Purged


class Upkeep:
    """The part of a client that operators use."""

    def __init__(self, connection: Connection, requests: Requests) -> None:
        self._commands = CommandDesk(connection, requests)
        self._connection = connection
        self._requests = requests

    async def doctor(self) -> list[Finding]:
        """Look at the server, the streams and whatever is stuck."""
        return await examine(self._connection, self._requests)

    async def purge(
        self,
        older_than: float,
        progress: Progress | None = None,
        *,
        by: str | None = None,
        reason: str = "",
    ) -> Purged:
        """Have runs removed that ended more than `older_than` seconds ago, with all they left.

        Runs that have not ended stay, however old. A worker does it, beside its other work.

        Args:
            older_than: Seconds.
            progress: Is told now and then how many runs were removed.
            by: Who asks; None: the NATS user, or else the machine's login.
            reason: Why.

        Raises:
            NotDoneYet: no worker is up; it is stored, and is done when one starts.
            CommandRefused: the workers may not purge the streams.
            PermissionDenied: this user may not purge runs, or not in that name.
        """
        command = Command(older_than=older_than, why=reason)
        outcome = await self._commands.command(PURGE, command, by=by, progress=progress)
        return msgspec.convert({**outcome.result, "again": outcome.again}, Purged)

    async def erase(self, app: str, thread: str, *, by: str | None = None, reason: str = "") -> int:
        """Have a thread that an app keeps forgotten for good; how many entries it had.

        Args:
            app: The app's name.
            thread: The thread's.
            by: Who asks; None: the NATS user, or else the machine's login.
            reason: Why.

        Raises:
            InvalidSetup: the app keeps no threads.
            InvalidTicket: no thread can have that name.
            NotDoneYet: no worker of that app is up; it is stored, and is done when one starts.
            CommandRefused: the workers may not erase threads.
            PermissionDenied: this user may not erase threads, or not in that name.
        """
        command = Command(app=app, thread=thread, why=reason)
        outcome = await self._commands.command(ERASE, command, by=by)
        return int(outcome.result["entries"])

    async def migrate(self) -> int:
        """Bring what an earlier release wrote into today's form; return how many rows that took.

        A worker does so before it takes work. This is for after an upgrade in which workers of both
        releases ran for a time, and may be repeated.

        Raises:
            StreamMissing: the app was not provisioned by this release yet.
        """
        return await Migration(self._requests).repeat()
