"""A process that shows Prometheus what the streams of an app say, whatever its workers do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine, Iterable
from typing import Any, Final

import structlog
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from .bus.keyring import KeyService
from .bus.opened import opened
from .bus.settings import ConnectionSettings
from .console.cached_reading import CachedReading
from .console.catalogue.catalogue import Catalogue
from .metrics.monitor import new_registry
from .metrics.probe import Probe
from .metrics.reading import StreamReader
from .metrics.server import serving
from .metrics.streams import Streams
from .runtime import clock
from .views.workers import Workers

log = structlog.get_logger("layby.worker")

_SECONDS: Final = 1.0
"""How long a reading is kept, however often somebody asks."""
_WITHIN: Final = 8.0
"""Seconds that a scrape waits for a reading; Prometheus gives up after ten."""


class _ReadOnScrape(Collector):
    """Has the streams read when Prometheus asks, which it does in a thread of its own."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._reading = CachedReading(streams.refresh, _SECONDS)
        self._loop = asyncio.get_running_loop()

    def collect(self) -> Iterable[Metric]:
        """Read, if that is not too long; show what was read last."""
        with contextlib.suppress(Exception):  # the loop may be closing; old numbers are not shown
            asyncio.run_coroutine_threadsafe(self._reading.get(), self._loop).result(_WITHIN)
        return self._streams.collect()


@contextlib.asynccontextmanager
async def exporting(
    settings: ConnectionSettings,
    host: str,
    port: int,
    *,
    prefix: str = "",
    keyring: KeyService | None = None,
) -> AsyncGenerator[int]:
    """Metrics of the streams, served while the block is open; yields the port.

    Args:
        settings: Where and how to connect.
        host: The address to listen on.
        port: The port to listen on; 0: a free one.
        prefix: The prefix of the app.
        keyring: Decrypts logs, to find the answers in them; None: encrypted ones are left out.

    Raises:
        MetricsPortTaken: the port cannot be used.
        ServerUnavailable: no NATS server answers.
    """
    registry, probe = new_registry(), Probe()
    async with _kept(probe.keep(lambda _: None)):
        with serving(host, port, registry, probe) as server:
            log.info("metrics.served", host=host, port=server.port)
            async with (
                opened(settings, prefix=prefix, patient=True, keyring=keyring) as bus,
                Catalogue.opened(bus.connection, bus.requests, history=False) as catalogue,
                Workers.listening(bus.connection, bus.requests.names) as workers,
            ):
                await clock.sync(bus.requests)
                streams = Streams(StreamReader(bus.requests, catalogue, workers))
                registry.register(_ReadOnScrape(streams))
                probe.checks[:] = [
                    lambda: "" if bus.connection.nc.is_connected else "it is not connected to NATS",
                    lambda: "" if catalogue.progress.live else "it has not read all lists yet",
                    lambda: streams.trouble,
                ]
                async with _kept(streams.keep()), _kept(clock.keep_in_sync(bus.requests)):
                    yield server.port


@contextlib.asynccontextmanager
async def _kept(work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Runs in the background while the block is open."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
