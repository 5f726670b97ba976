"""The metrics and probes of one worker process."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Final, Protocol

import structlog
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..bus.connection import Connection
from ..runtime import clock
from ..runtime.worker import Worker
from . import families
from .families import Family
from .probe import Check, Probe
from .server import serving
from .work import Declared, WorkMetrics, histogram

log = structlog.get_logger("layby.worker")

_PING_EVERY: Final = 5.0
_PING_WITHIN: Final = 5


class Hearing(Protocol):
    """A channel on which a process listens."""

    @property
    def name(self) -> str:
        """The channel's name."""
        ...

    @property
    def heard(self) -> bool:
        """Whether people are heard on it now. Asked in any thread."""
        ...


class Monitor:
    """Measures one worker, and serves what it has measured."""

    def __init__(self, declared: Declared, *, app: str = "", release: str = "") -> None:
        self.probe: Final = Probe()
        self.registry: Final = new_registry()
        self.work: Final = WorkMetrics(self.registry, declared)
        """Counts the worker's work."""
        self._lag = histogram(self.registry, families.LOOP_LAG)
        self._trip = histogram(self.registry, families.ROUND_TRIP)
        self._about = app, release, _version()

    @contextlib.asynccontextmanager
    async def serving(self, host: str, port: int) -> AsyncGenerator[int]:
        """Serves metrics and probes while the block is open; yields the port.

        Raises:
            MetricsPortTaken: the port cannot be used.
        """
        ticking = asyncio.create_task(self.probe.keep(self._lag.observe), name="probe")
        try:
            with serving(host, port, self.registry, self.probe) as server:
                log.info("metrics.served", host=host, port=server.port)
                yield server.port
        finally:
            ticking.cancel()

    def watch(
        self, connection: Connection, worker: Worker | None, heard: Sequence[Hearing] = ()
    ) -> None:
        """From now on, be ready when this worker is, and show how it is.

        Without a worker, as in a process that only listens, be ready while there is a connection,
        and show that.
        """
        connected: Check = lambda: (  # noqa: E731
            "" if connection.nc.is_connected else "it is not connected to NATS"
        )
        self.probe.checks[:] = [connected]
        self.registry.register(_State(connection, self._about, worker, heard))
        if worker is None:
            return
        self.probe.checks += [lambda: _unbound(worker), clock.trouble]
        self.work.add_mailboxes(worker.load)
        worker.background["round trips"] = lambda: self._ping(connection)

    async def _ping(self, connection: Connection) -> None:
        """Measure round trips until cancelled."""
        while True:
            began = time.perf_counter()
            with contextlib.suppress(Exception):  # there is no connection now
                await connection.nc.flush(_PING_WITHIN)
                self._trip.observe(time.perf_counter() - began)
            await asyncio.sleep(_PING_EVERY)


def new_registry() -> CollectorRegistry:
    """A registry with what is known of every process: its CPU time and memory for instance."""
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def _version() -> str:
    try:
        return version("layby")
    except PackageNotFoundError:
        return ""


def _unbound(worker: Worker) -> str:
    if worker.draining:
        return "it is draining"
    unbound = worker.unbound
    if len(unbound) > 1:
        return f"the mailbox {unbound[0]} and {len(unbound) - 1} more do not answer"
    return f"the mailbox {unbound[0]} does not answer" if unbound else ""


class _State(Collector):
    """What is read when Prometheus asks."""

    def __init__(
        self,
        connection: Connection,
        about: tuple[str, str, str],
        worker: Worker | None,
        heard: Sequence[Hearing],
    ) -> None:
        self._connection = connection
        self._about = about
        self._worker = worker
        self._heard = heard

    def collect(self) -> Iterable[Metric]:
        """Read it."""
        limits, used = gauge(families.LIMIT), gauge(families.LIMIT_USED)
        load = {} if self._worker is None else self._worker.load
        for name, (busy, most) in load.items():
            limits.add_metric(["mailbox", name], most)
            used.add_metric(["mailbox", name], busy)
        connected = gauge(families.CONNECTED)
        connected.add_metric([], float(self._connection.nc.is_connected))
        behind = gauge(families.CLOCK_BEHIND)
        behind.add_metric([], clock.behind())
        heard = gauge(families.CHANNEL_HEARD)
        for each in self._heard:
            heard.add_metric([each.name], float(each.heard))
        info = gauge(families.WORKER_INFO)
        info.add_metric(self._about, 1)
        return [limits, used, connected, behind, heard, info]


def gauge(family: Family) -> GaugeMetricFamily:
    """A gauge of the table, to be filled."""
    return GaugeMetricFamily(family.name, family.help, labels=family.labels)
