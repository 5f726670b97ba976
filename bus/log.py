"""The log of a run, which is its mail: entry n is the message `to.<actor>.<run>.<n>`.

The fence is the pair of headers of `append`: position n of a run can be created once, whoever
it is addressed to. It needs no sequence of the server, and holds on R1 and R3.
"""

from __future__ import annotations

from typing import NamedTuple

from .errors import BusError, Conflict
from .reading import newest
from .requests import Requests
from .wire import Message

STREAM = "RUNS"
NOBODY = "log"
"""The address of an entry that is nobody's mail."""
_PAGE = 256
_TOO_MANY = 413
_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"
_SUBJECT = "Nats-Expected-Last-Subject-Sequence-Subject"


class LogMessage(NamedTuple):
    """One stored position of a run."""

    n: int
    to: str
    data: bytes


def subject(to: str, run: str, n: int) -> str:
    """The subject of position `n` of `run`, addressed to actor `to`."""
    return f"to.{to}.{run}.{n}"


def parse(text: str) -> tuple[str, str, int]:
    """Split a log subject into actor, run and position. Raises BusError when it is none."""
    parts = text.split(".")
    if len(parts) != 4 or parts[0] != "to" or not parts[3].isdigit():  # noqa: PLR2004
        raise BusError(f"{text!r} is not a position of a run's log")
    return parts[1], parts[2], int(parts[3])


class Log:
    """Appends to and reads the logs of runs."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def append(self, run: str, n: int, to: str, data: bytes) -> None:
        """Create position `n`.

        Raises:
            Conflict: the position exists already: look again.
            PublishUnconfirmed: it may or may not exist: look again.
        """
        headers = {_SEQUENCE: "0", _SUBJECT: f"to.*.{run}.{n}"}
        await self._requests.store(subject(to, run, n), data, headers)

    async def load(self, run: str, after: int = 0) -> list[LogMessage]:
        """Every position after `after`, in order and without a gap.

        A follower that lags may answer with fewer than there are: an append then conflicts
        and the caller loads again.
        """
        if after:
            return await self._pages(run, after)
        try:
            found = await self._get([f"to.*.{run}.*"])
        except BusError as error:
            if error.code != _TOO_MANY:
                raise
            return await self._pages(run, 0)
        return _contiguous(found, 0)

    async def exists(self, run: str, n: int) -> bool:
        """Whether position `n` exists by the word of the stream's leader, which no copy outruns."""
        return await self._requests.stored(STREAM, last=f"to.*.{run}.{n}") is not None

    async def _pages(self, run: str, after: int) -> list[LogMessage]:
        everything: list[LogMessage] = []
        size = 16 if after else _PAGE
        while True:
            page = await self._get([f"to.*.{run}.{after + i + 1}" for i in range(size)])
            page = _contiguous(page, after)
            everything += page
            after += len(page)
            if len(page) < size:
                return everything
            size = _PAGE

    async def _get(self, subjects: list[str]) -> list[LogMessage]:
        found = await newest(self._requests, STREAM, subjects)
        return [_read(message) for message in found]


def _read(message: Message) -> LogMessage:
    to, _, n = parse(message.headers["Nats-Subject"])
    return LogMessage(n, to, message.data)


def _contiguous(found: list[LogMessage], after: int) -> list[LogMessage]:
    found.sort()
    for expected, message in enumerate(found, after + 1):
        if message.n != expected:
            return found[: expected - after - 1]
    return found


__all__ = ["NOBODY", "STREAM", "Conflict", "Log", "LogMessage", "parse", "subject"]
