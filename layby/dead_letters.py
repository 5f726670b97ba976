"""What a client does with messages that no worker could handle."""

from __future__ import annotations

from .bus.dead import DeadLetters
from .bus.errors import BusError
from .bus.requests import Requests
from .rows import DeadRow, Sent
from .shown import dead_row

_NO_SUCH_STREAM = 503
"""Direct get is answered by nobody when there is no such stream."""


class DeadLetterDesk:
    """The part of a client that is about dead letters."""

    def __init__(self, requests: Requests) -> None:
        self._dead = DeadLetters(requests)

    async def dead(self) -> list[DeadRow]:
        """Messages that no worker could handle, oldest first."""
        try:
            return [dead_row(number, letter) for number, letter in await self._dead.list()]
        except BusError as error:
            if error.code != _NO_SUCH_STREAM:
                raise
            return []

    async def dead_letter(self, number: int) -> DeadRow:
        """One message that no worker could handle.

        Args:
            number: Its `id` in the list.

        Raises:
            NoSuchLetter: there is none.
        """
        return dead_row(number, await self._dead.get(number))

    async def retry_dead(self, number: int) -> Sent:
        """Publish a dead letter's message anew.

        Args:
            number: Its `id` in the list.

        Raises:
            NoSuchLetter: there is none.
            CannotRetry: it was not kept whole.
        """
        letter = await self._dead.get(number)
        return Sent(stream=letter.stream, seq=await self._dead.retry(number))

    async def drop_dead(self, number: int) -> None:
        """Remove a dead letter.

        Args:
            number: Its `id` in the list.

        Raises:
            NoSuchLetter: there is none.
        """
        await self._dead.drop(number)
