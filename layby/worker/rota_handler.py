"""The handler of the command `rota`: it changes who is on duty, or who is away."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ..actors.people.rota import Window
from ..actors.people.rota_book import RotaBook
from ..bus.errors import LaybyError, StreamMissing
from ..bus.requests import Requests
from ..bus.token import is_word
from ..commands import InvalidCommand
from .command_actor import CommandTask

_MOST: Final = 2_000
"""Windows of one rota, and absences: a value of the bucket has to hold them."""


class NoRota(LaybyError):
    """No role of the app has a rota."""


class RotaEdits:
    """Changes rotas. Each command does so once, however often it is delivered."""

    def __init__(self, requests: Requests) -> None:
        self._book = RotaBook(requests)

    async def edit(self, task: CommandTask) -> dict[str, Any]:
        """Add and remove shifts or absences; the result has those that are left.

        Raises:
            InvalidCommand: it changes nothing, or there would be too many.
            StandInCircle: people would stand in for each other in a circle.
            NoRota: no role of the app has a rota.
        """
        command, seq = task.stored.command, task.stored.seq
        if not (command.add or command.remove):
            raise InvalidCommand("say what to `add` or to `remove`")
        if command.rota and not is_word(command.rota):
            raise InvalidCommand(f"{command.rota[:40]!r} cannot be the name of a rota")

        def update(windows: tuple[Window, ...]) -> tuple[Window, ...]:
            left = {*windows, *command.add} - {*command.remove}
            if len(left) > _MOST:
                raise InvalidCommand(f"a rota has at most {_MOST:,} entries: remove old ones first")
            return tuple(sorted(left, key=lambda each: (each.instants, each.person)))

        try:
            if command.rota:
                left = await self._book.change_shifts(command.rota, update, seq)
            else:
                left = await self._book.change_absences(update, seq)
        except StreamMissing:
            raise NoRota("no role of the app has a rota: declare Role(..., rota=...)") from None
        return {"rota": command.rota, "windows": msgspec.to_builtins(left)}
