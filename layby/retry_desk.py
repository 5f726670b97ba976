"""The part of a client that finds runs and has them taken up again."""

from __future__ import annotations

import sys

import msgspec

from .bus.connection import Connection
from .bus.log import Log, LogMessage
from .bus.requests import Requests
from .command_desk import CommandDesk
from .commands import RETRY, Command
from .listing import Progress, RunFilter, listed, run_row
from .lookup import NoSuchRun, find
from .retrying import RETRIED
from .rows import Retried, RunRow
from .runtime.past import entries
from .runtime.run import LiveRun
from .runtime.state import RunState
from .runtime.vouching import Signers


class RetryDesk:
    """Finds runs and has them taken up again."""

    def __init__(
        self, connection: Connection, requests: Requests, signers: Signers | None = None
    ) -> None:
        self._signers = signers
        """Whose signatures count; None: the keys are not known here."""
        self._connection = connection
        self._requests = requests
        self._commands = CommandDesk(connection, requests)
        self._log = Log(requests)

    async def retry(self, run: str, *, by: str | None = None, reason: str = "") -> RunRow:
        """Have a run taken up again that is blocked or ended badly, at the step that failed.

        What is recorded stays, and so do idempotency keys. A question that nobody answered is asked
        again. Who asked and why is recorded.

        Args:
            run: Its id, the beginning of its id, or its ticket.
            by: Who asks; None: the NATS user, or else the machine's login.
            reason: Why.

        Raises:
            NoSuchRun: there is none.
            NotRetryable: it is completed or cancelled, or goes on; or its parent has gone on.
            NotDoneYet: no worker is up; it is stored, and is done when one starts.
            PermissionDenied: this user may not retry runs, or not in that name.
        """
        command = Command(run=await self._find(run), why=reason)
        outcome = await self._commands.command(RETRY, command, by=by)
        return msgspec.convert(outcome.result, RunRow)

    async def retry_all(
        self,
        workflow: str,
        *,
        since: float,
        status: str | None = None,
        by: str | None = None,
        reason: str = "",
        progress: Progress | None = None,
    ) -> Retried:
        """Have all runs of a workflow taken up again that are blocked or ended badly.

        It is one command, so one worker does it, run by run.

        Args:
            workflow: The workflow's name.
            since: Only runs that changed in this many seconds.
            status: Only runs with this status.
            by: Who asks; None: the NATS user, or else the machine's login.
            reason: Why.
            progress: Is told now and then how many runs were dealt with.

        Raises:
            NotDoneYet: no worker is up; it is stored, and is done when one starts.
            PermissionDenied: this user may not retry runs, or not in that name.
        """
        command = Command(workflow=workflow, since=since, status=status, why=reason)
        outcome = await self._commands.command(RETRY, command, by=by, progress=progress)
        return msgspec.convert({**outcome.result, "again": outcome.again}, Retried)

    async def retryable(
        self,
        workflow: str,
        *,
        since: float | None = None,
        status: str | None = None,
        progress: Progress | None = None,
    ) -> list[RunRow]:
        """The runs of a workflow that are blocked or ended badly.

        Args:
            workflow: The workflow's name.
            since: Only runs that changed in this many seconds.
            status: Only runs with this status.
            progress: Is told now and then how many runs were looked at.
        """
        wanted = RunFilter(workflow=workflow, since=since, status=status)
        rows = await listed(self._requests, wanted, sys.maxsize, progress)
        return [run_row(row) for row in rows if row.status in RETRIED]

    async def _find(self, run: str, progress: Progress | None = None) -> str:
        return await find(self._requests, self._log, run, progress)

    async def _load(self, run_id: str) -> tuple[LiveRun, list[LogMessage]]:
        live = LiveRun(self._log, RunState(id=run_id), signers=self._signers)
        messages = await entries(self._log, run_id)
        for message in messages:
            live.learn(message)
        if not messages:
            raise NoSuchRun(f"there is no run {run_id!r}")
        return live, messages
