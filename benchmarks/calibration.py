"""The measured constants of the capacity model, each printed by `python -m benchmarks.points`.

Taken 2026-11-30 on two cores that other programs used too, with real-time priority (`chrt -r 5`),
nats-server, worker and caller on the same machine, 64 tickets in flight: the best of three rounds.
Measure them again on your machines before you rely on a plan.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from .points import Stored
from .server import ALWAYS, DEFAULT

BENCH_CORES: Final = 2
"""Of the machine."""


class Costs(NamedTuple):
    """One worker on one machine: what a ticket costs each part, in milliseconds of a core."""

    worker: float
    server: float
    """All servers together."""
    caller: float
    """Who opens and answers. Not part of a production setup."""
    appends: float
    """Messages of 300 bytes a second that one stream stores while nothing else happens."""
    tickets: float
    """A second, measured: what the model must be scaled to."""

    @property
    def total(self) -> float:
        """All parts together."""
        return self.worker + self.server + self.caller

    def with_team(self, workers: int) -> Costs:
        """What it costs with so many workers, any of which takes the next message of a run.

        A worker that does not have the run in memory reads its log first.
        """
        return self._replace(
            worker=self.worker + HANDED_OVER.worker * others(workers),
            server=self.server + HANDED_OVER.server * others(workers),
        )


class HandedOver(NamedTuple):
    """What a ticket costs more if each of its messages goes to another worker than the last."""

    worker: float
    server: float


class Traffic(NamedTuple):
    """Bytes between the server and its clients for a ticket, both directions."""

    alone: float
    """With one worker."""
    handed_over: float
    """More, if each message goes to another worker than the last."""

    def with_team(self, workers: int) -> float:
        """With so many workers."""
        return self.alone + self.handed_over * others(workers)


def others(workers: int) -> float:
    """The share of a run's messages that go to another worker than the one before."""
    return 1 - 1 / workers


class HeldOut(NamedTuple):
    """A point that no constant stands on."""

    name: str
    servers: int
    sync: str
    workers: int
    log_streams: int
    tickets: float
    """A second, measured."""
    cpu: float
    """Milliseconds of a core a ticket, measured: all parts together."""


CALIBRATED: Final[dict[tuple[int, str], Costs]] = {
    (1, DEFAULT): Costs(1.26, 0.41, 0.13, 34_726, 772),
    (1, ALWAYS): Costs(1.79, 3.23, 0.16, 3_525, 238),
    (3, DEFAULT): Costs(1.22, 1.18, 0.14, 20_919, 693),
    (3, ALWAYS): Costs(1.78, 3.13, 0.20, 9_652, 325),
}
"""By servers and sync."""
HANDED_OVER: Final = HandedOver(1.94, 0.58)
"""From two workers on one server at default sync: 605 tickets a second, 2.23 and 0.70 ms each."""
TRAFFIC: Final = Traffic(11_400, 18_600)
"""From the server's monitoring (`/varz`), with one and with four workers."""
STORED: Final[dict[str, Stored]] = {
    "EVENTS": Stored(1, 68),
    "RUNS": Stored(4, 2_810),
    "QUESTIONS": Stored(2, 911),
    "ANSWERS": Stored(1, 60),
    "TIMERS": Stored(1, 304),
    "KV_parked": Stored(2, 575),
    "KV_runs": Stored(2, 335),
    "KV_questions": Stored(2, 124),
}
"""What a ticket stores. Buckets keep the latest of each key, so their bytes are what is left."""
HELD_OUT: Final = [
    HeldOut("1 server, default, 4 workers", 1, DEFAULT, 4, 1, 455, 4.06),
    HeldOut("3 servers, default, 2 workers", 3, DEFAULT, 2, 1, 389, 4.88),
    HeldOut("3 servers, always, 2 workers", 3, ALWAYS, 2, 1, 232, 8.03),
    HeldOut("1 server, always, 2 workers", 1, ALWAYS, 2, 1, 205, 7.49),
    HeldOut("1 server, always, 4 log streams", 1, ALWAYS, 1, 4, 205, 6.99),
]
"""Predicted before they were measured."""
