"""Erases what the key of a person or run encrypts. The key goes first: that decides."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from ..actors.people.open_questions import BUCKET as QUESTIONS
from ..actors.people.open_questions import question_key
from ..actors.people.rungs import timer_of as rung_timer
from ..actors.people.tickets import Tickets
from ..bus.bucket import Bucket
from ..bus.errors import Conflict, Erased, Tampered
from ..bus.log import Log
from ..bus.reading import every, newest
from ..bus.requests import Requests
from ..bus.sealing import key_of
from ..bus.secret_store import SecretStore
from ..bus.timers import Timers
from ..bus.vault import Vault
from ..runtime.errors import InvalidSetup
from ..runtime.index import BUCKET, IndexRow
from ..runtime.index import key_of as row_key
from ..runtime.state import ERASED, UNENDED
from ..runtime.times import iso
from ..views.listing import row_in
from .run_keys import RunKeys

_KEEP = 7 * 86_400.0
"""Seconds that the closed questions of a ticket's other runs are still kept."""
_PROGRESS = 1_000


class Remains:
    """Removes what an erased run has left outside its log. Repeatable."""

    def __init__(self, requests: Requests, forget: Callable[[str], None] = lambda _: None) -> None:
        """`forget` drops a run from memory."""
        self._forget = forget
        self._requests = requests
        self._rows = Bucket(requests, BUCKET)
        self._questions = Bucket(requests, QUESTIONS)
        self._tickets = Tickets(Bucket(requests, "parked"), _KEEP)
        self._timers = Timers(requests)

    async def clear(self, run: str) -> None:
        """Mark a run as erased in lists, and withdraw its questions."""
        self._forget(run)
        names = self._requests.names
        stream, key = names.bucket_stream(BUCKET), names.keys(BUCKET, f"*.{run}")
        for message in await newest(self._requests, stream, [key]) if run else ():
            row = row_in(message)
            if row is not None:
                await self._clear(row, int(message.headers["Nats-Sequence"]))

    async def _clear(self, row: IndexRow, revision: int) -> None:
        for question in await self._tickets.erase(row.ticket, row.id):
            for role in question.roles:
                await self._questions.forget(question_key(role, row.ticket, question.id))
            await self._timers.disarm(question.id)
            if question.may_have_rungs:
                await self._timers.disarm(rung_timer(question.id, "*"))
        if row.status not in UNENDED and not row.sealed:
            return
        gone = msgspec.structs.replace(
            row,
            status=ERASED if row.status in UNENDED else row.status,
            updated_at=iso(time.time()),
            roles=(),
            sealed=b"",
        )
        with suppress(Conflict):  # written a moment ago: the next reader of the run clears it
            await self._rows.put(
                row_key(row.ticket, row.id), msgspec.json.encode(gone), revision=revision
            )


class Erasure:
    """Destroys keys."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._remains = Remains(requests)
        self._log = Log(requests)
        self._keys = RunKeys(requests, self._log)

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
        """Make a person's data unreadable; return how many open runs that ended.

        Args:
            record: The record of the person's key, from `SecretStore.person`.
            progress: Called now and then with how many runs were read.
        """
        await self.secrets.destroy(record)
        await self._keys.tell(self._vault, record)
        ended = looked = 0
        names = self._requests.names
        stream, rows = names.bucket_stream(BUCKET), names.keys(BUCKET, "*.*")
        async for message in every(self._requests, stream, rows):
            looked += 1
            if progress is not None and looked % _PROGRESS == 0:
                progress(looked)
            row = row_in(message)
            if row is not None and await self._is_of(row, record):
                await self._keys.tell(self._vault, row.id)
                await self._remains.clear(row.id)
                ended += row.status in UNENDED
        return ended

    async def run(self, run: str) -> bool:
        """Make a run unreadable; return whether it was readable before.

        Raises:
            InvalidSetup: it is not encrypted.
        """
        if await self._vault.key_name(run) is None:
            raise InvalidSetup(f"run {run} is not encrypted: `layby purge` removes it")
        with suppress(Erased):
            if not await self._log.original(run, 1):
                raise InvalidSetup(f"the log of run {run} begins with a foreign entry")
        destroyed = await self._keys.destroy([run])
        await self._keys.tell(self._vault, run)
        await self._remains.clear(run)
        return bool(destroyed)

    async def _is_of(self, row: IndexRow, record: str) -> bool:
        """Whether a row belongs to a person's run and still has to be cleared."""
        if row.sealed:
            with suppress(Tampered):
                return key_of(row.sealed).owner == record
            return False
        if row.status not in UNENDED:
            return False
        key = await self._vault.key_name(row.id)
        return key is not None and key.owner == record
