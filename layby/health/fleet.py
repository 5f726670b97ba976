"""The workers side by side: their releases, and their clocks."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from ..bus.connection import Connection
from ..bus.errors import BusError
from ..bus.requests import Requests
from ..runtime.clock import SKEWED
from ..views.rows import Finding
from ..views.workers import EVERY, WORKER, WorkerRow, Workers

LISTEN: Final = EVERY + 0.5
"""Seconds in which every worker that runs is heard."""
_SHOWN: Final = 5
_SHORT: Final = 12

Heard = Callable[[], Awaitable[list[Finding]]]
"""What is found about the workers, once all were heard."""


@asynccontextmanager
async def listening(
    connection: Connection, requests: Requests, seconds: float
) -> AsyncGenerator[Heard]:
    """Listens from now on for `seconds` in all; less if no worker is there to be heard."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    async with Workers.listening(connection, requests.names) as workers:

        async def heard() -> list[Finding]:
            try:
                if await _is_asked(requests):
                    await asyncio.sleep(until - loop.time())
            except BusError:
                return []  # nobody knows whether one runs
            return side_by_side(workers.rows())

        yield heard


async def _is_asked(requests: Requests) -> bool:
    """Whether any worker asks for timers, as each of them does."""
    stream = requests.names.stream("TIMERS")
    reply = await requests.api(f"CONSUMER.LIST.{stream}", {"offset": 0})
    return any(
        each.get("num_waiting") or each.get("num_ack_pending") for each in reply["consumers"] or ()
    )


def side_by_side(rows: Iterable[WorkerRow]) -> list[Finding]:
    """What differs between the workers that run; those that were lost are passed over."""
    running = [row for row in rows if not row.lost]
    if not running:
        text = "none is running: whatever comes waits until one starts"
        return [Finding(level="ok", subject="workers", message=text)]
    found = [Finding(level="ok", subject="workers", message=_counted(running))]
    for app in sorted({row.app for row in running}):
        found += _releases(app, [row for row in running if row.app == app])
    return [*found, *_clocks(running)]


def _counted(rows: Sequence[WorkerRow]) -> str:
    counts = Counter((row.app, row.kind, row.version) for row in rows)
    return ", ".join(
        f"{count} {kind}{'s' if count > 1 else ''} of {app} ({_layby(version)})"
        for (app, kind, version), count in sorted(counts.items())
    )


def _layby(version: str) -> str:
    return f"Layby {version}" if version else "an earlier Layby"


def _releases(app: str, rows: Sequence[WorkerRow]) -> list[Finding]:
    """Whether an app's workers differ: in the release of Layby, else in their code or keys."""
    if len({row.version for row in rows}) > 1:
        differ = _places(rows, lambda row: _layby(row.version))
        text = f"{app} runs with several releases of Layby: {differ}"
    else:
        rows = [row for row in rows if row.kind == WORKER]  # a notifier has other secrets
        if len({row.fingerprint for row in rows}) < 2:  # noqa: PLR2004
            return []
        differ = _places(rows, lambda row: row.fingerprint[:_SHORT])
        text = f"workers of {app} differ in code, in what they declare or in their keys: {differ}"
    return [
        Finding(
            level="warn",
            subject="workers",
            message=text,
            advice="This is so while you deploy. If it stays, restart those that were left behind.",
        )
    ]


def _places(rows: Iterable[WorkerRow], what: Callable[[WorkerRow], str]) -> str:
    groups: dict[str, list[WorkerRow]] = {}
    for row in rows:
        groups.setdefault(what(row), []).append(row)
    return "; ".join(f"{name} on {_hosts(each)}" for name, each in sorted(groups.items())[:_SHOWN])


def _hosts(rows: Sequence[WorkerRow]) -> str:
    named = [f"{row.host} (process {row.pid})" for row in rows[:_SHOWN]]
    more = len(rows) - len(named)
    return ", ".join([*named, *([f"{more} more"] if more else [])])


def _clocks(rows: Sequence[WorkerRow]) -> list[Finding]:
    """Whose clock is wrong; each worker compares its own with the server's."""
    wrong = [row for row in rows if abs(row.behind) >= SKEWED]
    if not wrong:
        return []
    each = ", ".join(
        f"{row.host} (process {row.pid}) is {abs(row.behind):,.0f} s "
        f"{'behind' if row.behind > 0 else 'ahead'}"
        for row in wrong[:_SHOWN]
    )
    more = f", and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    return [
        Finding(
            level="warn",
            subject="clocks",
            message=f"of workers, compared with the server's: {each}{more}",
            advice="Set them with NTP. Workers correct theirs by the server's, as long as they "
            "reach it.",
        )
    ]
