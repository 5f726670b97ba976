"""The part of a client for rotas: who is on duty when, and who stands in for whom."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ..actors.people.rota import Window
from ..actors.people.rota_book import RotaBook
from ..bus.connection import Connection
from ..bus.requests import Requests
from ..commands import ROTA, Command
from .command_sender import CommandSender


class RotaApi:
    """Reads rotas, and has workers change them. Each change is in the audit trail."""

    def __init__(self, connection: Connection, requests: Requests) -> None:
        self._commands = CommandSender(connection, requests)
        self._book = RotaBook(requests)

    async def names(self) -> list[str]:
        """The rotas that have shifts. Raises StreamMissing: no role of the app has a rota."""
        return await self._book.names()

    async def shifts(self, rota: str) -> tuple[Window, ...]:
        """The shifts of a rota; none if it is not written, or cannot be read."""
        return await self._book.shifts(rota)

    async def absences(self) -> tuple[Window, ...]:
        """When people are away, and who stands in for them."""
        return await self._book.absences()

    async def change(
        self,
        rota: str = "",
        *,
        add: Iterable[Window] = (),
        remove: Iterable[Window] = (),
        by: str | None = None,
        reason: str = "",
    ) -> tuple[Window, ...]:
        """Have shifts or absences added and removed; return those that are left.

        Args:
            rota: The rota whose shifts change; empty: the absences change.
            add: What is added.
            remove: What is removed; what is not there is left out.
            by: Who asks; None: the NATS user, or else the login of this machine.
            reason: Why.

        Raises:
            StandInCircle: people would stand in for each other in a circle.
            StreamMissing: no role of the app has a rota.
            NotDoneYet: no worker is running; the command is stored, and is done once one starts.
            PermissionDenied: this user may not do that, or not in that name.
            CommandRefused: a worker refused it.
        """
        await self._book.absences()  # nothing is commanded where there is no rota
        command = Command(rota=rota, add=tuple(add), remove=tuple(remove), why=reason)
        outcome = await self._commands.command(ROTA, command, by=by)
        return msgspec.convert(outcome.result["windows"], tuple[Window, ...])
