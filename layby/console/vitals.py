"""What the page Health knows: read while somebody looks, and never otherwise."""

from __future__ import annotations

import asyncio
import time
from typing import Final, NamedTuple

from ..bus.errors import LaybyError
from ..bus.requests import Requests
from ..client import Client
from ..health import fleet
from ..health.traffic import StreamRow, Traffic, traffic
from ..runtime.times import iso
from ..views.apps import BUCKET, AppRow
from ..views.rows import DeadRow, Finding
from ..views.workers import Workers
from .cached_reading import CachedReading

_SECONDS: Final = 5.0
"""How long a reading is kept."""
_PATIENCE: Final = 2.0
"""Seconds after which a page is shown without a reading."""
LETTERS: Final = 50
"""Dead letters on the page, at most."""


class Examination(NamedTuple):
    """What the doctor found, and when."""

    at: str
    findings: list[Finding]


class Letters(NamedTuple):
    """The newest dead letters, and how many there are in all."""

    rows: list[DeadRow]
    total: int


async def examined(client: Client, workers: Workers) -> list[Finding]:
    """What the doctor finds; the console has heard the workers already."""
    findings = await client.doctor(listen=0)
    rows = workers.rows()
    return [*findings, *(fleet.side_by_side(rows) if rows else [])]


class Vitals:
    """The state of the streams, mailboxes and dead letters of one app."""

    def __init__(self, requests: Requests, client: Client, workers: Workers) -> None:
        self._requests = requests
        self._client = client
        self._workers = workers
        self._dead = requests.names.stream("DEAD")
        self._letters = Letters([], 0)
        self._letters_of: StreamRow | None = None
        self._declared = requests.names.bucket_stream(BUCKET)
        self._declared_of: StreamRow | None = None
        self.apps: list[AppRow] = []
        """What apps declare, as of the last reading of `traffic`."""
        self.examination = CachedReading(self._examine, _SECONDS)
        self.traffic = CachedReading(self._traffic, _SECONDS)
        self.trouble = ""
        """Why the last reading failed; empty if it did not."""

    async def look(self) -> None:
        """Read streams and mailboxes, unless that was done a moment ago."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self.traffic.get()
        except TimeoutError:
            self.trouble = "NATS takes long to answer."
        except LaybyError as error:
            self.trouble = str(error)
        else:
            self.trouble = ""

    async def examined(self) -> None:
        """Have the doctor look, unless that was a moment ago; it goes on if it takes long."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self.examination.get()
        except (TimeoutError, LaybyError):
            return

    @property
    def letters(self) -> Letters:
        """The dead letters, as of the last reading of `traffic`."""
        return self._letters

    async def _examine(self) -> Examination:
        at = iso(time.time())
        return Examination(at, await examined(self._client, self._workers))

    async def _traffic(self) -> Traffic:
        found = await traffic(self._requests)
        dead = found.stream(self._dead)
        if dead != self._letters_of:
            rows = await self._client.dead(LETTERS) if dead is not None else []
            self._letters = Letters(rows, dead.messages if dead is not None else 0)
            self._letters_of = dead
        declared = found.stream(self._declared)
        if declared != self._declared_of:
            self.apps = await self._client.apps()
            self._declared_of = declared
        return found
