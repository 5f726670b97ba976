"""The logs of runs as they are, for views that show more of a run than its events."""

from __future__ import annotations

from ..bus.blobs import Blobs
from ..bus.connection import Connection
from ..bus.log import Log, LogMessage
from ..bus.requests import Requests
from ..runtime.entry import Raw
from ..runtime.first_stored import entries
from ..runtime.vouching import Signers
from .log_tail import LogTail
from .lookup import find


class RunLogs:
    """Reads the logs of runs."""

    def __init__(
        self,
        connection: Connection,
        requests: Requests,
        log: Log,
        blobs: Blobs,
        signers: Signers | None = None,
    ) -> None:
        self.signers = signers
        """Whose signatures count in them; None: no keys are known here."""
        self._connection = connection
        self._requests = requests
        self._log = log
        self._blobs = blobs

    async def id_of(self, name: str) -> str:
        """The id of a run, by the beginning of it or by its ticket. Raises NoSuchRun."""
        return await find(self._requests, self._log, name)

    def tail(self, run: str) -> LogTail:
        """The log of a run as it grows, by the run's id."""
        return LogTail(self._connection, self._log, run)

    async def entries(self, run: str, after: int = 0) -> list[LogMessage]:
        """What the log of a run holds after a position, by the run's id.

        Raises:
            Erased: the key of the run was destroyed.
            KeyMissing: the run is encrypted, and no keyring here holds its key.
        """
        return await entries(self._log, run, after)

    async def exists(self, run: str) -> bool:
        """Whether a run has a log, according to the leader of its stream."""
        return await self._log.exists(run, 1)

    def reload_key(self, run: str) -> None:
        """Have the key of a run read again when it is next used: it may have been destroyed since.

        Otherwise a key that was read once is kept in memory for some minutes.
        """
        vault = self._log.vault
        cipher = vault.cached(run) if vault is not None else None
        if vault is not None and cipher is not None:
            for name in filter(None, (run, cipher.key.record, cipher.key.owner)):
                vault.forget(name)

    async def inflated(self, value: Raw) -> Raw:
        """A recorded value, fetched if the log only refers to it. Raises ValueLost, BusError."""
        return await self._blobs.inflate(value)
