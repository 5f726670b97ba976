"""The part of a client for operators: health, old runs, erasure, the audit trail, migration."""

from __future__ import annotations

import msgspec

from ..actors.people.migration import Migration
from ..bus.connection import Connection
from ..bus.log import Log
from ..bus.requests import Requests
from ..commands import ERASE, PURGE, Command
from ..health import fleet
from ..health.doctor import examine
from ..operations.erasing import Erasure
from ..runtime.ids import is_run_id
from ..views.apps import AppRow, read_apps
from ..views.audit_trail import read_audit_trail
from ..views.listing import Progress
from ..views.lookup import find
from ..views.rows import AuditRow, Finding, Purged
from .command_sender import CommandSender


class MaintenanceApi:
    """Examines, purges, erases, audits and migrates."""

    def __init__(self, connection: Connection, requests: Requests) -> None:
        self._commands = CommandSender(connection, requests)
        self._connection = connection
        self._requests = requests

    async def doctor(self, *, listen: float = fleet.LISTEN) -> list[Finding]:
        """Check the server, the streams, whatever is stuck, and the workers side by side.

        Args:
            listen: Seconds to listen for workers, if any runs; 0: the workers are left out.
        """
        if listen <= 0:
            return await examine(self._connection, self._requests)
        async with fleet.listening(self._connection, self._requests, listen) as heard:
            findings = await examine(self._connection, self._requests)
            return [*findings, *await heard()]

    async def apps(self) -> list[AppRow]:
        """What the apps declare whose workers have run on this server, by name."""
        return await read_apps(self._requests)

    async def purge(
        self,
        older_than: float,
        progress: Progress | None = None,
        *,
        by: str | None = None,
        reason: str = "",
    ) -> Purged:
        """Have runs that ended more than `older_than` seconds ago removed, with all that they left.

        Runs that have not ended stay, however old. A worker does this alongside its other work.

        Args:
            older_than: Seconds.
            progress: Called now and then with how many runs were removed.
            by: Who asks; None: the NATS user, or else the login of this machine.
            reason: Why.

        Raises:
            NotDoneYet: no worker is running; the command is stored, and is done once one starts.
            CommandRefused: the workers may not purge the streams.
            PermissionDenied: this user may not purge runs, or not in that name.
        """
        command = Command(older_than=older_than, why=reason)
        outcome = await self._commands.command(PURGE, command, by=by, progress=progress)
        return msgspec.convert({**outcome.result, "again": outcome.again}, Purged)

    async def erase(self, app: str, thread: str, *, by: str | None = None, reason: str = "") -> int:
        """Have a thread of an app erased for good; return how many entries it had.

        Args:
            app: The app's name.
            thread: The thread's name.
            by: Who asks; None: the NATS user, or else the login of this machine.
            reason: Why.

        Raises:
            InvalidSetup: the app keeps no threads.
            InvalidTicket: no thread can have that name.
            NotDoneYet: no worker of that app is running; the command is stored, and is done once
                one starts.
            CommandRefused: the workers may not erase threads.
            PermissionDenied: this user may not erase threads, or not in that name.
        """
        command = Command(app=app, thread=thread, why=reason)
        outcome = await self._commands.command(ERASE, command, by=by)
        return int(outcome.result["entries"])

    async def erase_person(
        self, app: str, person: str, *, by: str | None = None, reason: str = ""
    ) -> int:
        """Have a person's key destroyed: then nobody can read their runs, threads and big values.

        It needs the client's keyring, which has the pseudonym that the command names.

        Args:
            app: The app's name.
            person: The person, as events name them in the field of the workflow's `subject`.
            by: Who asks; None: the NATS user, or else the login of this machine.
            reason: Why.

        Returns:
            How many runs had not ended, and are erased.

        Raises:
            InvalidSetup: the client has no keyring, or the app is not encrypted.
            NotDoneYet: no worker of that app is running; the command is stored, and is done once
                one starts.
            PermissionDenied: this user may not erase, or not in that name.
        """
        record = await Erasure(self._requests).secrets.person(person)
        command = Command(app=app, person=record, why=reason)
        outcome = await self._commands.command(ERASE, command, by=by)
        return int(outcome.result["ended"])

    async def erase_run(
        self, app: str, run: str, *, by: str | None = None, reason: str = ""
    ) -> bool:
        """Have the key of an encrypted run destroyed; return whether there was one.

        Args:
            app: The app's name.
            run: The run's id.
            by: Who asks; None: the NATS user, or else the login of this machine.
            reason: Why.

        Raises:
            InvalidSetup: the app, or the run, is not encrypted.
            NotDoneYet: no worker of that app is running; the command is stored, and is done once
                one starts.
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
        """The commands of people, newest first, each with its outcome.

        Args:
            limit: At most this many.
            since: Only commands of the last `since` seconds.
            who: Only by this person.
            verb: Only this, `cancel` for instance.
            run: Only of this run: its id, the beginning of its id, or its ticket.
            progress: Called now and then with how many entries were read.

        Raises:
            NoSuchRun: there is no such run.
        """
        if run is not None and not is_run_id(run):  # a purged run is still in the audit trail
            run = await find(self._requests, Log(self._requests), run)
        return await read_audit_trail(
            self._requests, limit, since=since, who=who, verb=verb, run=run, progress=progress
        )

    async def migrate(self) -> int:
        """Migrate what an earlier release wrote to this release's form; return how many rows.

        A worker does so before it takes work. Use this after an upgrade in which workers of both
        releases ran at the same time. It can be repeated.

        Raises:
            StreamMissing: this release has not provisioned the app yet.
        """
        return await Migration(self._requests).repeat()
