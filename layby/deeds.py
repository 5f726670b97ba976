"""What workers do for those who command: each effect can be repeated, and is then done once."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import Any, Final

import msgspec

from .app import App
from .bus.dead import DeadLetters, NoSuchLetter
from .bus.log import Log
from .bus.requests import Requests
from .bus.secret_store import is_person
from .command_actor import CommandActor, Deed, NotHere, Task
from .commands import (
    CANCEL,
    DEAD_DROP,
    DEAD_RETRY,
    ERASE,
    PURGE,
    RETRY,
    NotRetryable,
    RunOver,
    Unreadable,
)
from .erasing import Erasure
from .listing import RunFilter, listed, run_row
from .lookup import NoSuchRun
from .purging import Purge
from .retrying import RETRIED, retry
from .rows import Retried
from .runtime.entry import Cancelled
from .runtime.errors import Fenced, InvalidSetup
from .runtime.host import Host
from .runtime.ids import is_run_id
from .runtime.index import row_of
from .runtime.run import LiveRun
from .runtime.times import iso
from .runtime.worker import Handle

_CLOCKS: Final = 60.0
"""Seconds by which the clock of a row's writer may be ahead of the server's."""
_FOR_OTHERS: Final = 86_400.0
"""Seconds for which a command is left to workers of another app."""
_REASONS: Final = 100
"""Reasons of refusal that an outcome holds."""
_BRIEF: Final = 300
"""Characters of each."""


def obeying(app: App, host: Host, requests: Requests) -> Handle:
    """What a worker for `app` does with commands."""
    runs, letters = _Runs(host, requests), _Letters(requests)
    deeds: dict[str, Deed] = {
        CANCEL: runs.cancel,
        RETRY: runs.retry,
        PURGE: _Upkeep(requests).purge,
        ERASE: _Erasing(app, host, requests).erase,
        DEAD_RETRY: letters.retry,
        DEAD_DROP: letters.drop,
    }
    return CommandActor(requests, host, deeds).take


class _Runs:
    """Ends runs, and takes them up again."""

    def __init__(self, host: Host, requests: Requests) -> None:
        self._host = host
        self._requests = requests
        self._log = Log(requests)

    async def cancel(self, task: Task) -> dict[str, Any]:
        """End a run. Raises NoSuchRun, RunOver."""
        order = task.order
        live = await self._load(order.command.run)
        record = Cancelled(reason=order.command.why, by=order.by, command=order.id)
        with suppress(Fenced):
            await live.append([record], to=live.state.root.actor)
        if order.id not in live.state.commands:
            raise RunOver(f"run {live.id} has ended already: it is {live.state.status}")
        await self._host.stop_everywhere(live.id)
        return await self._listed(live, order.command.why)

    async def retry(self, task: Task) -> dict[str, Any]:
        """Take up one run, or many. Raises NoSuchRun, NotRetryable."""
        if not task.order.command.run:
            return await self._retry_many(task)
        live = await self._load(task.order.command.run)
        await retry(self._log, live, task.order)
        return await self._listed(live)

    async def _retry_many(self, task: Task) -> dict[str, Any]:
        retried, refused = 0, dict[str, str]()
        for count, run in enumerate(await self._wanted(task), 1):
            try:
                live = await self._load(run)
                await retry(self._log, live, task.order)
                await self._listed(live)
                retried += 1
            except (NotRetryable, NoSuchRun) as error:
                refused[run] = str(error)[:_BRIEF]
            task.progress(count)
        shown = dict(list(refused.items())[:_REASONS])
        found = Retried(retried=retried, refused=shown, count=retried + len(refused))
        return msgspec.structs.asdict(found)

    async def _wanted(self, task: Task) -> list[str]:
        """The runs that were to be retried when the command was stored. Raises Unreadable."""
        wanted, at = task.order.command, task.order.at
        if not wanted.workflow or wanted.since is None:
            raise Unreadable("name a run by its id, or runs by `workflow` and `since`")
        if wanted.status is not None and wanted.status not in RETRIED:
            raise Unreadable(f"`status` is none of {', '.join(RETRIED)}")
        since = max(0.0, time.time() - at) + wanted.since
        fits = RunFilter(workflow=wanted.workflow, since=since, status=wanted.status)
        until = iso(at + _CLOCKS)
        rows = await listed(self._requests, fits, sys.maxsize)
        return [row.id for row in rows if row.status in RETRIED and row.updated_at <= until]

    async def _load(self, run: str) -> LiveRun:
        """The run of that id as it is now. Raises NoSuchRun, Unreadable."""
        if not is_run_id(run):
            raise Unreadable("name the run by its id: `layby runs --ticket TICKET` shows it")
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


class _Upkeep:
    """Removes what is old."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def purge(self, task: Task) -> dict[str, Any]:
        """Remove the runs that had ended so long before the command was stored."""
        older_than = task.order.command.older_than
        if older_than is None or older_than < 0:
            raise Unreadable("`older_than` must say how many seconds ago a run must have ended")
        age = older_than + max(0.0, time.time() - task.order.at)
        purged = await Purge(self._requests).run(age, task.progress)
        return msgspec.structs.asdict(purged)


class _Erasing:
    """Forgets conversations, and destroys keys."""

    def __init__(self, app: App, host: Host, requests: Requests) -> None:
        self._app = app
        self._host = host
        self._erasure = Erasure(requests)

    async def erase(self, task: Task) -> dict[str, Any]:
        """Erase what is of this worker's app. Raises InvalidSetup, InvalidTicket, NotHere."""
        wanted = task.order.command
        self._demand_ours(task)
        if wanted.person:
            if not is_person(wanted.person):
                raise Unreadable("`person` must be the record of a person's key, and no name")
            ended = await self._erasure.person(wanted.person, task.progress)
            return {"person": wanted.person, "ended": ended}
        if wanted.run:
            if not is_run_id(wanted.run):
                raise Unreadable("name the run by its id: `layby runs --ticket TICKET` shows it")
            return {"run": wanted.run, "erased": await self._erasure.run(wanted.run)}
        return await self._thread(wanted.thread)

    def _demand_ours(self, task: Task) -> None:
        wanted = task.order.command
        if not wanted.app or not (wanted.thread or wanted.person or wanted.run):
            raise Unreadable("`app` must name the app, and `thread` the thread that it keeps")
        if wanted.app != self._app.name:
            if time.time() - task.order.at < _FOR_OTHERS:
                raise NotHere(f"app {self._app.name!r} does not keep the threads of {wanted.app!r}")
            raise InvalidSetup(f"no worker of an app {wanted.app!r} has come for a day")

    async def _thread(self, thread: str) -> dict[str, Any]:
        store = self._host.services.history
        if store is None:
            raise InvalidSetup(f"app {self._app.name!r} keeps no threads: it has no history=")
        entries: int = await store.erase(thread)
        return {"entries": entries}


class _Letters:
    """Gives dead letters back, or drops them."""

    def __init__(self, requests: Requests) -> None:
        self._dead = DeadLetters(requests)

    async def retry(self, task: Task) -> dict[str, Any]:
        """Publish a letter's message anew. Raises NoSuchLetter, CannotRetry.

        The letter goes after the outcome is stored: until then whoever gets the command again finds
        it, and publishes the same message under the same id.
        """
        number = _letter(task)
        letter = await self._dead.get(number)
        seq = await self._dead.resend(number)
        task.afterwards = lambda: self._gone(number)
        return {"letter": number, "stream": letter.stream, "seq": seq}

    async def drop(self, task: Task) -> dict[str, Any]:
        """Remove a letter. Raises NoSuchLetter."""
        number = _letter(task)
        try:
            await self._dead.drop(number)
        except NoSuchLetter:
            if not task.again:
                raise
        return {"letter": number}

    async def _gone(self, number: int) -> None:
        with suppress(NoSuchLetter):
            await self._dead.drop(number)


def _letter(task: Task) -> int:
    number = task.order.command.letter
    if number < 1:
        raise Unreadable("`letter` must be the number of a dead letter: `layby dead list`")
    return number
