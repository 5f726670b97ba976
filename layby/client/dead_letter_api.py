"""The part of a client that manages messages that no worker could handle."""

from __future__ import annotations

from ..bus.connection import Connection
from ..bus.dead import DeadLetters
from ..bus.errors import BusError, StreamMissing
from ..bus.requests import Requests
from ..commands import DEAD_DROP, DEAD_RETRY, Command
from ..views.rows import DeadRow, Sent
from ..views.stored_rows import dead_row
from .command_sender import CommandSender

_NO_SUCH_STREAM = 503
"""The status of a direct get from a stream that does not exist."""


class DeadLetterApi:
    """Lists, retries and drops dead letters."""

    def __init__(self, connection: Connection, requests: Requests) -> None:
        self._commands = CommandSender(connection, requests)
        self._dead = DeadLetters(requests)

    async def dead(self, newest: int | None = None) -> list[DeadRow]:
        """Messages that no worker could handle, oldest first.

        Args:
            newest: Only this many, the newest first; None: all.
        """
        try:
            if newest is not None:
                return [dead_row(*each) for each in await self._dead.newest(newest)]
            return [dead_row(number, letter) for number, letter in await self._dead.list()]
        except StreamMissing:
            return []
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
        """Have a dead letter's message handled again where it failed, and the letter removed.

        An event starts the run that it would have started. It is not published again, so other
        readers of its stream do not see it twice.

        Args:
            number: Its `id` in the list.
            by: Who asks; None: the NATS user, or else the login of this machine.
            reason: Why.

        Raises:
            NoSuchLetter: there is none.
            CannotRetry: it still cannot be handled, was not kept whole, cannot be sent, or no
                worker that could handle it is running; the letter stays.
            NotDoneYet: no worker is running; the command is stored, and is done once one starts.
            PermissionDenied: this user may not do that, or not in that name.
        """
        command = Command(letter=number, why=reason)
        outcome = await self._commands.command(DEAD_RETRY, command, by=by)
        result = outcome.result
        return Sent(stream=result["stream"], seq=result["seq"], run=result.get("run", ""))

    async def drop_dead(self, number: int, *, by: str | None = None, reason: str = "") -> None:
        """Have a dead letter removed.

        Args:
            number: Its `id` in the list.
            by: Who asks; None: the NATS user, or else the login of this machine.
            reason: Why.

        Raises:
            NoSuchLetter: there is none.
            NotDoneYet: no worker is running; the command is stored, and is done once one starts.
            PermissionDenied: this user may not do that, or not in that name.
        """
        command = Command(letter=number, why=reason)
        await self._commands.command(DEAD_DROP, command, by=by)
