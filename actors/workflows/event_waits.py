"""Which runs wait for which event: the bucket `waits`, and the actor that looks events up in it.

A wait is found by what it matches: the subject, and the paths and values of the fields. The paths
in use are kept per subject (its shapes), so that an event is looked up once for each shape and not
once for each waiting run.

A wait gets the first event that fits: stored since the run began, and not consumed by a wait that
was over before this one began. The log says what was consumed (`RunState.consumed_before`) and
refuses it a second time. Events are handled concurrently, so the current one need not be the first:
those that were stored before it are read too, from where the registration stopped (`Wait.seen`).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import msgspec

from ...bus.bucket import Bucket
from ...bus.errors import BusError, Conflict
from ...bus.events import Event, Events, Fits, StoredEvent
from ...bus.mailbox import Delivery
from ...bus.token import is_word
from ...runtime import crash
from ...runtime.entry import Arrived, Awaited, Cancelled, Raw
from ...runtime.errors import Fenced, Interrupted, InvalidSetup
from ...runtime.host import Host
from ...runtime.matching import canonical, event_of, fields, matches, written
from ...runtime.run import LiveRun
from ...runtime.state import RunState
from .cancel import CANCEL_KEY

_KEEP = 7 * 86_400.0
_MARGIN = 1.0
"""Seconds by which a worker's clock may be ahead of the server's when it says when a run began."""


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """One key of a run's frame that waits for an event."""

    run: str
    frame: str
    key: str
    seen: int | None = None
    """No event up to this sequence is for it; None: registered by an earlier version."""
    reopened: int = 0
    """The position at which its run was last reopened before."""

    def __post_init__(self) -> None:
        """Refuse an id that no run can have: it would become a subject. Raises ValueError."""
        if not is_word(self.run):
            raise ValueError(f"{self.run[:80]!r} is not the id of a run")

    def is_for(self, other: Wait) -> bool:
        """Whether both are the same wait, apart from what they have seen."""
        return (self.run, self.frame, self.key) == (other.run, other.frame, other.key)


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """All waits for the same event."""

    waits: tuple[Wait, ...] = ()


class Shapes(msgspec.Struct, frozen=True, kw_only=True):
    """The sets of paths by which events of one subject are waited for."""

    subject: str
    shapes: tuple[tuple[str, ...], ...] = ()


T = TypeVar("T", Waits, Shapes)

_read_shapes = msgspec.json.Decoder(Shapes).decode
_read_waits = msgspec.json.Decoder(Waits).decode


def _digest(*parts: str) -> str:
    text = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(text, digest_size=15).digest()
    return base64.b32encode(digest).decode().lower()


def _shape_key(subject: str) -> str:
    return f"shapes-{_digest(subject)}"


def _wait_key(subject: str, match: dict[str, Any]) -> str:
    return f"wait-{_digest(subject, canonical(match))}"


def _wait_keys(subject: str, match: dict[str, Any]) -> set[str]:
    """Where the waits for `match` are, including those that an earlier version registered."""
    return {_wait_key(subject, match), f"wait-{_digest(subject, written(match))}"}


EventsOn = Callable[[str], Events]
"""The stream that has the events on a subject."""


class WaitActor:
    """Registers waits, and wakes the runs whose event has come."""

    def __init__(
        self, subjects: frozenset[str], bucket: Bucket, events: EventsOn, host: Host
    ) -> None:
        self._subjects = subjects
        self._bucket = bucket
        self._events = events
        self._host = host

    def check(self, subject: str) -> None:
        """Raise InvalidSetup for a subject whose events the app does not keep."""
        if subject not in self._subjects:
            raise InvalidSetup(
                f"nobody keeps events on {subject!r}: declare it with App(events=[{subject!r}]); "
                f"declared: {', '.join(sorted(self._subjects)) or 'none'}"
            )

    async def register(self, run: str, record: Awaited, since: float) -> None:
        """Settle `record` with the first matching event stored after `since`, now or later."""
        try:
            await self._register(await self._host.open(run), record, since)
        except BusError as error:
            raise Interrupted(str(error)) from error

    async def _register(self, live: LiveRun, record: Awaited, since: float) -> None:
        if record.key != CANCEL_KEY and live.state.slot(record.frame, record.key) is None:
            await live.catch_up()
        reopened = live.state.reopened
        wait = Wait(run=live.id, frame=record.frame, key=record.key, reopened=reopened)
        after = self._after(live.state, record)
        seen, early = await self._early(live, record, after, None if after else since - _MARGIN)
        if early is not None:
            await self._settle(live, wait, early)
            return
        await self._add_shape(record)
        await self._add_wait(wait, record, seen)
        # Nobody else has read what was stored before the wait became visible.
        _, early = await self._early(live, record, seen, None)
        if early is not None:
            await self._settle(live, wait, early)
            await self.forget(wait, record.subject, record.match)

    async def _early(
        self, live: LiveRun, record: Awaited, after: int, since: float | None
    ) -> tuple[int, StoredEvent | None]:
        """Up to where events were read, and the first of them that fits."""
        newest, at = await self._events(record.subject).newest(record.subject)
        if newest <= after or (since is not None and at < since):
            return newest, None
        fits = _fits(live.state, record.frame, record.key, record.match)
        return newest, await self._events(record.subject).first(
            record.subject, fits, upto=newest, after=after, since=since
        )

    async def event(self, delivery: Delivery) -> None:
        """Wake the runs that wait for an event."""
        await self.deliver(delivery)
        await delivery.ack()

    async def deliver(self, given: Event) -> None:
        """Wake the runs that wait for an event, which may have been given up before. Repeatable."""
        event = event_of(given.data)
        item = await self._bucket.get_newest(_shape_key(given.subject))
        shapes = item.read(_read_shapes) if item is not None else None
        if event is not None and shapes is not None:
            for paths in shapes.shapes:
                match = fields(event, paths)
                for key in _wait_keys(given.subject, match) if match is not None else ():
                    await self._wake(key, match or {}, given)

    async def _wake(self, key: str, match: dict[str, Any], given: Event) -> None:
        item = await self._bucket.get_newest(key)
        waits = item.read(_read_waits) if item is not None else None
        for wait in waits.waits if waits is not None else ():
            if await self._offer(wait, match, given):
                await self._change(key, Waits(), partial(_without, wait))

    async def _offer(self, wait: Wait, match: dict[str, Any], given: Event) -> bool:
        """Offer an event to a wait; return whether the wait is over."""
        live = await self._host.open(wait.run)
        if live.state.slot(wait.frame, wait.key) is None:
            await live.catch_up()
        if wait.key == CANCEL_KEY and self._precedes(given, live.state):
            return False
        if wait.key == CANCEL_KEY:
            if live.state.frames:
                await self._settle(live, wait, StoredEvent(given.seq, given.data))
            return True
        event = await self._event_for(live, wait, match, given)
        if event is not None:
            await self._settle(live, wait, event)
        return _is_closed(live.state, wait)

    async def _event_for(
        self, live: LiveRun, wait: Wait, match: dict[str, Any], given: Event
    ) -> StoredEvent | None:
        """The first event for a wait: the given one, or one that was stored before it."""
        if _is_closed(live.state, wait) or self._precedes(given, live.state):
            return None
        fits = _fits(live.state, wait.frame, wait.key, match, known=given.seq)
        events = self._events(given.subject)
        seen = wait.seen if wait.seen is not None else await events.handled()
        if seen < given.seq:
            event = await events.first(
                given.subject, fits, upto=given.seq, after=seen, skip=events.handled
            )
            if event is not None:
                return event
        current = StoredEvent(given.seq, given.data)
        return current if fits(*current) else None

    def _began(self, state: RunState, subject: str) -> int:
        """The sequence of the run's own event; 0: unknown, or not in the subject's stream."""
        same = self._events(state.on).stream == self._events(subject).stream
        return state.seq if same else 0

    def _precedes(self, given: Event, state: RunState) -> bool:
        """Whether an event was stored before the run began; by time if the stream is a new one."""
        began = self._began(state, given.subject)
        if not began:
            return given.at < state.started_at - _MARGIN
        return given.seq <= began and given.at <= state.started_at + _MARGIN

    def _after(self, state: RunState, record: Awaited) -> int:
        """The sequence up to which no event is for a wait; 0: not known.

        That of its run's own event, or of the last event that an equal wait of the frame consumed,
        which was the first that fitted then.
        """
        began, slot = self._began(state, record.subject), state.slot(record.frame, record.key)
        if slot is None:
            return began
        consumed = state.consumed_before(slot)
        equal = [
            other.seq
            for other in state.frames[record.frame].slots.values()
            if other.ref == slot.ref and other.match == slot.match and other.seq in consumed
        ]
        return max([began, *equal])

    async def _settle(self, live: LiveRun, wait: Wait, event: StoredEvent) -> None:
        frame = live.state.frames[wait.frame]
        if wait.key == CANCEL_KEY:
            await self._host.end(live, Cancelled(reason=f"event {event.seq} asked for it"))
            return
        arrived = Arrived(
            frame=wait.frame, key=wait.key, event=Raw(event.data.strip()), seq=event.seq
        )
        crash.point("before_arrived")
        with suppress(Fenced):
            await live.append([arrived], to=frame.actor)
        crash.point("after_arrived")

    async def tidy(self, live: LiveRun) -> None:
        """Remove the waits of a run that has ended; those registered since it was reopened stay."""
        at = live.state.tail
        if not live.state.ended:
            return  # it was reopened since
        frames = live.state.frames.values()
        slots = [slot for frame in frames for slot in frame.slots.values() if slot.kind == "event"]
        keys = [key for slot in slots for key in _wait_keys(slot.ref, slot.match)]
        for key in dict.fromkeys(keys):  # a chat of a thousand messages has only one
            await self._change(key, Waits(), partial(_without_run, live.id, at))

    async def forget(self, wait: Wait, subject: str, match: dict[str, Any]) -> None:
        """Remove `wait`: nothing wakes it any longer."""
        for key in _wait_keys(subject, match):
            await self._change(key, Waits(), partial(_without, wait))

    async def _add_shape(self, record: Awaited) -> None:
        names = tuple(sorted(record.match))

        def add(shapes: Shapes) -> Shapes:
            if names in shapes.shapes:
                return shapes
            return msgspec.structs.replace(shapes, shapes=(*shapes.shapes, names))

        await self._change(_shape_key(record.subject), Shapes(subject=record.subject), add)

    async def _add_wait(self, wait: Wait, record: Awaited, seen: int) -> None:
        def add(waits: Waits) -> Waits:
            known = [each for each in waits.waits if wait.is_for(each)]
            if any(each.reopened >= wait.reopened for each in known):
                return waits
            others = (each for each in waits.waits if each not in known)
            added = msgspec.structs.replace(wait, seen=seen)
            return Waits(waits=(*others, added))

        await self._change(_wait_key(record.subject, record.match), Waits(), add)

    async def _change(self, key: str, empty: T, update: Callable[[T], T]) -> None:
        while True:
            item = await self._bucket.get_newest(key)
            known = (
                item.read(msgspec.json.Decoder(type(empty)).decode) if item is not None else None
            )
            old = empty if known is None else known
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


def _fits(state: RunState, frame: str, key: str, match: dict[str, Any], *, known: int = 0) -> Fits:
    """Whether an event is for a wait: it matches, and no wait before this one has consumed it.

    `known` is the sequence of an event that `match` was read from: it matches.
    """
    slot = state.slot(frame, key)
    consumed = state.consumed_before(slot) if slot is not None else frozenset[int]()
    return lambda seq, data: seq not in consumed and (seq == known or matches(data, match))


def _is_closed(state: RunState, wait: Wait) -> bool:
    slot = state.slot(wait.frame, wait.key)
    return slot is None or bool(slot.settled) or state.ended


def _without(wait: Wait, waits: Waits) -> Waits:
    return Waits(waits=tuple(each for each in waits.waits if not each.is_for(wait)))


def _without_run(run: str, at: int, waits: Waits) -> Waits:
    """Without the waits of a run up to its position `at`.

    The wait for the event that cancels it stays, because the run may be reopened.
    """
    kept = (
        each
        for each in waits.waits
        if each.run != run or each.key == CANCEL_KEY or each.reopened > at
    )
    return Waits(waits=tuple(kept))
