"""Conversations that outlive runs: what was said under a thread, each thing once.

An entry is the message `layby.thread.<thread>.<key>`, created once however often it is appended;
the order of a thread is that of the stream.
"""

from __future__ import annotations

from contextlib import suppress

from .errors import BusError, Conflict
from .requests import Requests
from .token import encode
from .topology import StreamSpec

STREAM = "THREADS"
_PREFIX = "layby.thread"
_PAGE = 256
_TOO_MANY = 413
_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"


def stream() -> StreamSpec:
    """The stream of all threads, which forgets nothing by itself."""
    return StreamSpec(name=STREAM, subjects=(f"{_PREFIX}.>",), config={"allow_direct": True})


class ThreadLog:
    """Appends to and reads threads."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def append(self, thread: str, key: str, data: bytes) -> None:
        """Add an entry, unless the thread has one under `key` already. Raises InvalidTicket."""
        subject = f"{_PREFIX}.{encode(thread)}.{encode(key)}"
        with suppress(Conflict):
            await self._requests.store(subject, data, {_SEQUENCE: "0"})

    async def load(self, thread: str) -> list[bytes]:
        """Every entry of a thread, oldest first. Raises InvalidTicket."""
        subjects = f"{_PREFIX}.{encode(thread)}.*"
        try:
            return await self._all_at_once(subjects)
        except BusError as error:
            if error.code != _TOO_MANY:
                raise
            return await self._one_after_another(subjects)

    async def _all_at_once(self, subjects: str) -> list[bytes]:
        body: dict[str, object] = {"multi_last": [subjects]}
        found: list[bytes] = []
        while messages := await self._requests.direct_get(STREAM, body):
            entries = [message for message in messages if not message.status]
            found += [message.data for message in entries]
            end = messages[-1].headers
            if not entries or int(end.get("Nats-Num-Pending", "0")) == 0:
                break
            last = int(entries[-1].headers["Nats-Sequence"])
            upto = int(end["Nats-UpTo-Sequence"])
            body = {"multi_last": [subjects], "seq": last + 1, "up_to_seq": upto}
        return found

    async def _one_after_another(self, subjects: str) -> list[bytes]:
        body: dict[str, object] = {"seq": 1, "batch": _PAGE, "next_by_subj": subjects}
        found: list[bytes] = []
        while messages := await self._requests.direct_get(STREAM, body):
            entries = [message for message in messages if not message.status]
            if not entries:
                break
            found += [message.data for message in entries]
            body["seq"] = int(entries[-1].headers["Nats-Sequence"]) + 1
        return found
