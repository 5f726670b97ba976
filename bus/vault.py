"""Which data key seals what: one for each run, and one for each thread.

A run's key is made from a secret of its own and, where its workflow names whose data it handles,
from a secret of that person too: destroying either makes the run unreadable. What is sealed names
the records that it takes, so nobody keeps a list of runs and keys. A run's key is the one that its
first entry is sealed with.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from .bounded import Bounded
from .errors import Erased, KeyMissing, Tampered
from .sealing import Cipher, KeyName, is_sealed, key_of
from .secret_store import BLOCK, PERSON, THREAD, Secrets, SecretStore

_RUNS = 20_000
"""Runs whose keys a worker remembers."""


class _Known(NamedTuple):
    """What is known of a run's key."""

    cipher: Cipher | None
    """None: the run began unsealed."""
    until: float
    learnt: bool
    """Whether the log says so; else it was chosen here, for a run that is to begin."""


First = Callable[[str], Awaitable[bytes | None]]
"""Position 1 of a run's log as it is stored, by its leader's word; None when there is none."""


class Vault:
    """Finds and remembers the data keys of one app."""

    def __init__(self, secrets: SecretStore, first: First) -> None:
        self.secrets = secrets
        self._first = first
        self._runs: Bounded[str, _Known] = Bounded(_RUNS)
        self._refilling = asyncio.Lock()
        self._block = ""
        self._next = BLOCK
        """The first secret of the block that no run has."""

    async def check(self) -> None:
        """Make sure that the keyring holds what the app needs. Raises KeyMissing."""
        await self.secrets.check()

    async def begin(self, run: str, person: str = "", parent: str = "") -> None:
        """Choose the key of a run that is believed to begin now.

        Where it has begun before, its first entry tells which key it has, as soon as that is read.

        Args:
            run: The run.
            person: Whose data it handles; empty: nobody was named.
            parent: The run that starts it: it has the same person where none is named.
        """
        if self._known(run) is not None:
            return
        slot = await self._slot()
        owner = await self.secrets.person(person) if person else ""
        if parent and not owner:
            of_parent = await self.of_run(parent)
            owner = of_parent.key.owner if of_parent is not None else ""
        key = KeyName(*slot)
        if owner:
            found = await self.secrets.named(owner)
            key = KeyName(*slot, owner, found.generation)
        self._remember(run, *await self._of_run(key, run), learnt=False)

    async def sealed(self, run: str, n: int, data: bytes, place: str) -> bytes:
        """Position `n` of a run's log as it is stored on the subject `place`."""
        known = self._known(run)
        if known is None and n == 1:
            await self.begin(run)
        cipher = known.cipher if known is not None else await self.of_run(run)
        return data if cipher is None else cipher.seal(data, place)

    async def of_run(self, run: str) -> Cipher | None:
        """What seals what belongs to a run; None: the run began unsealed, and stays so.

        Raises:
            Erased: its key was destroyed.
            KeyMissing: the keyring does not hold what wraps it.
        """
        known = self._known(run)
        if known is None:
            first = await self._first(run)
            if first is None:
                await self.begin(run)
            elif not is_sealed(first):
                self._remember(run, None, math.inf, learnt=True)
            else:
                found = await self._of_run(key_of(first), run)
                self._remember(run, *found, learnt=True)
            known = self._known(run)
        return known.cipher if known is not None else None

    def at_hand(self, run: str) -> Cipher | None:
        """The same where it is known already; None where it is not."""
        known = self._known(run)
        return known.cipher if known is not None else None

    async def opened(self, run: str, sealed: bytes, place: str) -> bytes:
        """What was sealed for `place` and belongs to a run. Raises Erased, KeyMissing, Tampered."""
        known = self._known(run)
        if known is not None and known.cipher is not None and known.cipher.is_of(sealed):
            return known.cipher.open(sealed, place)
        cipher, _ = await self._of_run(key_of(sealed), run)
        return cipher.open(sealed, place)

    async def entry(self, run: str, n: int, data: bytes, place: str) -> bytes:
        """Position `n` of a run's log as it was before it was sealed.

        Raises:
            Erased: the run's key was destroyed.
            KeyMissing: the keyring does not hold what wraps it.
            Tampered: it was changed or moved, or is plain in a run that is sealed.
        """
        known = self._known(run)
        if known is None and n > 1 and not is_sealed(data):
            await self.of_run(run)  # what its first entry is, the others are
            known = self._known(run)
        if not is_sealed(data):
            if known is not None and known.learnt and known.cipher is not None:
                raise Tampered(f"position {n} of run {run} is plain, and the run is encrypted")
            if known is None or known.cipher is not None:
                self._remember(run, None, math.inf, learnt=True)
            return data
        if known is not None and known.cipher is not None and known.cipher.is_of(data):
            opened = known.cipher.open(data, place)
            if not known.learnt:
                self._remember(run, known.cipher, known.until, learnt=True)
            return opened
        if n > 1 and known is not None and known.learnt:
            raise Tampered(f"position {n} of run {run} is not sealed with the key of the run")
        key = key_of(data)
        try:
            cipher, until = await self._of_run(key, run)
        except KeyMissing:
            own = await self.of_run(run) if n > 1 else None
            if n > 1 and (own is None or own.key != key):
                raise Tampered(f"position {n} of run {run} is not sealed with its key") from None
            raise
        opened = cipher.open(data, place)
        self._remember(run, cipher, until, learnt=True)
        return opened

    async def of_thread(self, thread: str, run: str) -> Cipher:
        """What seals what `run` adds to a thread: the thread's secret, and that of the person."""
        of_run = await self.of_run(run) if run else None
        record = await self.secrets.thread(thread)
        found = await self.secrets.named(record)
        key = KeyName(record, found.generation)
        if of_run is not None and of_run.key.owner:
            of_person = of_run.key.owner, of_run.key.generation
            key = KeyName(record, found.generation, *of_person)
        return (await self._cipher(key, f"thread {thread}"))[0]

    async def erase_thread(self, thread: str) -> None:
        """Destroy the key of a thread: what it sealed is lost, wherever a copy is."""
        await self.secrets.destroy(await self.secrets.thread(thread))

    async def thread_entry(self, thread: str, sealed: bytes, place: str) -> bytes:
        """What was sealed for `place` in a thread. Raises Erased, KeyMissing, Tampered."""
        cipher, _ = await self._cipher(key_of(sealed), f"thread {thread}")
        return cipher.open(sealed, place)

    def forget(self, name: str) -> None:
        """Take note that a run's key, or what it was made from, may have been destroyed."""
        self.secrets.forget(name)
        self._runs.pop(name)
        if name.startswith(PERSON):
            self._runs = Bounded(_RUNS)

    async def _slot(self) -> tuple[str, int]:
        """A secret that no run has."""
        while self._next >= BLOCK:
            async with self._refilling:
                if self._next >= BLOCK:
                    self._block, self._next = await self.secrets.new_block(), 0
        slot = self._block, self._next
        self._next += 1
        return slot

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
        """The data key of a name, and until when it may be remembered."""
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
        """The secrets of a record, read again where what is remembered is too old."""
        found = await self.secrets.get(name)
        if found.generation < generation:
            self.secrets.forget(name)
            found = await self.secrets.get(name)
        return found

    def _known(self, run: str) -> _Known | None:
        known = self._runs.get(run)
        return known if known is not None and known.until > time.monotonic() else None

    def _remember(self, run: str, cipher: Cipher | None, until: float, *, learnt: bool) -> None:
        self._runs.put(run, _Known(cipher, until, learnt), 1)


def _secret(found: Secrets, slot: int, generation: int, name: str) -> bytes:
    if generation > found.generation or slot >= len(found.each):
        raise KeyMissing(f"the record {name} does not hold the secret that this was sealed with")
    secret = found.each[slot] if generation == found.generation else None
    if secret is None:
        raise Erased(f"a key in {name} was destroyed: what it sealed cannot be read any more")
    return secret
