"""Shows Prometheus what the streams of an app say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Final

import structlog
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from ..bus.errors import LaybyError
from . import families
from .monitor import gauge
from .reading import Reading, StreamReader

log = structlog.get_logger("layby.exporter")

_EVERY: Final = 15.0
"""Seconds between two readings that nobody asks for: a probe wants to know."""
_WITHIN: Final = 20.0
_OLD: Final = 30.0
"""Seconds after which a reading no longer counts: old numbers would look as if all were calm."""


class Streams(Collector):
    """The newest reading, as metrics."""

    def __init__(self, reader: StreamReader) -> None:
        self._reader = reader
        self._reading: Reading | None = None
        self.trouble = "the streams have not been read yet"
        """Why the last reading failed; empty if it did not."""

    async def keep(self) -> None:
        """Read until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(_EVERY)

    async def refresh(self) -> str:
        """Read now; return why that failed, empty if it did not."""
        try:
            async with asyncio.timeout(_WITHIN):
                self._reading = await self._reader.read()
        except TimeoutError:
            self._note("NATS takes long to answer")
        except LaybyError as error:
            self._note(str(error))
        else:
            self._note("")
        return self.trouble

    def _note(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            log.warning("exporter.not_read", error=trouble)
        self.trouble = trouble

    def collect(self) -> Iterable[Metric]:
        """Show it."""
        reading = self._reading
        fresh = reading is not None and time.time() - reading.at < _OLD
        up = gauge(families.STREAMS_UP)
        up.add_metric([], float(fresh and not self.trouble))
        yield up
        if reading is None:
            return
        read_at = gauge(families.READ_AT)
        read_at.add_metric([], reading.at)
        yield read_at
        if fresh:
            yield from _people_and_runs(reading)
            yield from _mailboxes(reading)
            yield from _sizes(reading)
            yield from _workers(reading)


def _people_and_runs(reading: Reading) -> Iterable[Metric]:
    runs = gauge(families.RUNS)
    for labels, count in sorted(reading.runs.items()):
        runs.add_metric(labels, count)
    open_, oldest = gauge(families.QUESTION_OPEN), gauge(families.QUESTION_OLDEST)
    for role, (count, since) in sorted(reading.questions.items()):
        open_.add_metric([role], count)
        if count:
            oldest.add_metric([role], since)
    unresumed, dead = gauge(families.NOT_RESUMED), gauge(families.DEAD_LETTERS)
    unresumed.add_metric([], reading.unresumed)
    dead.add_metric([], reading.dead)
    return runs, open_, oldest, unresumed, dead


def _mailboxes(reading: Reading) -> Iterable[Metric]:
    pending, in_flight = gauge(families.PENDING), gauge(families.IN_FLIGHT)
    redelivered = gauge(families.REDELIVERED)
    for box in reading.mailboxes:
        labels = [box.stream, box.name]
        pending.add_metric(labels, box.lag)
        in_flight.add_metric(labels, box.in_flight)
        redelivered.add_metric(labels, box.redelivered)
    return pending, in_flight, redelivered


def _sizes(reading: Reading) -> Iterable[Metric]:
    messages, size = gauge(families.STREAM_MESSAGES), gauge(families.STREAM_BYTES)
    limits, used = gauge(families.LIMIT), gauge(families.LIMIT_USED)
    for stream in reading.streams:
        messages.add_metric([stream.name], stream.messages)
        size.add_metric([stream.name], stream.size)
        if stream.limit:
            limits.add_metric(["stream", stream.name], stream.limit)
            used.add_metric(["stream", stream.name], stream.size)
    return messages, size, limits, used


def _workers(reading: Reading) -> Iterable[Metric]:
    workers, releases = gauge(families.WORKERS), gauge(families.RELEASES)
    workers.add_metric(["running"], reading.running)
    workers.add_metric(["lost"], reading.lost)
    for app, count in sorted(reading.releases.items()):
        releases.add_metric([app], count)
    return workers, releases
