"""The handlers of commands: each effect can be repeated, and is then done once."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import Any, Final

import msgspec

from ..actors.workflows.event_waits import WaitActor
from ..app import App
from ..bus.log import Log
from ..bus.requests import Requests
from ..bus.secret_store import is_person
from ..commands import (
    CANCEL,
    DEAD_DROP,
    DEAD_RETRY,
    ERASE,
    PURGE,
    RETRY,
    ROTA,
    InvalidCommand,
    NotRetryable,
    RunOver,
)
from ..operations.erasing import Erasure
from ..operations.purging import Purge
from ..operations.retrying import RETRIED, retry
from ..runtime.entry import Cancelled
from ..runtime.errors import Fenced, InvalidSetup
from ..runtime.host import Host
from ..runtime.ids import is_run_id
from ..runtime.index import row_of
from ..runtime.run import LiveRun
from ..runtime.times import iso
from ..runtime.worker import Handle
from ..views.listing import RunFilter, listed, run_row
from ..views.lookup import NoSuchRun
from ..views.rows import Retried
from .command_actor import CommandActor, CommandHandler, CommandTask, WrongWorker
from .dead_letter_handlers import DeadLetterHandlers
from .rota_handler import RotaEdits

_CLOCKS: Final = 60.0
"""Seconds by which the clock of a row's writer may be ahead of the server's."""
_FOR_OTHERS: Final = 86_400.0
"""Seconds for which a command is left to workers of another app."""
_REASONS: Final = 100
"""Reasons of refusal that an outcome holds."""
_BRIEF: Final = 300
"""Characters of each."""


def command_handler(app: App, host: Host, requests: Requests, waits: WaitActor | None) -> Handle:
    """The handler of commands in a worker for `app`; `waits` hands events to waiting runs."""
    runs, letters = _Runs(host, requests), DeadLetterHandlers(app, host, requests, waits)
    handlers: dict[str, CommandHandler] = {
        CANCEL: runs.cancel,
        RETRY: runs.retry,
        PURGE: _Purging(requests).purge,
        ERASE: _Erasing(app, host, requests).erase,
        DEAD_RETRY: letters.retry,
        DEAD_DROP: letters.drop,
        ROTA: RotaEdits(requests).edit,
    }
    return CommandActor(requests, host, handlers, {DEAD_RETRY: letters.gone}).take


class _Runs:
    """Cancels and retries runs."""

    def __init__(self, host: Host, requests: Requests) -> None:
        self._host = host
        self._requests = requests
        self._log = Log(requests)

    async def cancel(self, task: CommandTask) -> dict[str, Any]:
        """End a run. Raises NoSuchRun, RunOver."""
        stored = task.stored
        live = await self._load(stored.command.run)
        record = Cancelled(reason=stored.command.why, by=stored.by, command=stored.id)
        with suppress(Fenced):
            await live.append([record], to=live.state.root.actor)
        if stored.id not in live.state.commands:
            raise RunOver(f"run {live.id} has ended already: it is {live.state.status}")
        await self._host.stop_everywhere(live.id)
        return await self._listed(live, stored.command.why)

    async def retry(self, task: CommandTask) -> dict[str, Any]:
        """Retry one run, or many. Raises NoSuchRun, NotRetryable."""
        if not task.stored.command.run:
            return await self._retry_many(task)
        live = await self._load(task.stored.command.run)
        await retry(self._log, live, task.stored)
        return await self._listed(live)

    async def _retry_many(self, task: CommandTask) -> dict[str, Any]:
        retried, refused = 0, dict[str, str]()
        for count, run in enumerate(await self._wanted(task), 1):
            try:
                live = await self._load(run)
                await retry(self._log, live, task.stored)
                await self._listed(live)
                retried += 1
            except (NotRetryable, NoSuchRun) as error:
                refused[run] = str(error)[:_BRIEF]
            task.progress(count)
        shown = dict(list(refused.items())[:_REASONS])
        found = Retried(retried=retried, refused=shown, count=retried + len(refused))
        return msgspec.structs.asdict(found)

    async def _wanted(self, task: CommandTask) -> list[str]:
        """The runs that were to be retried when the command was stored. Raises InvalidCommand."""
        wanted, at = task.stored.command, task.stored.at
        if not wanted.workflow or wanted.since is None:
            raise InvalidCommand("name a run by its id, or runs by `workflow` and `since`")
        if wanted.status is not None and wanted.status not in RETRIED:
            raise InvalidCommand(f"`status` is none of {', '.join(RETRIED)}")
        since = max(0.0, time.time() - at) + wanted.since
        fits = RunFilter(workflow=wanted.workflow, since=since, status=wanted.status)
        until = iso(at + _CLOCKS)
        rows = await listed(self._requests, fits, sys.maxsize)
        return [row.id for row in rows if row.status in RETRIED and row.updated_at <= until]

    async def _load(self, run: str) -> LiveRun:
        """The run with an id, as it is now. Raises NoSuchRun, InvalidCommand."""
        if not is_run_id(run):
            raise InvalidCommand("name the run by its id: `layby runs --ticket TICKET` shows it")
        live = await self._host.open(run)
        await live.catch_up()
        if not live.state.frames:
            self._host.cache.drop(run)
            raise NoSuchRun(f"there is no run {run!r}")
        return live

    async def _listed(self, live: LiveRun, reason: str = "") -> dict[str, Any]:
        """The run's row, once everybody can see it.

        What its log says in words stays there, where it may be encrypted.
        """
        await self._host.index.write(live)
        row = msgspec.structs.replace(run_row(row_of(live.state)), needs="", reason=reason[:_BRIEF])
        return msgspec.structs.asdict(row)


class _Purging:
    """Removes what is old."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def purge(self, task: CommandTask) -> dict[str, Any]:
        """Remove the runs that had ended so long before the command was stored."""
        older_than = task.stored.command.older_than
        if older_than is None or older_than < 0:
            raise InvalidCommand("`older_than` must say how many seconds ago a run must have ended")
        age = older_than + max(0.0, time.time() - task.stored.at)
        purged = await Purge(self._requests).run(age, task.progress)
        return msgspec.structs.asdict(purged)


class _Erasing:
    """Forgets conversations, and destroys keys."""

    def __init__(self, app: App, host: Host, requests: Requests) -> None:
        self._app = app
        self._host = host
        self._erasure = Erasure(requests)

    async def erase(self, task: CommandTask) -> dict[str, Any]:
        """Erase something of this worker's app. Raises InvalidSetup, InvalidTicket, WrongWorker."""
        wanted = task.stored.command
        self._check_ours(task)
        if wanted.person:
            if not is_person(wanted.person):
                raise InvalidCommand("`person` must be the record of a person's key, not a name")
            ended = await self._erasure.person(wanted.person, task.progress)
            return {"person": wanted.person, "ended": ended}
        if wanted.run:
            if not is_run_id(wanted.run):
                raise InvalidCommand(
                    "name the run by its id: `layby runs --ticket TICKET` shows it"
                )
            return {"run": wanted.run, "erased": await self._erasure.run(wanted.run)}
        return await self._thread(wanted.thread)

    def _check_ours(self, task: CommandTask) -> None:
        wanted = task.stored.command
        if not wanted.app or not (wanted.thread or wanted.person or wanted.run):
            raise InvalidCommand("`app` must name the app, and `thread` the thread that it keeps")
        if wanted.app != self._app.name:
            if time.time() - task.stored.at < _FOR_OTHERS:
                raise WrongWorker(
                    f"app {self._app.name!r} does not keep the threads of {wanted.app!r}"
                )
            raise InvalidSetup(f"no worker of an app {wanted.app!r} took this command within a day")

    async def _thread(self, thread: str) -> dict[str, Any]:
        store = self._host.ports.history
        if store is None:
            raise InvalidSetup(f"app {self._app.name!r} keeps no threads: it has no history=")
        entries: int = await store.erase(thread)
        return {"entries": entries}
