"""`python -m benchmarks`: run the workloads, print the tables, write the figures."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from layby.bus.binary import find_binary
from layby.bus.duration import seconds

from . import (
    cards,
    catalogue,
    console,
    flood,
    floor,
    ladder,
    lists,
    memory,
    network,
    parked,
    scale,
    startup,
    steps,
    streams,
    ticket,
)
from .cluster import NODES
from .disk import delay, hold_up
from .measure import Figure, best
from .peers import PEERS, Unavailable
from .reach import reached
from .report import show, show_reach
from .server import ALWAYS, DEFAULT, setting
from .sizes import LONG, NORMAL, QUICK, Sizes

Measure = Callable[[str, Sizes], Awaitable[list[Figure]]]
_WORKLOADS: dict[str, list[Measure]] = {
    "startup": [startup.measure],
    "ticket": [floor.measure_ticket, ticket.measure],
    "encrypted": [ticket.measure_encrypted],
    "steps": [floor.measure_steps, steps.measure],
    "network": [network.measure],
    "scale": [scale.measure],
    "streams": [streams.measure],
    "parked": [parked.measure],
    "memory": [memory.measure],
    "ladder": [ladder.measure],
    "cards": [cards.measure],
    "lists": [lists.measure],
    "flood": [flood.measure],
    "catalogue": [catalogue.measure],
    "console": [console.measure],
}
_DURABILITY_MATTERS = ("ticket", "encrypted", "steps", "network", "scale", "streams")
"""Workloads that are measured at both settings; the others at the server's default."""
_CLUSTERED = ("ticket", "steps", "network")
"""Workloads that are also measured with three servers."""
_DELAYED = ("restate",)
"""Peers whose disk can be slowed down too."""
_WIDE = 140
"""Columns of a table that is not shown on a terminal."""


def main() -> None:
    """Read the command line and run."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end what was started, too
    asked = _arguments()
    # A table that goes to a file is not cut to the 80 columns of a terminal that is not there.
    console = Console(width=None if sys.stdout.isatty() else _WIDE)
    bench = _Bench(console, QUICK if asked.quick else LONG if asked.long else NORMAL)
    syncs = (DEFAULT, ALWAYS) if asked.sync == "both" else (asked.sync,)
    with tempfile.TemporaryDirectory(prefix="layby-bench-") as folder:
        if asked.fsync_delay:
            hold_up(round(asked.fsync_delay * 1e6), find_binary(), Path(folder))
            syncs = (ALWAYS,)
            asked.peers = [name for name in asked.peers if name in _DELAYED]
        for number in range(asked.rounds):
            console.print(f"[dim]round {number + 1} of {asked.rounds}[/]")
            asyncio.run(bench.run(asked.only, syncs, asked.servers, asked.peers))
            if asked.out:
                _write(asked.out, bench)
    figures = best(bench.figures)
    show(console, figures, bench.notes)
    show_reach(console, reached(figures))


def _write(path: Path, bench: _Bench) -> None:
    figures = best(bench.figures)
    document = {
        "about": _about(),
        "notes": bench.notes,
        "figures": [figure.as_dict() for figure in figures],
        "reach": [line._asdict() for line in reached(figures)],
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


class _Bench:
    """One run of the command."""

    def __init__(self, console: Console, sizes: Sizes) -> None:
        self.figures: list[Figure] = []
        self.notes: list[str] = []
        self._console = console
        self._sizes = sizes

    async def run(
        self, workloads: Sequence[str], syncs: Sequence[str], servers: int, peers: list[str]
    ) -> None:
        for workload in workloads:
            for sync in _settings(workload, syncs, servers):
                for measure in _WORKLOADS[workload]:
                    what = f"{measure.__module__.rpartition('.')[2]}, {workload}, sync {sync}"
                    await self._take(what, partial(measure, sync, self._sizes))
        for name in peers:
            wanted = [w for w in workloads if w in {"ticket", "steps"}]
            if wanted:
                await self._take(name, partial(PEERS[name], wanted, self._sizes))

    async def _take(self, what: str, work: Callable[[], Awaitable[list[Figure]]]) -> None:
        began = time.perf_counter()
        try:
            self.figures += await work()
        except Unavailable as why:
            self._note(f"{what}: skipped: {why}")
        except Exception as error:  # noqa: BLE001  the others are still worth measuring
            self._note(f"{what}: failed: {type(error).__name__}: {error}")
        else:
            self._console.print(f"[dim]{what}: {time.perf_counter() - began:.0f} s[/]")

    def _note(self, text: str) -> None:
        self.notes.append(text)
        self._console.print(text, style="yellow", markup=False)


def _settings(workload: str, syncs: Sequence[str], servers: int) -> list[str]:
    """The settings at which a workload is measured."""
    found = list(syncs if workload in _DURABILITY_MATTERS else syncs[:1])
    if servers > 1 and workload in _CLUSTERED:
        found += [setting(sync, servers) for sync in syncs]
    return found


def _arguments() -> Any:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="small counts: a minute or two")
    size.add_argument("--long", action="store_true", help="1,000,000 parked runs")
    parser.add_argument("--only", type=_names(_WORKLOADS), default=list(_WORKLOADS))
    parser.add_argument("--peers", type=_names(PEERS), default=list(PEERS), help="or none")
    parser.add_argument("--sync", choices=[DEFAULT, ALWAYS, "both"], default="both")
    parser.add_argument(
        "--servers", type=int, choices=[1, NODES], default=1, help="3: also with three servers"
    )
    parser.add_argument(
        "--fsync-delay",
        type=seconds,
        default=0.0,
        metavar="2ms",
        help="hold up each fsync of a server, with sync always",
    )
    parser.add_argument("--rounds", type=int, default=1, help="repeat; the best is shown")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    return parser.parse_args()


def _names(known: dict[str, Any]) -> Callable[[str], list[str]]:
    def read(text: str) -> list[str]:
        names = [name for name in text.split(",") if name != "none"]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
        return names

    return read


def _about() -> dict[str, Any]:
    nats = subprocess.run(  # noqa: S603
        [find_binary(), "--version"], capture_output=True, text=True, check=False, timeout=10
    )
    git = shutil.which("git")
    commit = subprocess.run(  # noqa: S603
        [git or "git", "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
        timeout=10,
        cwd=Path(__file__).parent,
    )
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "layby": commit.stdout.strip(),
        "python": platform.python_version(),
        "nats-server": nats.stdout.strip(),
        "cpus": os.cpu_count(),
        "fsync delay, ms": delay() / 1e3,
        "machine": platform.platform(),
    }


main()
