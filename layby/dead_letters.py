"""What a client does with messages that no worker could handle."""

from __future__ import annotations

from .bus.connection import Connection
from .bus.dead import DeadLetters
from .bus.errors import BusError
from .bus.requests import Requests
from .command_desk import CommandDesk
from .commands import DEAD_DROP, DEAD_RETRY, Command
from .rows import DeadRow, Sent
from .shown import dead_row

_NO_SUCH_STREAM = 503
"""Direct get is answered by nobody when there is no such stream."""


class DeadLetterDesk:
    """The part of a client that is about dead letters."""

    def __init__(self, connection: Connection, requests: Requests) -> None:
        self._commands = CommandDesk(connection, requests)
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

    async def retry_dead(self, number: int, *, by: str | None = None, reason: str = "") -> Sent:
        """Have a dead letter's message published anew, and the letter removed.

        Args:
            number: Its `id` in the list.
            by: Who asks; None: the NATS user, or else the machine's login.
            reason: Why.

        Raises:
            NoSuchLetter: there is none.
            CannotRetry: it was not kept whole, or is nothing that is sent.
            NotDoneYet: no worker is up; it is stored, and is done when one starts.
            PermissionDenied: this user may not do that, or not in that name.
        """
        command = Command(letter=number, why=reason)
        outcome = await self._commands.command(DEAD_RETRY, command, by=by)
        return Sent(stream=outcome.result["stream"], seq=outcome.result["seq"])

    async def drop_dead(self, number: int, *, by: str | None = None, reason: str = "") -> None:
        """Have a dead letter removed.

        Args:
            number: Its `id` in the list.
            by: Who asks; None: the NATS user, or else the machine's login.
            reason: Why.

        Raises:
            NoSuchLetter: there is none.
            NotDoneYet: no worker is up; it is stored, and is done when one starts.
            PermissionDenied: this user may not do that, or not in that name.
        """
        command = Command(letter=number, why=reason)
        await self._commands.command(DEAD_DROP, command, by=by)
