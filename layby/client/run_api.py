"""The part of a client that finds and retries runs."""

from __future__ import annotations

import sys

import msgspec

from ..bus.blobs import Blobs
from ..bus.connection import Connection
from ..bus.log import Log, LogMessage
from ..bus.requests import Requests
from ..commands import RETRY, Command
from ..operations.retrying import RETRIED
from ..runtime.first_stored import entries
from ..runtime.run import LiveRun
from ..runtime.state import RunState
from ..runtime.vouching import Signers
from ..views.listing import Progress, RunFilter, listed, run_row
from ..views.lookup import NoSuchRun, find
from ..views.prompt import Prompt
from ..views.prompts import prompt_of
from ..views.recording import History, read_history
from ..views.rows import Retried, RunRow
from .command_sender import CommandSender


class RunApi:
    """Finds and retries runs."""

    def __init__(
        self, connection: Connection, requests: Requests, signers: Signers | None = None
    ) -> None:
        self._signers = signers
        """Whose signatures count; None: no keys are known here."""
        self._connection = connection
        self._requests = requests
        self._commands = CommandSender(connection, requests)
        self._log = Log(requests)

    async def retry(self, run: str, *, by: str | None = None, reason: str = "") -> RunRow:
        """Have a worker retry a run that is blocked or ended badly, from the step that failed.

        What is recorded stays, and so do idempotency keys. A question that nobody answered is asked
        again. Who asked and why is recorded.

        Args:
            run: Its id, the beginning of its id, or its ticket.
            by: Who asks; None: the NATS user, or else the login of this machine.
            reason: Why.

        Raises:
            NoSuchRun: there is none.
            NotRetryable: it is completed, cancelled or still running, or its parent has continued.
            NotDoneYet: no worker is running; the command is stored, and is done once one starts.
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
        """Have a worker retry all runs of a workflow that are blocked or ended badly.

        It is one command, so one worker does it, run by run.

        Args:
            workflow: The workflow's name.
            since: Only runs that changed in the last `since` seconds.
            status: Only runs with this status.
            by: Who asks; None: the NATS user, or else the login of this machine.
            reason: Why.
            progress: Called now and then with how many runs were handled.

        Raises:
            NotDoneYet: no worker is running; the command is stored, and is done once one starts.
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
            since: Only runs that changed in the last `since` seconds.
            status: Only runs with this status.
            progress: Called now and then with how many runs were read.
        """
        wanted = RunFilter(workflow=workflow, since=since, status=status)
        rows = await listed(self._requests, wanted, sys.maxsize, progress)
        return [run_row(row) for row in rows if row.status in RETRIED]

    async def record(self, run: str) -> History:
        """Everything that a run has recorded, with its data, for `layby.testing.replay`.

        Args:
            run: Its id, the beginning of its id, or its ticket.

        Raises:
            NoSuchRun: there is none.
            Erased: its key was destroyed.
            KeyMissing: it is encrypted, and no keyring here holds its key.
        """
        return await read_history(self._requests, await self._find(run))

    async def prompt(self, run: str, step: str) -> Prompt:
        """What a step of a run sent to its model.

        It is recorded for the steps of agents and routing agents, unless the app sets
        `record_prompts=False`; if a step was retried, for each try that ended in a record.

        Args:
            run: The run's id, the beginning of it, or its ticket.
            step: The path to the step as events name it, for the newest request of that step; or
                the number of its record in the log, `12` or `12.1`.

        Raises:
            NoSuchRun: there is no such run.
            NoPrompt: the log has no such record, or a part of it is lost.
            Erased: the key of the run was destroyed.
            KeyMissing: the run is encrypted, and no keyring here holds its key.
        """
        run_id = await self._find(run)
        _, messages = await self._load(run_id)
        return await prompt_of(run_id, messages, step, Blobs(self._requests).inflate)

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
