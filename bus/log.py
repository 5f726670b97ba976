"""The log of a run, which is its mail: entry n is the message `to.<p>.<actor>.<run>.<n>`.

The fence is the pair of headers of `append`: position n of a run can be created only once, for
any address. It needs no sequence of the server, and holds on R1 and R3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from .errors import BusError, Erased, KeyMissing, Tampered, TopologyMismatch
from .group_commit import GroupCommit
from .log_subject import (
    STREAM,
    NoPosition,
    count_of,
    parse,
    partition,
    position,
    shares,
    stream_of,
    subject,
)
from .reading import every, newest
from .requests import Requests, Stored
from .sealing import Sealing, is_sealed, no_keyring
from .token import is_word
from .wire import Message

_PAGE = 256
_TOO_MANY = 413
_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"
_SUBJECT = "Nats-Expected-Last-Subject-Sequence-Subject"


class LogMessage(NamedTuple):
    """One stored position of a run."""

    n: int
    to: str
    data: bytes


class Log:
    """Appends to and reads the logs of runs."""

    def __init__(self, requests: Requests, streams: int = 0) -> None:
        """`streams` is how many streams of logs there are; 0: the server is asked, once."""
        self._requests = requests
        self.names = requests.names
        self._streams = streams
        self._groups: dict[str, GroupCommit] = {}
        """By partition; partitions of one stream have the same."""

    @property
    def vault(self) -> Sealing | None:
        """Encrypts and decrypts entries; None: there is no keyring here."""
        return self._requests.vault

    async def streams(self) -> int:
        """How many streams hold the logs.

        Raises:
            StreamMissing: nothing was ever provisioned.
            TopologyMismatch: the stream of logs is not one of Layby's.
        """
        if not self._streams:
            name = self.names.stream(STREAM)
            info = await self._requests.api(f"STREAM.INFO.{name}")
            held: list[str] = info["config"].get("subjects") or []
            self._streams = count_of(held, self.names)
            if not self._streams:
                raise TopologyMismatch(
                    f"stream {name} holds {', '.join(held)}, which are not subjects of Layby's "
                    "logs: it was made or changed by somebody else"
                )
        return self._streams

    async def append(
        self, run: str, n: int, to: str, data: bytes, trace: Mapping[str, str] | None = None
    ) -> None:
        """Create position `n`. `trace`: headers that say which trace it belongs to.

        Raises:
            Conflict: the position exists already: read the log again.
            PublishUnconfirmed: it may or may not exist: read the log again.
        """
        headers = {_SEQUENCE: "0", _SUBJECT: self.position(run, n), **(trace or {})}
        place = self.names.subject(subject(to, run, n))
        vault = self._requests.vault
        if vault is not None:
            cipher = vault.cached(run)
            if cipher is not None:
                data = cipher.seal(data, place)
            else:
                data = await vault.sealed(run, n, data, place)
        group = self._groups.get(partition(run)) or await self._group(run)
        await group.store(run, place, data, headers)
        if vault is not None and n == 1:
            vault.began(run, data)

    async def _group(self, run: str) -> GroupCommit:
        """What stores the entries of the stream that holds the log of `run`."""
        stream = await self._stream(run)
        known = (each for each in self._groups.values() if each.stream == stream)
        group = next(known, None) or GroupCommit(self._requests, stream)
        self._groups[partition(run)] = group
        return group

    async def begin(self, run: str, person: str = "", parent: str = "") -> None:
        """Choose the key of a run that is to begin, where runs are encrypted; see `Vault.begin`."""
        if self._requests.vault is not None:
            await self._requests.vault.begin(run, person, parent)

    async def opened(self, run: str, n: int, data: bytes, place: str) -> bytes:
        """Position `n` of a run, delivered on the subject `place`, decrypted.

        Raises:
            Erased: the key of the run was destroyed.
            KeyMissing: the run is encrypted, and no keyring here holds its key.
            Tampered: it was changed, or moved to that subject.
        """
        vault = self._requests.vault
        if vault is not None:
            return await vault.entry(run, n, data, place)
        if not is_sealed(data):
            return data
        if n > 1 and not is_sealed(await self.first(run) or data):
            raise Tampered(f"position {n} of run {run} is sealed, and the run is not")
        raise no_keyring(place)

    async def first(self, run: str, n: int = 1) -> bytes | None:
        """Position `n` as it was stored first, read from the stream's leader, still encrypted.

        The fence keeps Layby from storing it twice; somebody else may have.
        """
        stored = await self._first(run, n)
        return None if stored is None else stored.data

    async def original(self, run: str, n: int) -> bytes:
        """Position `n` as it was stored first, decrypted; empty if it cannot be decrypted."""
        stored = await self._first(run, n)
        if stored is None:
            return b""
        try:
            return await self.opened(run, n, stored.data, stored.subject)
        except Tampered:
            return b""

    async def _first(self, run: str, n: int) -> Stored | None:
        body = {"seq": 1, "next_by_subj": self.position(run, n)}
        return await self._requests.find(await self._stream(run), body)

    async def load(self, run: str, after: int = 0) -> list[LogMessage]:
        """Every position after `after`, in order and without a gap.

        A copy that lags may return fewer than there are: an append then conflicts, and the caller
        loads again.
        """
        if after:
            return await self._pages(run, after)
        try:
            found = await self._get(run, [self.position(run, "*")])
        except BusError as error:
            if error.code != _TOO_MANY:
                raise
            return await self._pages(run, 0)
        return _contiguous(found, 0)

    async def outline(self, run: str) -> list[tuple[int, str, float]]:
        """For every position its number, its address, and when it was stored (Unix seconds)."""
        stream = await self._stream(run)
        found: list[tuple[int, str, float]] = []
        async for message in every(self._requests, stream, self.position(run, "*")):
            to, _, n = parse(message.headers["Nats-Subject"])
            at = datetime.fromisoformat(message.headers["Nats-Time-Stamp"]).timestamp()
            found.append((n, to, at))
        return found

    async def exists(self, run: str, n: int) -> bool:
        """Whether position `n` exists according to the stream's leader, which has every entry."""
        stream = await self._stream(run)
        return await self._requests.stored(stream, last=self.position(run, n)) is not None

    async def at(self, run: str, *positions: int) -> dict[int, bytes]:
        """The data of these positions of `run`, as far as a copy of the log has them."""
        found = await self._get(run, [self.position(run, n) for n in positions])
        return {message.n: message.data for message in reversed(found)}

    async def openings(self, runs: Iterable[str]) -> dict[str, bytes | None]:
        """The first positions of those of `runs` that have a log; None where it cannot be read.

        Anything that is not a run's id is left out.
        """
        count = await self.streams()
        found: dict[str, bytes | None] = {}
        for share in shares(count):
            stream = self.names.stream(share)
            firsts = [
                self.position(run, 1)
                for run in runs
                if is_word(run) and stream_of(run, count) == share
            ]
            for at in range(0, len(firsts), _PAGE):
                page = await newest(self._requests, stream, firsts[at : at + _PAGE])
                for run, message in filter(None, map(_read, page)):
                    place = self.names.subject(subject(message.to, run, message.n))
                    if run not in found:
                        found[run] = await self._readable(run, message.data, place)
        return found

    async def _readable(self, run: str, data: bytes, place: str) -> bytes | None:
        try:
            return await self.opened(run, 1, data, place)
        except (Erased, KeyMissing, Tampered):
            return None

    async def purge(self, run: str) -> int:
        """Remove a run's log; return how many positions it had."""
        stream = await self._stream(run)
        body = {"filter": self.position(run, "*")}
        reply = await self._requests.api(f"STREAM.PURGE.{stream}", body)
        return int(reply.get("purged", 0))

    async def _pages(self, run: str, after: int) -> list[LogMessage]:
        everything: list[LogMessage] = []
        size = 16 if after else _PAGE
        while True:
            page = await self._get(run, [self.position(run, after + i + 1) for i in range(size)])
            page = _contiguous(page, after)
            everything += page
            after += len(page)
            if len(page) < size:
                return everything
            size = _PAGE

    async def _get(self, run: str, subjects: list[str]) -> list[LogMessage]:
        """The messages on `subjects` by position; of one position, the first stored comes first."""
        found = await newest(self._requests, await self._stream(run), subjects)
        messages = [message for _, message in filter(None, map(_read, found))]
        messages.sort(key=lambda message: message.n)
        if self._requests.vault is None and not any(is_sealed(each.data) for each in messages):
            return messages
        # Either all entries of a run are encrypted, or none is.
        return [await self._open(run, each) for each in messages]

    async def _open(self, run: str, message: LogMessage) -> LogMessage:
        """A message, decrypted; empty where it was not encrypted for its run and subject."""
        n, to, data = message
        place = self.names.subject(subject(to, run, n))
        try:
            return LogMessage(n, to, await self.opened(run, n, data, place))
        except Tampered:
            return LogMessage(n, to, b"")

    async def _stream(self, run: str) -> str:
        return self.names.stream(stream_of(run, self._streams or await self.streams()))

    def position(self, run: str, n: int | str) -> str:
        """The subjects of position `n` of `run` in this log, for any address."""
        return self.names.subject(position(run, n))


def _read(message: Message) -> tuple[str, LogMessage] | None:
    """A stored position and its run; None for a message that is not on a position."""
    try:
        to, run, n = parse(message.headers["Nats-Subject"])
    except NoPosition:
        return None
    return run, LogMessage(n, to, message.data)


def _contiguous(found: list[LogMessage], after: int) -> list[LogMessage]:
    """The positions that follow `after` without a gap, each as it was stored first."""
    whole: list[LogMessage] = []
    for message in found:
        if message.n == after + len(whole) + 1:
            whole.append(message)
        elif message.n > after + len(whole):
            break
    return whole
