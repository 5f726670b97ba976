"""Removes ended runs when their retention is over, in the background of a worker."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping

import structlog

from ..bus.errors import BusError
from ..bus.requests import Requests
from ..operations.purging import Purge

log = structlog.get_logger("layby.retention")

_OFTEN = 1.0
_SELDOM = 300.0
"""Seconds between two passes, at least and at most."""
_SHARE = 10


class Retention:
    """Removes the ended runs of an app's workflows, each kept for its time.

    Every worker does so; the same run removed twice is removed once.
    """

    def __init__(self, requests: Requests, kept: Mapping[str, float]) -> None:
        self._requests = requests
        self._kept = kept
        """Seconds that ended runs are kept, by workflow."""
        self._pause = min(_SELDOM, max(_OFTEN, min(kept.values()) / _SHARE))

    async def run(self) -> None:
        """Remove expired runs again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))  # noqa: S311  spread out
            try:
                purged = await Purge(self._requests).expired(self._kept)
            except BusError as error:
                log.warning("retention.postponed", error=str(error))
            else:
                if purged.runs:
                    log.info("runs.removed", runs=purged.runs, messages=purged.messages)
