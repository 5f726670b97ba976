"""Finds the data keys: one for each run, and one for each thread.

A run's key is derived from a secret of its own and, if its workflow names the person whose data it
handles, from a secret of that person too: destroying either makes the run unreadable. Sealed data
names the records of its secrets, so there is no list of runs and keys. A run's key is the one that
its first entry is sealed with.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from .bounded import Bounded
from .errors import Erased, KeyMissing, SecretMissing, Tampered
from .sealing import Cipher, KeyName, is_sealed, key_of
from .secret_store import BLOCK, PERSON, THREAD, Secrets, SecretStore

_PREPARED = BLOCK // 2
"""Secrets of a block that have been used when the next block is made."""
_RUNS = 20_000
"""Runs whose keys a worker remembers."""


class _Known(NamedTuple):
    """What is known about a run's key."""

    cipher: Cipher | None
    """None: the run began unencrypted."""
    until: float
    from_log: bool
    """Whether it is from the log; if it was chosen here, another worker may have begun the run."""


First = Callable[[str], Awaitable[bytes | None]]
"""Position 1 of a run's log as stored, read from the stream's leader; None when there is none."""


class Vault:
    """Finds and caches the data keys of one app."""

    def __init__(self, secrets: SecretStore, first: First) -> None:
        self.secrets = secrets
        self._first = first
        self._runs: Bounded[str, _Known] = Bounded(_RUNS)
        self._block = ""
        self._next = BLOCK
        """The first unused secret of the block."""
        self._coming: asyncio.Task[str] | None = None
        """The next block, made before this one is used up, so that nobody waits for it."""

    async def check(self) -> None:
        """Check that the keyring holds the keys that the app needs. Raises KeyMissing."""
        await self.secrets.check()

    async def begin(self, run: str, person: str = "", parent: str = "") -> None:
        """Choose the key of a run that probably begins now.

        If it has begun before, its first entry says which key it has, once that is read.

        Args:
            run: The run.
            person: The person whose data it handles; empty if none is named.
            parent: The run that starts it, whose person it inherits if none is named.
        """
        known = self._known(run)
        if known is not None and not await self._is_gone(known.cipher):
            return
        await self._choose(run, person, parent)

    async def _choose(self, run: str, person: str = "", parent: str = "") -> _Known:
        block, at = await self._slot()
        owner = await self.secrets.person(person) if person else ""
        if parent and not owner:
            of_parent = await self.of_run(parent)
            owner = of_parent.key.owner if of_parent is not None else ""
        generation = (await self.secrets.named(owner)).generation if owner else 0
        key = KeyName(block, at, owner, generation)
        return self._remember(run, *await self._of_run(key, run), from_log=False)

    async def _is_gone(self, cipher: Cipher | None) -> bool:
        """Whether a run's key was destroyed: then the run was purged, and may begin again."""
        if cipher is None:
            return False
        self.secrets.forget(cipher.key.record)
        try:
            own = await self.secrets.get(cipher.key.record)
            _secret(own, cipher.key.slot, own.generation, cipher.key.record)
        except Erased:
            return True
        return False

    async def sealed(self, run: str, n: int, data: bytes, place: str) -> bytes:
        """Position `n` of a run's log as it is stored on the subject `place`.

        The first position is sealed with the key that was chosen for the run: if it is stored, that
        is the run's, and `began` is to be called.
        """
        cipher = (await self._chosen(run)).cipher if n == 1 else await self.of_run(run)
        return data if cipher is None else cipher.seal(data, place)

    def began(self, run: str, first: bytes) -> None:
        """Note that the first entry of a run was stored here, as `first`."""
        known = self._known(run)
        if known is not None and known.cipher is not None and known.cipher.is_key_of(first):
            self._remember(run, known.cipher, known.until, from_log=True)

    async def of_run(self, run: str) -> Cipher | None:
        """The cipher for the data of a run; None: the run began unencrypted, and stays so.

        A key that was chosen here is used only if the log has no first entry. Otherwise the key of
        that entry is the run's: another worker may have begun it.

        Raises:
            Erased: its key was destroyed.
            KeyMissing: the keyring does not hold the key that wraps it.
        """
        return (await self._first_key(run) or await self._chosen(run)).cipher

    async def _chosen(self, run: str) -> _Known:
        """The key that was chosen for a run, or is now."""
        return self._known(run) or await self._choose(run)

    def cached(self, run: str) -> Cipher | None:
        """The cipher of a run whose key in its log is known already; otherwise None."""
        known = self._known(run)
        return known.cipher if known is not None and known.from_log else None

    def sealed_now(self, run: str, data: bytes, place: str) -> bytes | None:
        """What is sent but never stored, sealed if its run is; None: that is not known here.

        A key that has since been destroyed may seal it: what is sent may have been read anyway.
        """
        known = self._runs.peek(run)
        if known is None or not known.from_log:
            return None
        return data if known.cipher is None else known.cipher.seal(data, place)

    async def opened(self, run: str, sealed: bytes, place: str) -> bytes:
        """Decrypt data of a run, sealed for `place`. Raises Erased, KeyMissing, Tampered."""
        known = self._known(run)
        if known is not None and known.cipher is not None and known.cipher.is_key_of(sealed):
            return known.cipher.open(sealed, place)
        cipher, _ = await self._of_run(key_of(sealed), run)
        return cipher.open(sealed, place)

    async def entry(self, run: str, n: int, data: bytes, place: str) -> bytes:
        """Decrypt position `n` of a run's log.

        Raises:
            Erased: the run's key was destroyed.
            KeyMissing: the keyring does not hold the key that wraps it.
            Tampered: it was changed or moved, or is plain text in an encrypted run.
        """
        known = self._known(run)
        if known is not None and known.cipher is not None and known.cipher.is_key_of(data):
            opened = known.cipher.open(data, place)
            if not known.from_log:
                self._remember(run, known.cipher, known.until, from_log=True)
            return opened
        if is_sealed(data) and (known is None or not known.from_log):
            return await self._open_with_named_key(run, n, data, place)
        own = await self._first_key(run)
        if (own is None or own.cipher is None) and not is_sealed(data):
            return data
        raise Tampered(f"position {n} of run {run} is not sealed as its first entry is")

    async def _open_with_named_key(self, run: str, n: int, data: bytes, place: str) -> bytes:
        """Decrypt position `n` with the key that it names itself: if it opens, it is the run's."""
        key = key_of(data)
        try:
            cipher, until = await self._of_run(key, run)
        except (Erased, KeyMissing):
            own = await self._first_key(run)
            if own is None or own.cipher is None or own.cipher.key != key:
                raise Tampered(f"position {n} of run {run} is not sealed with its key") from None
            raise
        opened = cipher.open(data, place)
        self._remember(run, cipher, until, from_log=True)
        return opened

    async def _first_key(self, run: str) -> _Known | None:
        """The key of the first entry of a log; None: there is no log.

        A later message at that position is ignored: believing it would let anybody who may store
        there write the run's entries without a key.
        """
        known = self._known(run)
        if known is not None and known.from_log:
            return known
        first = await self._first(run)
        if first is None:
            return None
        found = await self._of_run(key_of(first), run) if is_sealed(first) else (None, math.inf)
        return self._remember(run, *found, from_log=True)

    async def of_thread(self, thread: str, run: str) -> Cipher:
        """The cipher for what `run` adds to a thread, from the thread's secret and the person's."""
        of_run = await self.of_run(run) if run else None
        record = await self.secrets.thread(thread)
        found = await self.secrets.named(record)
        key = KeyName(record, found.generation)
        if of_run is not None and of_run.key.owner:
            of_person = of_run.key.owner, of_run.key.generation
            key = KeyName(record, found.generation, *of_person)
        return (await self._cipher(key, f"thread {thread}"))[0]

    async def erase_thread(self, thread: str) -> None:
        """Destroy the key of a thread: what it sealed is lost, in every copy and backup."""
        await self.secrets.destroy(await self.secrets.thread(thread))

    async def thread_entry(self, thread: str, sealed: bytes, place: str) -> bytes:
        """Decrypt an entry of a thread, sealed for `place`. Raises Erased, KeyMissing, Tampered."""
        key = key_of(sealed)
        try:
            cipher, _ = await self._cipher(key, f"thread {thread}")
        except SecretMissing:
            if await self._cannot_exist(key, await self.secrets.thread(thread)):
                raise Tampered(f"{place} is not sealed with a key of its thread") from None
            raise
        return cipher.open(sealed, place)

    async def _cannot_exist(self, key: KeyName, record: str) -> bool:
        """Whether a key can never have been one of `record`, as far as that is stored."""
        if key.record != record:
            return True
        newest = await self.secrets.generation(record)
        if not newest or key.slot > newest:
            return bool(newest)
        return bool(key.owner) and key.generation > await self.secrets.generation(key.owner)

    def forget(self, name: str) -> None:
        """Note that a run's key, or a secret that it is derived from, may have been destroyed."""
        self.secrets.forget(name)
        self._runs.pop(name)
        if name.startswith(PERSON):
            self._runs = Bounded(_RUNS)

    async def _slot(self) -> tuple[str, int]:
        """A secret that is not used by a run."""
        while self._next >= BLOCK:
            coming = self._ask_for_block()
            await asyncio.wait([coming])
            mine = self._coming is coming  # only the first to see it starts on it
            if mine:
                self._coming = None
            block = coming.result()
            if mine:
                self._block, self._next = block, 0
        slot = self._block, self._next
        self._next += 1
        if self._next == _PREPARED:
            self._ask_for_block()
        return slot

    def _ask_for_block(self) -> asyncio.Task[str]:
        """The task that makes the next block: the one under way, unless it has failed."""
        coming = self._coming
        if coming is None or (coming.done() and (coming.cancelled() or coming.exception())):
            coming = asyncio.create_task(self.secrets.new_block(), name="vault.block")
            coming.add_done_callback(_retrieve_error)
            self._coming = coming
        return coming

    async def key_name(self, run: str) -> KeyName | None:
        """The name of a run's key; None: there is no such run, or it is not encrypted."""
        first = await self._first(run)
        return key_of(first) if first is not None and is_sealed(first) else None

    async def _of_run(self, key: KeyName, run: str) -> tuple[Cipher, float]:
        try:
            return await self._cipher(key, f"run {run}")
        except Erased as error:
            error.run = run
            raise

    async def _cipher(self, key: KeyName, purpose: str) -> tuple[Cipher, float]:
        """The data key of a name, and until when it may be cached."""
        of_thread = key.record.startswith(THREAD)
        own = await self._current(key.record, key.slot if of_thread else 0)
        if of_thread:
            secret = _secret(own, 0, key.slot, key.record)
        else:
            secret = _secret(own, key.slot, own.generation, key.record)
        until = own.until
        if key.owner:
            owner = await self._current(key.owner, key.generation)
            secret += _secret(owner, 0, key.generation, key.owner)
            until = min(until, owner.until)
        return Cipher(key, secret, purpose), until

    async def _current(self, name: str, generation: int) -> Secrets:
        """The secrets of a record, read again if the cached ones are too old."""
        found = await self.secrets.get(name)
        if found.generation < generation:
            self.secrets.forget(name)
            found = await self.secrets.get(name)
        return found

    def _known(self, run: str) -> _Known | None:
        known = self._runs.peek(run)
        return known if known is not None and known.until > time.monotonic() else None

    def _remember(self, run: str, cipher: Cipher | None, until: float, *, from_log: bool) -> _Known:
        known = _Known(cipher, until, from_log)
        self._runs.put(run, known, 1)
        return known


def _retrieve_error(coming: asyncio.Task[str]) -> None:
    """Retrieve the error, or asyncio logs it if nobody waits for the task."""
    if not coming.cancelled():
        coming.exception()


def _secret(found: Secrets, slot: int, generation: int, name: str) -> bytes:
    if generation > found.generation or slot >= len(found.each):
        raise SecretMissing(f"the record {name} does not hold the secret that this was sealed with")
    secret = found.each[slot] if generation == found.generation else None
    if secret is None:
        raise Erased(f"a key in {name} was destroyed: its data can no longer be read")
    return secret
