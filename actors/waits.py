"""Who waits for which event: the bucket `waits`, and the actor that looks events up in it.

A wait is found by what it matches: the subject, and the names and values of the fields. Which
names are in use is kept per subject (its shapes), so that an event is looked up once for each shape
and not once for each waiting run.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import msgspec

from ..bus.bucket import Bucket
from ..bus.errors import BusError, Conflict
from ..bus.mailbox import Delivery
from ..bus.requests import Requests
from ..runtime.entry import Arrived, Awaited, Cancelled, Raw
from ..runtime.errors import Fenced, Interrupted, InvalidSetup
from ..runtime.host import Host
from ..runtime.run import LiveRun
from ..runtime.times import iso
from .cancel import CANCEL_KEY

_PAGE = 200
_KEEP = 7 * 86_400.0
_MARGIN = 1.0
"""Seconds by which a worker's clock may be ahead of the server's when it says when a run began."""


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """One key of a run's frame that waits."""

    run: str
    frame: str
    key: str


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """Everybody who waits for the same event."""

    waits: tuple[Wait, ...] = ()


class Shapes(msgspec.Struct, frozen=True, kw_only=True):
    """The sets of field names by which events of one subject are waited for."""

    subject: str
    shapes: tuple[tuple[str, ...], ...] = ()


T = TypeVar("T", Waits, Shapes)


def _digest(*parts: str) -> str:
    text = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(text, digest_size=15).digest()
    return base64.b32encode(digest).decode().lower()


def _shape_key(subject: str) -> str:
    return f"shapes-{_digest(subject)}"


def _wait_key(subject: str, match: dict[str, Any]) -> str:
    canonical = json.dumps(match, sort_keys=True, separators=(",", ":"))
    return f"wait-{_digest(subject, canonical)}"


class WaitActor:
    """Registers waits, and wakes the runs whose event has come."""

    def __init__(
        self, subjects: frozenset[str], bucket: Bucket, requests: Requests, host: Host
    ) -> None:
        self._subjects = subjects
        self._bucket = bucket
        self._requests = requests
        self._host = host

    def check(self, subject: str) -> None:
        """Raise InvalidSetup for a subject whose events the app does not keep."""
        if subject not in self._subjects:
            raise InvalidSetup(
                f"nobody keeps events on {subject!r}: declare it with App(events=[{subject!r}]); "
                f"declared: {', '.join(sorted(self._subjects)) or 'none'}"
            )

    async def register(self, run: str, record: Awaited, since: float) -> None:
        """Have `record` settled by an event stored after `since`, early ones included."""
        try:
            await self._add_shape(record)
            await self._add_wait(run, record)
            early = await self._early(record, since)
            if early is not None:
                seq, data = early
                wait = Wait(run=run, frame=record.frame, key=record.key)
                await self._settle(wait, data, seq)
        except BusError as error:
            raise Interrupted(str(error)) from error

    async def event(self, delivery: Delivery) -> None:
        """Wake whoever waits for an event."""
        event = _object(delivery.data)
        shapes = await self._bucket.get_newest(_shape_key(delivery.subject))
        if event is not None and shapes is not None:
            for names in msgspec.json.decode(shapes.value, type=Shapes).shapes:
                if all(name in event for name in names):
                    match = {name: event[name] for name in names}
                    await self._wake(_wait_key(delivery.subject, match), delivery)
        await delivery.ack()

    async def _wake(self, key: str, delivery: Delivery) -> None:
        item = await self._bucket.get_newest(key)
        if item is None:
            return
        for wait in msgspec.json.decode(item.value, type=Waits).waits:
            await self._settle(wait, delivery.data, delivery.seq)
            await self._change(key, Waits(), partial(_without, wait))

    async def _settle(self, wait: Wait, data: bytes, seq: int) -> None:
        live = await self._host.open(wait.run)
        if live.state.slot(wait.frame, wait.key) is None:
            await live.catch_up()
        frame = live.state.frames.get(wait.frame)
        if frame is None:
            return
        if wait.key == CANCEL_KEY:
            reason = f"event {seq} asked for it"
            await self._host.end(live, Cancelled(reason=reason))
            return
        arrived = Arrived(frame=wait.frame, key=wait.key, event=Raw(data.strip()), seq=seq)
        with suppress(Fenced):
            await live.append([arrived], to=frame.actor)

    async def tidy(self, live: LiveRun) -> None:
        """Forget what a run that is over has waited for."""
        for frame in live.state.frames.values():
            for key, slot in frame.slots.items():
                if slot.kind == "event":
                    wait = Wait(run=live.id, frame=frame.id, key=key)
                    await self.forget(wait, slot.ref, slot.match)

    async def forget(self, wait: Wait, subject: str, match: dict[str, Any]) -> None:
        """Wake `wait` no more."""
        await self._change(_wait_key(subject, match), Waits(), partial(_without, wait))

    async def _early(self, record: Awaited, since: float) -> tuple[int, bytes] | None:
        """The first matching event since the run began."""
        body: dict[str, Any] = {"next_by_subj": record.subject, "batch": _PAGE}
        body["start_time"] = iso(since - _MARGIN)
        while messages := await self._requests.direct_get("EVENTS", body):
            last = 0
            for msg in messages:
                headers = msg.headers or {}
                if "Nats-Sequence" not in headers:
                    continue
                last = int(headers["Nats-Sequence"])
                event = _object(msg.data)
                if event is not None and _matches(event, record.match):
                    return last, msg.data
            if not last:
                break
            body = {"next_by_subj": record.subject, "batch": _PAGE, "seq": last + 1}
        return None

    async def _add_shape(self, record: Awaited) -> None:
        names = tuple(sorted(record.match))

        def add(shapes: Shapes) -> Shapes:
            if names in shapes.shapes:
                return shapes
            return msgspec.structs.replace(shapes, shapes=(*shapes.shapes, names))

        await self._change(_shape_key(record.subject), Shapes(subject=record.subject), add)

    async def _add_wait(self, run: str, record: Awaited) -> None:
        wait = Wait(run=run, frame=record.frame, key=record.key)

        def add(waits: Waits) -> Waits:
            if wait in waits.waits:
                return waits
            return Waits(waits=(*waits.waits, wait))

        await self._change(_wait_key(record.subject, record.match), Waits(), add)

    async def _change(self, key: str, empty: T, update: Callable[[T], T]) -> None:
        while True:
            item = await self._bucket.get_newest(key)
            old = msgspec.json.decode(item.value, type=type(empty)) if item else empty
            new = update(old)
            if new == old:
                return
            ttl = _KEEP if new == Waits() else None
            try:
                revision = item.revision if item else 0
                await self._bucket.put(key, msgspec.json.encode(new), revision=revision, ttl=ttl)
            except Conflict:
                continue
            return


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def _matches(event: dict[str, Any], match: dict[str, Any]) -> bool:
    return all(name in event and event[name] == value for name, value in match.items())


def _without(wait: Wait, waits: Waits) -> Waits:
    return Waits(waits=tuple(each for each in waits.waits if each != wait))
