"""Destroys the keys of runs: without a run's key, no copy of its data can be read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from ..bus.errors import Erased
from ..bus.log import Log
from ..bus.requests import Requests
from ..bus.sealing import KeyName
from ..bus.vault import Vault
from ..runtime.worker import CANCEL

log = structlog.get_logger("layby.keys")


class RunKeys:
    """Finds and destroys the keys of runs. Repeatable."""

    def __init__(self, requests: Requests, log_: Log) -> None:
        self._requests = requests
        self._log = log_

    async def destroy(self, runs: Iterable[str]) -> set[str]:
        """Destroy the keys of these runs, record by record; return the runs that had one until now.

        Nothing is done where there is no keyring.

        Raises:
            KeyMissing: the keyring does not hold what wraps them.
        """
        vault = self._requests.vault
        if not isinstance(vault, Vault):
            return set()
        wanted = list(runs)
        records: dict[str, dict[int, str]] = {}
        for run, key in zip(wanted, await asyncio.gather(*map(self._proven, wanted)), strict=True):
            if key is not None:
                records.setdefault(key.record, {})[key.slot] = run
        destroyed: set[str] = set()
        for record, slots in records.items():
            if await vault.secrets.destroy(record, slots):
                destroyed |= set(slots.values())
                await self.tell(vault, record)
        return destroyed

    async def _proven(self, run: str) -> KeyName | None:
        """The key of a run; None: it has none, or no longer.

        The name of a key is plain text, so an entry could name another run's key: it must
        decrypt the entry.
        """
        vault = self._requests.vault
        key = await vault.key_name(run) if vault is not None else None
        if key is None:
            return None
        try:
            if await self._log.original(run, 1):
                return key
        except Erased:
            return None
        log.warning("key.disbelieved", run=run, key=str(key))
        return None

    async def tell(self, vault: Vault, name: str) -> None:
        """Have all workers drop a key, or a record of keys, from memory."""
        vault.forget(name)
        await self._requests.publish(self._requests.names.subject(f"{CANCEL}.{name}"))
