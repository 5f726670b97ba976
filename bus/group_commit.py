"""Group commit: on a slow disk, messages for one stream that are ready together are written as one.

With `sync_interval: always` a stream of one copy waits for its disk at each message. An atomic
batch (ADR-50) of any size waits four times. So while several messages wait for a slow disk, those
that come are sent as one batch. No message waits for others: a batch is what has gathered while
earlier messages were stored, and on a quick disk there is none. A stream of several copies needs
none: its servers write many messages at a time by themselves.

It has to be turned on: a worker cannot tell a slow disk from a busy machine, where a batch costs
more than it saves.

Each message keeps its own expectations. The server refuses a batch as a whole, and the messages of
a refused one are sent singly, so each caller learns what became of its own message.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import time
from collections.abc import Coroutine, Mapping
from typing import Any, Final, NamedTuple

from .disk_pace import DiskPace
from .errors import BusError, Conflict, NotConnected, PermissionDenied, PublishUnconfirmed
from .requests import PubAck, Requests
from .specs import BATCHES

SETTING: Final = "LAYBY_GROUP_COMMIT"
"""The environment variable that turns batches on, with 1."""
_LARGEST: Final = 64 * 1024
"""Bytes of a message above which it is sent singly."""
_MOST: Final = 64
"""Messages of a batch. The server takes 1,000 unless its configuration sets a limit, as it should
(see deploy/nats-server.conf): only that limit bounds what outsiders leave unfinished."""
_MOST_BYTES: Final = 1024 * 1024
_SAMPLE: Final = 8
"""Messages that are sent singly to time them, if none has been timed for a while."""
_ASK_AGAIN: Final = 60.0
"""Seconds for which it is remembered whether a stream takes batches."""
_PAUSE: Final = 1.0
"""Seconds until a stream is asked again that has refused a batch, or did not answer."""
_TWICE: Final = 10201
"""The server's code for a message whose id it has stored before: sent singly, it is a duplicate."""
_TAKES_NONE: Final = 10174
"""Its code for a batch in a stream that takes none."""
_ID: Final = "Nats-Batch-Id"
_PLACE: Final = "Nats-Batch-Sequence"
_COMMIT: Final = "Nats-Batch-Commit"
_now = time.monotonic


def is_on() -> bool:
    """Whether batches are turned on in this process."""
    return os.environ.get(SETTING) == "1"


class _Message(NamedTuple):
    """A message that waits."""

    key: str
    subject: str
    data: bytes
    headers: Mapping[str, str]
    stored: asyncio.Future[PubAck]


class GroupCommit:
    """Stores the messages of one stream, alone or in batches."""

    def __init__(self, requests: Requests, stream: str, *, asks: bool = True) -> None:
        """`asks`: ask the server whether the stream takes batches; False: find out by trying."""
        self.stream = stream
        """Its name."""
        self.pace = DiskPace()
        self.batches = 0
        """Batches that were stored so far."""
        self._requests = requests
        self._is_on = is_on()
        self._asks = asks
        self._name = secrets.token_hex(8)
        """The start of its batches' names, which must differ from those of all other clients."""
        self._numbers = itertools.count(1)
        self._waiting: list[_Message] = []
        self._singles = 0
        """Single messages that are not acknowledged yet."""
        self._committing = False
        """Whether a batch is not acknowledged yet."""
        self._allowed = False
        self._ask_at = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    async def store(
        self, key: str, subject: str, data: bytes, headers: Mapping[str, str]
    ) -> PubAck:
        """Store a message, like `Requests.store`, and raise what that raises.

        A batch holds at most one message with the same `key`, such as its run: the server compares
        an expectation with what is stored, and not with what else is in the batch.
        """
        if not self._is_on:
            return await self._requests.store(subject, data, headers)
        pace = self.pace
        if (pace.is_slow or self._waiting) and self._waits(len(data)):
            stored: asyncio.Future[PubAck] = asyncio.get_running_loop().create_future()
            self._waiting.append(_Message(key, subject, data, headers, stored))
            return await stored
        sent = _now()
        self._singles += 1
        try:
            return await self._requests.store(subject, data, headers)
        finally:
            self._singles -= 1
            if self._singles:
                pace.note_single(sent, _now(), self._singles)
            else:
                pace.is_burst = False
            if self._waiting:
                self._send_on()

    def _waits(self, size: int) -> bool:
        """Whether a message waits for a batch, because the disk has enough to do already."""
        is_busy = self._committing or self._singles >= self.pace.worth
        return size <= _LARGEST and (is_busy or bool(self._waiting)) and self._takes_batches()

    def _takes_batches(self) -> bool:
        now = _now()
        if now < self._ask_at:
            return self._allowed
        if not self._asks:
            return True
        self._ask_at = now + _ASK_AGAIN
        self._spawn(self._ask())
        return self._allowed

    async def _ask(self) -> None:
        """Find out whether the stream takes batches, and has one copy."""
        self._allowed = False
        try:
            info = await self._requests.api(f"STREAM.INFO.{self.stream}")
        except PermissionDenied:
            return
        except BusError:
            self._ask_at = _now() + _PAUSE
            return
        config: dict[str, Any] = info["config"]
        self._allowed = bool(config.get(BATCHES)) and config.get("num_replicas", 1) == 1

    def _send_on(self) -> None:
        """Send what waits, once little is under way."""
        worth = self.pace.worth
        if self._committing or self._singles * 2 > worth:
            return  # called again when that is stored
        is_sample = self.pace.is_stale(_now())
        group = self._take(max(worth, _SAMPLE) if is_sample else _MOST)
        if is_sample or len(group) < worth:
            self._send_each(group)
        else:
            self._committing = True
            self._spawn(self._commit(group))

    def _take(self, most: int) -> list[_Message]:
        """The first messages that can be in one batch; the others keep waiting, in order."""
        group: list[_Message] = []
        rest: list[_Message] = []
        keys: set[str] = set()
        size = 0
        for message in self._waiting:
            if message.stored.done():
                continue  # its caller was cancelled
            size += len(message.data)
            if message.key in keys or len(group) == most or size > _MOST_BYTES:
                rest.append(message)
            else:
                group.append(message)
            keys.add(message.key)
        self._waiting = rest
        return group

    def _send_each(self, group: list[_Message]) -> None:
        for message in group:
            self._singles += 1  # now, or `_send_on` would not see it
            self._spawn(self._send_alone(message))

    async def _send_alone(self, message: _Message) -> None:
        sent = _now()
        try:
            ack = await self._requests.store(message.subject, message.data, message.headers)
        except Exception as error:  # noqa: BLE001  its caller handles it
            _fail(message, error)
        else:
            _tell(message, ack)
        finally:
            self._singles -= 1
            self.pace.note_single(sent, _now(), self._singles)
            self._send_on()

    async def _commit(self, group: list[_Message]) -> None:
        """Store a batch; if it is refused, its messages one by one."""
        sent = _now()
        try:
            last = await self._send(group)
        except (PublishUnconfirmed, NotConnected) as error:
            for message in group:
                _fail(message, error)
        except BusError as error:
            self._refused(error)
            self._send_each(group)
        except Exception as error:  # noqa: BLE001  or its callers would wait forever
            for message in group:
                _fail(message, error)
        else:
            self.batches += 1
            self.pace.note_batch(sent, _now())
            for place, message in enumerate(group, 1):
                _tell(message, PubAck(last.stream, last.seq - len(group) + place))
        finally:
            self._committing = False
            self._send_on()

    def _refused(self, error: BusError) -> None:
        if not isinstance(error, Conflict) and error.code != _TWICE:
            # It takes no batches now, for whatever reason.
            self._allowed = False
            is_final = error.code == _TAKES_NONE and not self._asks
            self._ask_at = _now() + (_ASK_AGAIN if is_final else _PAUSE)

    async def _send(self, group: list[_Message]) -> PubAck:
        """Publish a batch in one turn of the event loop; return its last message's acknowledgement.

        Raises what `Requests.store` raises.
        """
        name = f"{self._name}-{next(self._numbers)}"
        for place, message in enumerate(group[:-1], 1):
            headers = {**message.headers, _ID: name, _PLACE: str(place)}
            self._requests.nc.send(message.subject, message.data, "", headers)
        last = group[-1]
        headers = {**last.headers, _ID: name, _PLACE: str(len(group)), _COMMIT: "1"}
        return await self._requests.store(last.subject, last.data, headers)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _tell(message: _Message, ack: PubAck) -> None:
    if not message.stored.done():
        message.stored.set_result(ack)


def _fail(message: _Message, error: Exception) -> None:
    if not message.stored.done():
        message.stored.set_exception(error)
