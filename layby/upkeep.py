"""Looking after the streams: what is stuck, what is old, what an earlier release wrote."""

from __future__ import annotations

import msgspec

from .actors.migration import Migration
from .audit import trail
from .bus.connection import Connection
from .bus.log import Log
from .bus.requests import Requests
from .command_desk import CommandDesk
from .commands import ERASE, PURGE, Command
from .doctor import examine
from .erasing import Erasure
from .listing import Progress
from .lookup import find
from .rows import AuditRow, Finding, Purged
from .runtime.ids import is_run_id


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

    async def erase_person(
        self, app: str, person: str, *, by: str | None = None, reason: str = ""
    ) -> int:
        """Have a person's key destroyed: nobody can read their runs, threads and big values then.

        It takes the client's keyring, which tells the pseudonym that the command names.

        Args:
            app: The app's name.
            person: Whose, as events have it in the workflow's field `subject`.
            by: Who asks; None: the NATS user, or else the machine's login.
            reason: Why.

        Returns:
            How many runs had not ended, and are erased.

        Raises:
            InvalidSetup: the client has no keyring, or the app is not encrypted.
            NotDoneYet: no worker of that app is up; it is stored, and is done when one starts.
            PermissionDenied: this user may not erase, or not in that name.
        """
        record = await Erasure(self._requests).secrets.person(person)
        command = Command(app=app, person=record, why=reason)
        outcome = await self._commands.command(ERASE, command, by=by)
        return int(outcome.result["ended"])

    async def erase_run(
        self, app: str, run: str, *, by: str | None = None, reason: str = ""
    ) -> bool:
        """Have the key of an encrypted run destroyed; whether there was one.

        Args:
            app: The app's name.
            run: The run's id.
            by: Who asks; None: the NATS user, or else the machine's login.
            reason: Why.

        Raises:
            InvalidSetup: the app, or the run, is not encrypted.
            NotDoneYet: no worker of that app is up; it is stored, and is done when one starts.
            PermissionDenied: this user may not erase, or not in that name.
        """
        command = Command(app=app, run=run, why=reason)
        outcome = await self._commands.command(ERASE, command, by=by)
        return bool(outcome.result["erased"])

    async def audit(
        self,
        limit: int = 50,
        *,
        since: float | None = None,
        who: str | None = None,
        verb: str | None = None,
        run: str | None = None,
        progress: Progress | None = None,
    ) -> list[AuditRow]:
        """What people have commanded, the newest first, each with what came of it.

        Args:
            limit: At most so many.
            since: Only what was commanded in this many seconds.
            who: Only by this person.
            verb: Only this, `cancel` for instance.
            run: Only of this run: its id, the beginning of its id, or its ticket.
            progress: Is told now and then how many entries were read.

        Raises:
            NoSuchRun: there is no such run.
        """
        if run is not None and not is_run_id(run):  # that of a purged run is still in the trail
            run = await find(self._requests, Log(self._requests), run)
        return await trail(
            self._requests, limit, since=since, who=who, verb=verb, run=run, progress=progress
        )

    async def migrate(self) -> int:
        """Bring what an earlier release wrote into today's form; return how many rows that took.

        A worker does so before it takes work. This is for after an upgrade in which workers of both
        releases ran for a time, and may be repeated.

        Raises:
            StreamMissing: the app was not provisioned by this release yet.
        """
        return await Migration(self._requests).repeat()
