"""`python -m benchmarks.capacity`: what tickets a minute need, and what saturates first.

A ticket is that of the workload `ticket`: one question to a person, no call of a model. The
formulas are here, the measured constants in `benchmarks.calibration`; docs/scaling.md explains
both. Nothing above the rates of `benchmarks.calibration` has been measured.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

from .calibration import (
    BENCH_CORES,
    CALIBRATED,
    HELD_OUT,
    STORED,
    TRAFFIC,
    Costs,
    HeldOut,
)
from .cluster import NODES
from .server import ALWAYS, DEFAULT

SHARE: Final = 0.6
"""Of a measured limit, how much a plan uses: the rest is for peaks and for the loss of a part."""
MOST_PARKED: Final = 1_000_000
"""Open tickets in one account: the most that was ever measured."""
BYTES_PARKED: Final = 3_000
"""Memory of each server for an open ticket, as docs/operations.md counts it."""
BYTES_ENDED: Final = 1_400
"""Memory of each server for an ended run whose deadline has not passed: live in Go's heap, for
10,000 runs 140 s after they ended, and still falling. Just after they ended it is 2,400."""
SECONDS_RUN: Final = 34 / 1_000_000
"""A server's start after a crash for each run that it holds, measured at 1,000,000."""
FEWEST_WORKERS: Final = 2
"""One may die."""
LIMITS: Final = {
    "EVENTS": (4096 << 20, "new events are rejected"),
    "QUESTIONS": (1024 << 20, "the oldest are dropped"),
    "ANSWERS": (1024 << 20, "new answers are rejected"),
}
"""Bytes at which provisioning caps these streams, and what happens then."""
LOGS: Final = "RUNS"
_MINUTE: Final = 60
_DAY: Final = 86_400


class Bound(NamedTuple):
    """What one part allows."""

    part: str
    tickets: float
    """A second."""


class Machine(NamedTuple):
    """Everything on one machine, as the benchmarks run."""

    servers: int
    sync: str
    workers: int = 1
    log_streams: int = 1
    cores: int = BENCH_CORES


class Load(NamedTuple):
    """What is asked of a production setup."""

    tickets_a_minute: float
    servers: int = NODES
    """Of each cluster: 1 or 3."""
    sync: str = ALWAYS
    cores: int = 8
    """Of each server."""
    memory: float = 32.0
    """GB of each server."""
    open_minutes: float = 60.0
    """How long a ticket waits for its person, on average."""
    keep_days: float = 1.0
    """How long an ended run is kept."""

    @property
    def rate(self) -> float:
        """Tickets a second."""
        return self.tickets_a_minute / _MINUTE

    @property
    def opened(self) -> float:
        """Tickets that wait for a person at a time."""
        return self.tickets_a_minute * self.open_minutes

    @property
    def kept(self) -> float:
        """Ended runs that are still there."""
        return self.rate * self.keep_days * _DAY

    @property
    def resident(self) -> float:
        """Bytes of memory of all these runs, in one copy."""
        return self.opened * BYTES_PARKED + self.kept * BYTES_ENDED


class Size(NamedTuple):
    """How much of what a load needs."""

    accounts: int
    clusters: int
    workers: int
    """Of each account."""


class Need(NamedTuple):
    """A line of a plan."""

    what: str
    amount: str
    why: str


def bounds(machine: Machine) -> list[Bound]:
    """What each part of one machine allows, the tightest first."""
    costs = CALIBRATED[machine.servers, machine.sync].with_team(machine.workers)
    found = [
        Bound("cores of the workers", machine.workers * 1e3 / costs.worker),
        Bound("cores of the machine", machine.cores * 1e3 / costs.total),
        *_streams(costs, machine.log_streams),
    ]
    if _waits_for_disk(machine.servers, machine.sync):
        found.append(Bound("disk", costs.appends / _messages()))
    return sorted(found, key=lambda bound: bound.tickets)


def predicted(machine: Machine) -> Bound:
    """Tickets a second: the tightest bound, and the share of it that calibration reached."""
    part, tickets = bounds(machine)[0]
    return Bound(part, tickets * reached(machine.servers, machine.sync))


def reached(servers: int, sync: str) -> float:
    """The share of the tightest bound that one worker reached in calibration."""
    return CALIBRATED[servers, sync].tickets / bounds(Machine(servers, sync))[0].tickets


def _streams(costs: Costs, log_streams: int) -> list[Bound]:
    others = max(each.messages for name, each in STORED.items() if name != LOGS)
    return [
        Bound("streams of the logs", costs.appends * log_streams / STORED[LOGS].messages),
        Bound("busiest other stream", costs.appends / others),
    ]


def _messages() -> float:
    return sum(each.messages for each in STORED.values())


def _waits_for_disk(servers: int, sync: str) -> bool:
    """One server waits for its disk at each message; three write many with one sync."""
    return servers == 1 and sync == ALWAYS


def accounts(load: Load) -> dict[str, float]:
    """How many accounts each reason asks for, before they are rounded up."""
    _, other = _streams(CALIBRATED[load.servers, load.sync], 1)
    return {
        "one stream is one leader": load.rate / (other.tickets * SHARE),
        "open tickets": load.opened / MOST_PARKED,
    }


def log_streams(load: Load, cells: int) -> int:
    """The fewest that carry the logs of one of so many accounts."""
    logs, _ = _streams(CALIBRATED[load.servers, load.sync], 1)
    needed = load.rate / cells / (logs.tickets * SHARE)
    return next((count for count in (1, 2, 4, 8) if count >= needed), 16)


def team(load: Load, cells: int) -> int:
    """The workers of each account: the fewest that are not busier than a plan allows."""
    costs = CALIBRATED[load.servers, load.sync]
    busy = load.rate / cells / 1e3 / SHARE
    count = FEWEST_WORKERS
    while count < busy * costs.with_team(count).worker:
        count += 1
    return count


def clusters(load: Load, workers: int) -> dict[str, float]:
    """How many clusters each reason asks for, with so many workers in each account."""
    costs = CALIBRATED[load.servers, load.sync].with_team(workers)
    found = {
        "cores": load.rate * costs.server / 1e3 / SHARE / (load.servers * load.cores),
        "memory": load.resident / (load.memory * 1e9 * SHARE),
    }
    if _waits_for_disk(load.servers, load.sync):
        found["disk"] = load.rate * _messages() / (costs.appends * SHARE)
    return found


def size(load: Load) -> Size:
    """What a load needs. An account is in one cluster, and each cluster has as many accounts."""
    cells = _rounded(accounts(load))
    groups = _rounded(clusters(load, team(load, cells)))
    cells = groups * math.ceil(cells / groups)
    return Size(cells, groups, team(load, cells))


def plan(load: Load) -> list[Need]:
    """What a load needs, part by part."""
    needed = size(load)
    costs = CALIBRATED[load.servers, load.sync].with_team(needed.workers)
    reasons = clusters(load, needed.workers)
    each = f"of {load.servers} x {load.cores} cores, {load.memory:g} GB"
    return [
        Need("clusters", f"{needed.clusters:,}", f"{each}: {_because(reasons)}"),
        Need("accounts", f"{needed.accounts:,}", f"cells: {_because(accounts(load))}"),
        Need(
            "log streams",
            f"{log_streams(load, needed.accounts)} an account",
            "fixed once it is provisioned",
        ),
        Need(
            "workers",
            f"{needed.accounts * needed.workers:,}",
            f"{needed.workers} an account, {costs.worker:.2f} ms of a core a ticket",
        ),
        *_stored(load, needed),
        *_retained(load.rate / needed.accounts),
    ]


def _because(reasons: dict[str, float]) -> str:
    return ", ".join(f"{reason} {digits(count)}" for reason, count in reasons.items())


def _rounded(reasons: dict[str, float]) -> int:
    return max(1, math.ceil(max(reasons.values())))


def _stored(load: Load, needed: Size) -> list[Need]:
    each = sum(stored.bytes for stored in STORED.values())
    wire = load.rate * (TRAFFIC.with_team(needed.workers) + each * (load.servers - 1)) * 8 / 1e6
    runs = (load.opened + load.kept) / needed.clusters
    return [
        Need("messages", f"{digits(load.rate * _messages())}/s", f"{_messages():g} a ticket"),
        Need("network", f"{digits(wire)} Mbit/s", "clients, and the other copies"),
        Need("open tickets", digits(load.opened), f"open for {load.open_minutes:g} minutes"),
        Need("ended runs", digits(load.kept), f"kept for {digits(load.keep_days * 24)} hours"),
        Need("memory", f"{digits(load.resident / 1e9)} GB", "for both, of each copy"),
        Need(
            "disk",
            f"{digits((load.opened + load.kept) * each / 1e9)} GB",
            "for both, of each copy, uncompressed",
        ),
        Need("start", _lasts(runs * SECONDS_RUN), "of a server that crashed"),
    ]


def _retained(rate: float) -> list[Need]:
    """When streams with a limit are full, at `rate` tickets a second in each account."""
    return [
        Need(
            f"{name} full",
            f"after {_lasts(limit / (rate * STORED[name].bytes))}",
            f"{limit >> 20} MiB, then {then}",
        )
        for name, (limit, then) in LIMITS.items()
    ]


def _lasts(seconds: float) -> str:
    for unit, size in (("days", _DAY), ("hours", 3_600), ("minutes", _MINUTE)):
        if seconds >= size:
            return f"{digits(seconds / size)} {unit}"
    return f"{digits(seconds)} s"


def digits(value: float) -> str:
    """Two digits that count, and no exponent."""
    if not value:
        return "0"
    rounded = float(f"{value:.1e}")
    return f"{rounded:,.{max(0, 1 - math.floor(math.log10(rounded)))}f}"


def compared(point: HeldOut) -> tuple[str, ...]:
    """What the model predicts for a point that it does not stand on, beside what was measured."""
    bound = predicted(Machine(point.servers, point.sync, point.workers, point.log_streams))
    cpu = CALIBRATED[point.servers, point.sync].with_team(point.workers).total
    return (
        point.name,
        f"{bound.tickets:.0f} and {point.tickets:.0f}",
        f"{point.tickets / bound.tickets:.2f}",
        f"{cpu:.2f} and {point.cpu:.2f}",
        f"{point.cpu / cpu:.2f}",
        bound.part,
    )


def main(words: Sequence[str] | None = None) -> None:
    """Read the command line, print a plan, or the check of the model."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capacity", description=__doc__)
    parser.add_argument("--tickets-per-minute", type=_positive, default=1_000.0, metavar="N")
    parser.add_argument("--servers", type=int, choices=[1, NODES], default=NODES)
    parser.add_argument("--sync", choices=[DEFAULT, ALWAYS], default=ALWAYS)
    parser.add_argument("--cores", type=_whole, default=8, help="of each server")
    parser.add_argument(
        "--open-minutes", type=_positive, default=60.0, help="a ticket waits for its person"
    )
    parser.add_argument("--keep-days", type=_positive, default=1.0, help="an ended run is kept")
    parser.add_argument("--memory", type=_positive, default=32.0, help="GB of each server")
    parser.add_argument(
        "--check", action="store_true", help="only compare the model with the points left out"
    )
    asked = parser.parse_args(words)
    if asked.check:
        _print(_check())
        return
    _print([("needed", "amount", "why"), *plan(_load(asked))])


def _load(asked: argparse.Namespace) -> Load:
    return Load(
        asked.tickets_per_minute,
        asked.servers,
        asked.sync,
        asked.cores,
        asked.memory,
        asked.open_minutes,
        asked.keep_days,
    )


def _check() -> list[tuple[str, ...]]:
    head = ("predicted and measured", "tickets/s", "", "CPU ms a ticket", "", "saturated")
    return [head, *map(compared, HELD_OUT)]


def _print(lines: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def _positive(text: str) -> float:
    value = float(text.replace(",", ""))
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0: give a number like 1000")
    return value


def _whole(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0: give a number like 8")
    return value


if __name__ == "__main__":
    main()
