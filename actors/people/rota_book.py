"""The bucket of rotas: workers read it when a rung is reached, and write it when told to."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ...bus.bucket import Bucket
from ...bus.errors import Conflict, LaybyError
from ...bus.requests import Requests
from .rota import Window, Windows, circle

BUCKET = "rota"
_SHIFTS = "duty."
_ABSENCES = "absences"
_EDITS = 50
"""Commands that are remembered: none is delivered again after so many others."""

_decode = msgspec.json.Decoder(Windows).decode
_encode = msgspec.json.Encoder().encode

Update = Callable[[tuple[Window, ...]], tuple[Window, ...]]


class StandInCircle(LaybyError):
    """People would stand in for each other in a circle, so that nobody would be told."""


class RotaBook:
    """Reads and changes rotas, by compare-and-set."""

    def __init__(self, requests: Requests) -> None:
        self._bucket = Bucket(requests, BUCKET)

    async def names(self) -> list[str]:
        """The rotas that have shifts. Raises StreamMissing: no role of the app has a rota."""
        keys = [item.key async for item in self._bucket.items()]
        return sorted(key.removeprefix(_SHIFTS) for key in keys if key.startswith(_SHIFTS))

    async def shifts(self, rota: str) -> tuple[Window, ...]:
        """The shifts of a rota; none if it is not written, or cannot be read."""
        return await self._windows(f"{_SHIFTS}{rota}")

    async def absences(self) -> tuple[Window, ...]:
        """When people are away, and who stands in for them."""
        return await self._windows(_ABSENCES)

    async def change_shifts(self, rota: str, update: Update, edit: int = 0) -> tuple[Window, ...]:
        """Change the shifts of a rota, and return them.

        `edit`: the number of the command, which changes nothing a second time.
        """
        return await self._change(f"{_SHIFTS}{rota}", update, edit)

    async def change_absences(self, update: Update, edit: int = 0) -> tuple[Window, ...]:
        """Change the absences, and return them. Raises StandInCircle.

        `edit`: the number of the command, which changes nothing a second time.
        """

        def checked(windows: tuple[Window, ...]) -> tuple[Window, ...]:
            changed = update(windows)
            if found := circle(changed):
                raise StandInCircle(f"nobody would be told: {' -> '.join(found)}")
            return changed

        return await self._change(_ABSENCES, checked, edit)

    async def _windows(self, key: str) -> tuple[Window, ...]:
        item = await self._bucket.get(key)
        found = item.read(_decode) if item is not None else None
        return found.windows if found is not None else ()

    async def _change(self, key: str, update: Update, edit: int) -> tuple[Window, ...]:
        while True:
            item = await self._bucket.get_raw(key)
            found = (item.read(_decode) if item is not None else None) or Windows()
            if edit and edit in found.edits:
                return found.windows
            windows = update(found.windows)
            edits = (edit, *found.edits)[:_EDITS] if edit else found.edits
            data = _encode(Windows(windows=windows, edits=edits))
            try:
                await self._bucket.put(key, data, revision=item.revision if item else 0)
            except Conflict:
                continue
            return windows
