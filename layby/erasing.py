"""Erases what a person's, or a run's, key has sealed: the key goes first, and decides."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from .actors.open_questions import BUCKET as QUESTIONS
from .actors.open_questions import question_key
from .actors.parked import Parking
from .bus.bucket import Bucket
from .bus.errors import Conflict, Tampered
from .bus.reading import every, newest
from .bus.requests import Requests
from .bus.sealing import key_of
from .bus.secret_store import SecretStore
from .bus.timers import Timers
from .bus.vault import Vault
from .listing import row_in
from .runtime.errors import InvalidSetup
from .runtime.index import BUCKET, IndexRow
from .runtime.index import key_of as row_key
from .runtime.state import ERASED, UNENDED
from .runtime.times import iso
from .runtime.worker import CANCEL

_KEEP = 7 * 86_400.0
"""Seconds that the closed questions of a ticket's other runs are remembered further."""
_PROGRESS = 1_000


class Remains:
    """Clears away what a run that was erased has left outside its log. Repeatable."""

    def __init__(self, requests: Requests, forget: Callable[[str], None] = lambda _: None) -> None:
        """`forget` lets go of what is in memory of a run."""
        self._forget = forget
        self._requests = requests
        self._rows = Bucket(requests, BUCKET)
        self._questions = Bucket(requests, QUESTIONS)
        self._parking = Parking(Bucket(requests, "parked"), _KEEP)
        self._timers = Timers(requests)

    async def clear(self, run: str) -> None:
        """Have lists say that a run is erased, and nobody be asked for it any more."""
        self._forget(run)
        names = self._requests.names
        stream, key = names.bucket_stream(BUCKET), names.keys(BUCKET, f"*.{run}")
        for message in await newest(self._requests, stream, [key]) if run else ():
            row = row_in(message)
            if row is not None:
                await self._clear(row, int(message.headers["Nats-Sequence"]))

    async def _clear(self, row: IndexRow, revision: int) -> None:
        for question in await self._parking.erase(row.ticket, row.id):
            await self._questions.forget(question_key(question.role, row.ticket, question.id))
            await self._timers.disarm(question.id)
        if row.status not in UNENDED and not row.sealed:
            return
        gone = msgspec.structs.replace(
            row,
            status=ERASED if row.status in UNENDED else row.status,
            updated_at=iso(time.time()),
            roles=(),
            sealed=b"",
        )
        with suppress(Conflict):  # written a moment ago: whoever meets the run next clears it
            await self._rows.put(
                row_key(row.ticket, row.id), msgspec.json.encode(gone), revision=revision
            )


class Erasure:
    """Destroys keys."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._remains = Remains(requests)

    @property
    def _vault(self) -> Vault:
        vault = self._requests.vault
        if not isinstance(vault, Vault):
            raise InvalidSetup("the app is not encrypted, so there is no key to destroy")
        return vault

    @property
    def secrets(self) -> SecretStore:
        """Where the keys are. Raises InvalidSetup."""
        return self._vault.secrets

    async def person(self, record: str, progress: Callable[[int], None] | None = None) -> int:
        """Make unreadable what was sealed for a person; how many open runs were ended by that.

        Args:
            record: The record of the person's key: `SecretStore.person` tells it.
            progress: Is told now and then how many runs were looked at.
        """
        await self.secrets.destroy(record)
        await self._tell(record)
        ended = looked = 0
        names = self._requests.names
        stream, rows = names.bucket_stream(BUCKET), names.keys(BUCKET, "*.*")
        async for message in every(self._requests, stream, rows):
            looked += 1
            if progress is not None and looked % _PROGRESS == 0:
                progress(looked)
            row = row_in(message)
            if row is not None and await self._is_of(row, record):
                await self._tell(row.id)
                await self._remains.clear(row.id)
                ended += row.status in UNENDED
        return ended

    async def run(self, run: str) -> bool:
        """Make a run unreadable; whether it was readable before.

        Raises:
            InvalidSetup: it is not encrypted.
        """
        key = await self._vault.key_name(run)
        if key is None:
            raise InvalidSetup(f"run {run} is not encrypted: `layby purge` removes it")
        destroyed = await self.secrets.destroy(key.record, key.slot)
        await self._tell(key.record)
        await self._tell(run)
        await self._remains.clear(run)
        return destroyed

    async def _is_of(self, row: IndexRow, record: str) -> bool:
        """Whether a row that is still to be cleared is of a person's run."""
        if row.sealed:
            with suppress(Tampered):
                return key_of(row.sealed).owner == record
            return False
        if row.status not in UNENDED:
            return False
        key = await self._vault.key_name(row.id)
        return key is not None and key.owner == record

    async def _tell(self, name: str) -> None:
        """Have workers forget a key."""
        self._vault.forget(name)
        await self._requests.tell(self._requests.names.subject(f"{CANCEL}.{name}"))
