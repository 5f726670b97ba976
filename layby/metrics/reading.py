"""What the streams of an app say, read at one moment."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, Protocol

from ..bus.requests import Requests
from ..health.traffic import MailboxRow, StreamRow, Traffic, traffic
from ..views.apps import BUCKET as APPS
from ..views.apps import AppRow, read_apps
from ..views.workers import WORKER, WorkerRow
from .families import bounded
from .unresumed import unresumed

_MOST: Final = 500
"""Names of one kind that become labels: a worker could declare any number."""


class Lists(Protocol):
    """Knows how many runs and questions there are: the catalogue does."""

    async def runs_by_workflow(self) -> Mapping[tuple[str, str], int]:
        """How many runs there are by workflow and shown status."""
        ...

    async def open_by_role(self) -> Mapping[str, tuple[int, float]]:
        """By role: how many questions are open, and when the oldest was asked, Unix seconds."""
        ...


class Fleet(Protocol):
    """Knows the workers."""

    def rows(self) -> list[WorkerRow]:
        """Those that run, and those that were lost lately."""
        ...


class Reading(NamedTuple):
    """What was read."""

    at: float
    """Unix seconds."""
    runs: Mapping[tuple[str, str], int]
    """By workflow and status."""
    questions: Mapping[str, tuple[int, float]]
    """By role: how many are open, and when the oldest was asked."""
    mailboxes: tuple[MailboxRow, ...]
    streams: tuple[StreamRow, ...]
    dead: int
    running: int
    lost: int
    releases: Mapping[str, int]
    """By app: how many releases run."""
    unresumed: int


class StreamReader:
    """Reads the streams again and again."""

    def __init__(self, requests: Requests, lists: Lists, fleet: Fleet) -> None:
        self._requests = requests
        self._lists = lists
        self._fleet = fleet
        self._dead = requests.names.stream("DEAD")
        self._declared = requests.names.bucket_stream(APPS)
        self._declared_of: StreamRow | None = None
        self._apps: list[AppRow] = []

    async def read(self) -> Reading:
        """Read them once. Raises BusError."""
        found = await traffic(self._requests)
        await self._look_at_apps(found)
        workflows = _some(each.name for app in self._apps for each in app.workflows)
        roles = _some(role for app in self._apps for role in app.roles)
        apps = _some(app.name for app in self._apps)
        workers = [each for each in self._fleet.rows() if each.kind == WORKER]
        running = [each for each in workers if not each.lost]
        dead = found.stream(self._dead)
        return Reading(
            at=time.time(),
            runs=_runs(await self._lists.runs_by_workflow(), workflows),
            questions=_questions(await self._lists.open_by_role(), roles),
            mailboxes=tuple(each for each in found.mailboxes if each.ours)[:_MOST],
            streams=tuple(found.streams),
            dead=0 if dead is None else dead.messages,
            running=len(running),
            lost=len(workers) - len(running),
            releases=_releases(running, apps),
            unresumed=await unresumed(self._requests, found.mailboxes, idle=not running),
        )

    async def _look_at_apps(self, found: Traffic) -> None:
        """Read what apps declare, if that may have changed."""
        row = found.stream(self._declared)
        if row != self._declared_of:
            self._apps = await read_apps(self._requests)
            self._declared_of = row


def _some(names: Iterable[str]) -> frozenset[str]:
    return frozenset(sorted(set(names))[:_MOST])


def _releases(running: Iterable[WorkerRow], apps: frozenset[str]) -> Counter[str]:
    return Counter(
        bounded(app, apps) for app, _ in {(each.app, each.fingerprint) for each in running}
    )


def _runs(
    counts: Mapping[tuple[str, str], int], workflows: frozenset[str]
) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for (workflow, status), count in counts.items():
        key = bounded(workflow, workflows), status
        found[key] = found.get(key, 0) + count
    return found


def _questions(
    counts: Mapping[str, tuple[int, float]], roles: frozenset[str]
) -> dict[str, tuple[int, float]]:
    found: dict[str, tuple[int, float]] = dict.fromkeys(roles, (0, 0.0))
    for role, (count, oldest) in counts.items():
        key = bounded(role, roles)
        before, first = found.get(key, (0, 0.0))
        found[key] = before + count, min(oldest, first) if before else oldest
    return found
