"""A run's log as a file: recorded once, replayed by every later test of the workflow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self, cast

import msgspec

from ..bus.blobs import Blobs
from ..bus.log import Log
from ..bus.requests import Requests
from ..runtime.envelope import read
from ..runtime.first_stored import entries
from .lookup import NoSuchRun

_BLOB = "$blob"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a run's log."""

    n: int
    to: str
    entry: Any
    """The envelope, as JSON."""


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a run has recorded, with its data: review it before you publish it.

    Attributes:
        run: The run's id.
        workflow: The workflow it ran.
        messages: Its log.
        values: The values in blobs, by digest.
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


async def read_history(requests: Requests, run: str) -> History:
    """The history of a run, over a connection that is open. Raises NoSuchRun."""
    messages = [
        Entry(n=message.n, to=message.to, entry=msgspec.json.decode(message.data))
        for message in await entries(Log(requests), run)
        if read(message.data) is not None
    ]
    if not messages:
        raise NoSuchRun(f"there is no run {run!r} to record")
    blobs = Blobs(requests)
    values: dict[str, Any] = {}
    for reference in references([message.entry for message in messages]):
        raw = await blobs.inflate(msgspec.Raw(msgspec.json.encode(reference)))
        values[reference[_BLOB]] = msgspec.json.decode(raw)
    started = messages[0].entry["records"][0]
    return History(run=run, workflow=started["workflow"], messages=messages, values=values)


def references(entries: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """The references in the records of `entries` to values in blobs."""
    for entry in entries:
        for record in entry["records"]:
            sent: dict[str, Any] = record.get("sent") or {}
            # An event is never in a blob, whatever it looks like.
            values: tuple[Any, ...] = (record.get("result"), record.get("input"), sent.get("parts"))
            for value in values:
                if isinstance(value, dict) and _BLOB in value:
                    yield cast("dict[str, Any]", value)
