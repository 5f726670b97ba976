"""What workers do for those who command: each effect can be repeated, and is then done once."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from .app import App
from .bus.requests import Requests
from .command_actor import CommandActor, Deed, Task
from .commands import CANCEL, RunOver, Unreadable
from .lookup import NoSuchRun
from .runtime.entry import Cancelled
from .runtime.errors import Fenced
from .runtime.host import Host
from .runtime.ids import is_run_id
from .runtime.run import LiveRun
from .runtime.worker import Handle


def obeying(app: App, host: Host, requests: Requests) -> Handle:
    """What a worker for `app` does with commands."""
    del app
    return CommandActor(requests, host, RunDeeds(host).quick(), {}).take


class RunDeeds:
    """What is commanded of one run."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def quick(self) -> dict[str, Deed]:
        """What is done at once, by verb."""
        return {CANCEL: self.cancel}

    async def cancel(self, task: Task) -> dict[str, Any]:
        """End a run. Raises NoSuchRun, RunOver."""
        live = await self._load(task)
        order = task.order
        record = Cancelled(reason=order.command.why, by=order.by, command=order.id)
        with suppress(Fenced):
            await live.append([record], to=live.state.root.actor)
        if order.id not in live.state.commands:
            raise RunOver(f"run {live.id} has ended already: it is {live.state.status}")
        await self._host.stop_everywhere(live.id)
        await self._host.index.write(live)
        return {"run": live.id, "ticket": live.state.ticket, "status": live.state.status}

    async def _load(self, task: Task) -> LiveRun:
        """The run that a command names, as it is now. Raises NoSuchRun, Unreadable."""
        run = task.order.command.run
        if not is_run_id(run):
            raise Unreadable("name the run by its id: `layby runs --ticket TICKET` shows it")
        live = await self._host.open(run)
        await live.catch_up()
        if not live.state.frames:
            self._host.cache.drop(run)
            raise NoSuchRun(f"there is no run {run!r}")
        return live
