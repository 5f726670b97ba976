"""`python -m benchmarks.points`: the measured points that the capacity model stands on.

A point is the workload `ticket` on some servers with some workers: tickets a second, and the CPU
time that a ticket costs each part. The best of several rounds counts: disturbances only make one
slower.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence

import msgspec

from layby.bus import log, log_subject
from layby.bus.layout import streams
from layby.bus.opened import opened
from layby.bus.requests import Requests
from layby.bus.specs import Topology
from layby.bus.topology import Provisioner
from layby.runtime.ids import run_id

from .caller import Caller
from .cluster import NODES
from .desk import app
from .drive import each, throughput
from .measure import Cost
from .server import ALWAYS, DEFAULT, servers, setting
from .worker import workers

_ENTRIES = 20
_BODY = b"x" * 300
_AT_ONCE = 64


class Stored(msgspec.Struct, frozen=True):
    """What a ticket stores in one stream."""

    messages: float
    bytes: float
    """On the wire and, uncompressed, in the file: subject and headers are part of it."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One point, as it is printed."""

    servers: int
    workers: int
    log_streams: int
    sync: str
    tickets_a_second: float
    cpu: dict[str, float]
    """Milliseconds a ticket, of all processes of a kind."""
    stored: dict[str, Stored]
    appends_a_second: float
    """Log entries of 300 bytes that these servers store and nothing else, in the log streams."""


async def take(count: int, team: int, sync: str, runs: int, rounds: int) -> Point:
    """Measure one point, with as many log streams as the environment says."""
    log_streams = app.log_streams
    words = setting(sync, count)
    appends = await _appends(words, log_streams, runs * 2)
    async with (
        servers(words, app.topology()) as nats,
        workers(nats.url, nats.data, team) as processes,
        Caller.at(nats.url) as caller,
        opened(nats.settings) as (_, requests),
    ):
        await throughput(caller, 200, prefix="W")
        before = await _stored(requests, log_streams)
        found: list[tuple[float, dict[str, float]]] = []
        for number in range(rounds):
            groups = {"worker": [worker.pid for worker in processes]}
            cost = Cost({**groups, "server": nats.pids, "caller": [os.getpid()]})
            rates = await throughput(caller, runs, _AT_ONCE, f"R{number}x")
            figures = cost.figures("ticket", runs, sync=sync)
            cpu = {figure.name.rpartition(" ")[2]: figure.value for figure in figures}
            found.append((rates["overall"], cpu))
        after = await _stored(requests, log_streams)
    rate, cpu = max(found, key=lambda each: each[0])
    return Point(
        servers=count,
        workers=team,
        log_streams=log_streams,
        sync=sync,
        tickets_a_second=rate,
        cpu=cpu,
        stored=_difference(before, after, runs * rounds),
        appends_a_second=appends,
    )


async def _appends(words: str, count: int, appends: int) -> float:
    async with servers(words) as nats, opened(nats.settings) as (_, requests):
        logs = [spec for spec in streams([], [], count) if spec.name in log_subject.shares(count)]
        topology = Topology(streams=tuple(logs), consumers=())
        await Provisioner(requests, replicas=nats.copies).ensure(topology)
        entries = log.Log(requests, count)

        async def append(run: str) -> None:
            for n in range(1, _ENTRIES + 1):
                await entries.append(run, n, log_subject.NOBODY, _BODY)

        runs = [run_id("bench", str(number)) for number in range(max(64, appends // _ENTRIES))]
        began = time.perf_counter()
        await each(runs, append, _AT_ONCE)
        return len(runs) * _ENTRIES / (time.perf_counter() - began)


async def _stored(requests: Requests, count: int) -> dict[str, tuple[int, int]]:
    """Messages that each stream has ever stored, and the bytes that it holds now."""
    found: dict[str, tuple[int, int]] = {}
    for spec in streams(["x"], ["x"], count):
        state = (await requests.api(f"STREAM.INFO.{spec.name}"))["state"]
        found[spec.name] = (int(state["last_seq"]), int(state["bytes"]))
    return found


def _difference(
    before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]], runs: int
) -> dict[str, Stored]:
    """By stream, where a ticket stores anything."""
    return {
        name: Stored(
            round((stored - before[name][0]) / runs, 2), round((held - before[name][1]) / runs)
        )
        for name, (stored, held) in after.items()
        if stored > before[name][0]
    }


def main(words: Sequence[str] | None = None) -> None:
    """Read the command line, measure one point, print it as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.points", description=__doc__)
    parser.add_argument("--servers", type=int, choices=[1, NODES], default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--sync", choices=[DEFAULT, ALWAYS], default=DEFAULT)
    parser.add_argument("--runs", type=int, default=1_000, help="tickets of a round")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args(words)
    point = asyncio.run(take(asked.servers, asked.workers, asked.sync, asked.runs, asked.rounds))
    sys.stdout.write(msgspec.json.encode(point).decode() + "\n")


if __name__ == "__main__":
    main()
