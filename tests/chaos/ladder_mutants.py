"""Seeded faults in how people are reminded: what the campaign `ladders` must catch."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any
from unittest.mock import ANY

import msgspec

from layby.actors.people import contest, duty, rung_publisher, rungs
from layby.runtime import conflicts
from layby.runtime.ladder import Ladder
from layby.runtime.ladder_records import Reached

from .replacing import replace


def _no(*_: Any) -> bool:
    return False


async def _nothing(*_: Any, **__: Any) -> None:
    """Do not do it."""


def rung_fires_twice() -> None:
    """Record every rung that fires, whether it was reached before or not."""
    conflicts._CONFLICTS[Reached] = _no  # pyright: ignore[reportPrivateUsage]
    replace(Ladder, "was_reached", lambda _: _no)
    replace(rungs, "_was_reached", lambda _: _no)

    def make(due: Any) -> Any:
        async def twice(self: Any, which: Any, delivery: Any) -> None:
            await due(self, which, delivery)
            await due(self, which, delivery)

        return twice

    replace(rungs.Rungs, "due", make)


def reminder_published_twice() -> None:
    """Publish a rung without its id, and do not look whether it is in the stream."""

    def make(headers: Any) -> Any:
        def without_id(*which: Any) -> dict[str, str]:
            return {**headers(*which), "Nats-Msg-Id": uuid.uuid4().hex}

        return without_id

    replace(rung_publisher.RungPublisher, "_headers", make)
    replace(rung_publisher.RungPublisher, "_find", lambda _: _nothing)


def reminded_after_the_close() -> None:
    """Publish a rung although its question is closed."""
    replace(rung_publisher, "OPEN", lambda _: ANY)


def rung_after_the_deadline() -> None:
    """Reach a rung whenever it fires."""

    def make(reach: Any) -> Any:
        async def anyway(self: Any, live: Any, question: Any, place: int, at: float) -> None:
            await reach(self, live, question, place, min(at, question.deadline - 0.001))

        return anyway

    replace(rungs.Rungs, "_reach", make)


def rung_before_its_time() -> None:
    """Take every rung for due at once."""

    def make(arm: Any) -> Any:
        async def now(self: Any, state: Any, question: Any, place: int, rung: Any) -> None:
            soon = msgspec.structs.replace(rung, at=time.time())
            await arm(self, state, question, place, soon)

        return now

    def never(*_: Any) -> bool:
        return False

    replace(rungs.Rungs, "_arm", make)
    replace(rungs, "_is_put_off", lambda _: never)  # or it is armed again until its time has come


def rungs_not_armed() -> None:
    """Forget what is to happen while a question stays open."""
    replace(rungs.Rungs, "arm", lambda _: _nothing)


def reached_and_not_published() -> None:
    """Tell nobody that a rung was reached."""
    replace(rung_publisher.RungPublisher, "show", lambda _: _nothing)


def rota_read_once() -> None:
    """Believe for ever what a rota said when it was first read."""
    replace(duty, "_FRESH", lambda _: 1e6)


def asked_role_goes_first() -> None:
    """Look for earlier answers of one role only."""

    def make(_: Any) -> Any:
        def unchanged(record: Any, role: str) -> Any:
            del role
            return record

        return unchanged

    replace(contest, "record_for", make)


FAULTS: tuple[tuple[Callable[[], None], tuple[str, ...]], ...] = (
    (rung_fires_twice, ("rung reached twice",)),
    (reminder_published_twice, ("rung published twice",)),
    (reminded_after_the_close, ("rung after the end",)),
    (rung_after_the_deadline, ("rung after the end",)),
    (rung_before_its_time, ("rung before its time",)),
    (rungs_not_armed, ("rung missed",)),
    (reached_and_not_published, ("rung without its message",)),
    (rota_read_once, ("wrong person told",)),
    (asked_role_goes_first, ("a later answer won",)),
)
"""Each with the kinds of violation that it must show as."""
