"""A run's log as a file: recorded once, replayed by every later test of the workflow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self, cast

import msgspec

from ..bus.blobs import Blobs
from ..bus.errors import LaybyError
from ..bus.log import Log
from ..bus.opened import opened
from ..bus.requests import Requests
from ..bus.settings import ConnectionSettings
from ..runtime.entry import read
from ..runtime.past import entries

_BLOB = "$blob"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a run's log."""

    n: int
    to: str
    entry: Any
    """The envelope, as JSON."""


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a run has recorded. It holds what the run held: look before you publish it.

    Attributes:
        run: The run's id.
        workflow: The workflow it ran.
        messages: Its log.
        values: What was put away for its size, by digest.
    """

    run: str
    workflow: str
    messages: list[Entry]
    values: dict[str, Any] = {}

    def save(self, path: str | Path) -> None:
        """Write it as JSON that can be read and compared by people."""
        data = msgspec.json.format(msgspec.json.encode(self), indent=1)
        Path(path).write_bytes(data + b"\n")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read it from a file. Raises OSError, or msgspec.ValidationError for other JSON."""
        return msgspec.json.decode(Path(path).read_bytes(), type=cls)


async def record(settings: ConnectionSettings, run: str) -> History:
    """The history of a run, by its id, from the server that `settings` lead to."""
    async with opened(settings) as bus:
        return await read_history(bus.requests, run)


async def read_history(requests: Requests, run: str) -> History:
    """The history of a run, over a connection that is open. Raises LaybyError."""
    messages = [
        Entry(n=message.n, to=message.to, entry=msgspec.json.decode(message.data))
        for message in await entries(Log(requests), run)
        if read(message.data) is not None
    ]
    if not messages:
        raise LaybyError(f"there is no run {run!r} to record")
    blobs = Blobs(requests)
    values: dict[str, Any] = {}
    for reference in references([message.entry for message in messages]):
        raw = await blobs.inflate(msgspec.Raw(msgspec.json.encode(reference)))
        values[reference[_BLOB]] = msgspec.json.decode(raw)
    started = messages[0].entry["records"][0]
    return History(run=run, workflow=started["workflow"], messages=messages, values=values)


def references(entries: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """What stands in the records of `entries` for values that were put away."""
    for entry in entries:
        for record in entry["records"]:
            for name in ("result", "input"):  # an event is never put away, whatever it looks like
                value = record.get(name)
                if isinstance(value, dict) and _BLOB in value:
                    yield cast("dict[str, Any]", value)
