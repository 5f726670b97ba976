"""Calls of the JetStream API that wait while a cluster chooses a leader."""

from __future__ import annotations

from typing import Any, Protocol

from .errors import NoLeader
from .leader_wait import LeaderWait


class _Api(Protocol):
    async def api(self, verb: str, body: Any = None, *, timeout: float = 5.0) -> dict[str, Any]: ...  # noqa: ASYNC109


class PatientApi:
    """Repeats a call while there is no leader.

    A cluster elects a leader for each stream and each consumer. Changing the number of copies
    starts elections, and the next call is then refused.
    """

    def __init__(self, requests: _Api, *, patience: float = 10.0) -> None:
        """`patience`: seconds of refusals after which a call fails with NoLeader."""
        self._requests = requests
        self._patience = patience

    async def api(self, verb: str, body: Any = None, *, timeout: float = 5.0) -> dict[str, Any]:  # noqa: ASYNC109
        """Call `$JS.API.<verb>`.

        Raises:
            NoLeader: there is still no leader after all of `patience`.
            BusError: the server refused for another reason.
        """
        wait = LeaderWait(self._patience)
        while True:
            try:
                return await self._requests.api(verb, body, timeout=timeout)
            except NoLeader as error:
                await wait.pause(error)
