"""Takes runs up again that ended badly, or are blocked: at the step that failed, and no earlier."""

from __future__ import annotations

import sys
from contextlib import suppress

from .bus.bucket import Bucket
from .bus.connection import Connection
from .bus.errors import BusError
from .bus.log import Log, LogMessage
from .bus.requests import Requests
from .command_desk import CommandDesk, default_by
from .commands import NotRetryable
from .listing import Progress, RunFilter, listed, run_row
from .lookup import NoSuchRun, find
from .rows import RunRow
from .runtime.entry import Record, Reopened, Unblocked
from .runtime.errors import Fenced
from .runtime.index import BUCKET, Index, row_of
from .runtime.past import entries
from .runtime.run import LiveRun
from .runtime.state import BLOCKED, RETRYABLE, RunState

RETRIED = (BLOCKED, *sorted(RETRYABLE))
"""The statuses of runs that can be retried."""


async def retry(log: Log, live: LiveRun, by: str, why: str) -> None:
    """Have a run taken up again, once.

    Raises:
        NotRetryable: it goes on as it is, or its end stands.
    """
    state = live.state
    if state.status != BLOCKED:
        await _check(log, state)
        await _append(live, Reopened(by=by, why=why), to=state.root.actor)
        return
    for cause, block in state.blocked:
        await _append(
            live, Unblocked(cause=cause, by=by, why=why), to=state.frames[block.frame].actor
        )


async def _append(live: LiveRun, record: Record, *, to: str) -> None:
    try:
        await live.append([record], to=to)
    except Fenced:
        raise NotRetryable(
            f"run {live.id} was taken up again by somebody else: it is {live.state.status}"
        ) from None


async def _check(log: Log, state: RunState) -> None:
    """Refuse what cannot be reopened. Raises NotRetryable."""
    if not state.ended:
        raise NotRetryable(f"run {state.id} is {state.status}: there is nothing to retry")
    if state.status not in RETRYABLE:
        raise NotRetryable(f"run {state.id} is {state.status}, and that stands: start it anew")
    if state.parent is None:
        return
    parent = LiveRun(log, RunState(id=state.parent.run))
    await parent.catch_up()
    slot = parent.state.slot(state.parent.frame, state.parent.key)
    if parent.state.ended or slot is None or slot.settled:
        raise NotRetryable(
            f"run {state.id} was started by run {parent.id}, which has gone on without it and is "
            f"{parent.state.status}: retry that one, if it has failed"
        )


class RetryDesk:
    """The part of a client that finds runs and takes them up again."""

    def __init__(self, connection: Connection, requests: Requests) -> None:
        self._connection = connection
        self._requests = requests
        self._commands = CommandDesk(connection, requests)
        self._log = Log(requests)
        self._index = Index(Bucket(requests, BUCKET))

    async def retry(self, run: str, *, by: str | None = None, reason: str = "") -> RunRow:
        """Take a run up again that is blocked or ended badly, at the step that failed.

        What is recorded stays, and so do idempotency keys. A question that nobody answered is asked
        again. Who asked and why is recorded.

        Args:
            run: Its id, the beginning of its id, or its ticket.
            by: Who asks; None: the NATS user, or else the machine's login.
            reason: Why.

        Raises:
            NoSuchRun: there is none.
            NotRetryable: it is completed or cancelled, or goes on; or its parent has gone on.
        """
        live, _ = await self._load(await self._find(run))
        await retry(self._log, live, by or default_by(self._connection), reason)
        return await self._listed(live)

    async def retryable(
        self,
        workflow: str,
        *,
        since: float | None = None,
        status: str | None = None,
        progress: Progress | None = None,
    ) -> list[RunRow]:
        """The runs of a workflow that are blocked or ended badly, to be retried one by one.

        Args:
            workflow: The workflow's name.
            since: Only runs that changed in this many seconds.
            status: Only runs with this status.
            progress: Is told now and then how many runs were looked at.
        """
        wanted = RunFilter(workflow=workflow, since=since, status=status)
        rows = await listed(self._requests, wanted, sys.maxsize, progress)
        return [run_row(row) for row in rows if row.status in RETRIED]

    async def _listed(self, live: LiveRun) -> RunRow:
        """The row of a run, put into the index too: no worker may be up to do so.

        Without the right to write there, a worker does it with its mail.
        """
        with suppress(BusError):
            await self._index.write(live)
        return run_row(row_of(live.state))

    async def _find(self, run: str, progress: Progress | None = None) -> str:
        return await find(self._requests, self._log, run, progress)

    async def _load(self, run_id: str) -> tuple[LiveRun, list[LogMessage]]:
        live = LiveRun(self._log, RunState(id=run_id))
        messages = await entries(self._log, run_id)
        for message in messages:
            live.learn(message)
        if not messages:
            raise NoSuchRun(f"there is no run {run_id!r}")
        return live, messages
