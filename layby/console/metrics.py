"""The metrics of the streams as the console serves them: read when somebody asks."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, generate_latest

from ..bus.requests import Requests
from ..metrics.reading import StreamReader
from ..metrics.streams import Streams
from ..views.workers import Workers
from .cached_reading import CachedReading
from .catalogue.catalogue import Catalogue

MEDIA: Final = "text/plain"
_SECONDS: Final = 2.0
"""How long a reading is kept."""


class ConsoleMetrics:
    """Reads the streams at most once in two seconds, however many ask."""

    def __init__(self, requests: Requests, catalogue: Catalogue, workers: Workers) -> None:
        streams = Streams(StreamReader(requests, catalogue, workers))
        self._reading = CachedReading(streams.refresh, _SECONDS)
        self._registry = CollectorRegistry()
        self._registry.register(streams)

    async def text(self) -> bytes:
        """The metrics in the text format of Prometheus."""
        await self._reading.get()
        return generate_latest(self._registry)
