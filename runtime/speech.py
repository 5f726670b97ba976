"""What a run says while it says it: text that is told at once and kept by nobody.

The run's log stays the only truth. A delta names the step whose result will hold the whole text,
so whoever missed some, or all, misses nothing in the end.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import msgspec
import structlog

from ..bus.errors import BusError
from .entry import ROOT
from .times import iso

log = structlog.get_logger("layby.speech")

EVENTS = "events"
"""Subject prefix of what is told of a run: `events.<run>`."""
_WINDOW = 0.05
"""Seconds of text that travel together."""
_LARGEST = 16_384
"""Characters that do not wait for the window's end."""

Tell = Callable[[str, bytes], None]
"""Publishes to whoever listens now: subject, body."""


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """One thing that happened in a run.

    Attributes:
        id: Its number: resume after it with `Client.events(run, after=event.id)`.
        run: The run's id.
        at: When, ISO 8601 in UTC.
        agent: Who did it: an agent, a network, or the workflow.
        step: Which step of the run it belongs to; empty for what belongs to none.
    """

    id: str
    run: str
    at: str
    agent: str = ""
    step: str = ""


class TextDelta(Event, frozen=True, kw_only=True, tag="text.delta"):
    """Text that a model has said just now; the `model.responded` of the same `step` has it all.

    Attributes:
        answer: Which answer it is a part of. A new one for the same `step` begins from nothing:
            the model was asked again, for the first answer broke off.
        index: Its place in the answer, from 0; a gap is text that was lost on the way.
        after: The last position of the run's log before the answer began.
        text: The text.
    """

    answer: str
    index: int
    after: int
    text: str


def step_name(frame: str, key: str) -> str:
    """The name of a step in events: the path to it."""
    return key if frame == ROOT else f"{frame.removeprefix(f'{ROOT}/')}/{key}"


class Speech:
    """One answer of a model on its way out. Call it with each piece of text, on the event loop."""

    def __init__(self, tell: Tell, window: float, **names: Any) -> None:
        self._tell = tell
        self._window = window
        self._names = names
        self._pieces: list[str] = []
        self._size = 0
        self._told = 0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def __call__(self, text: str) -> None:
        """Take a piece of text; it is told within the window."""
        if self._closed or not text:
            return
        self._pieces.append(text)
        self._size += len(text)
        if self._size >= _LARGEST:
            self._flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._window, self._flush)

    def restart(self) -> None:
        """Begin another answer: what was told so far is of one that broke off."""
        self._flush()
        self._names["answer"] = secrets.token_hex(4)
        self._told = 0

    def close(self) -> None:
        """Tell what is left; what comes later is dropped."""
        self._closed = True
        self._flush()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._pieces:
            return
        text, self._pieces, self._size = "".join(self._pieces), [], 0
        delta = TextDelta(text=text, index=self._told, at=iso(time.time()), **self._names)
        self._told += 1
        try:
            self._tell(f"{EVENTS}.{delta.run}", msgspec.json.encode(delta))
        except BusError as error:  # nobody shall lose an answer for want of an audience
            log.debug("delta.lost", run=delta.run, error=str(error))


class Stage:
    """Where the models of a worker speak: opens a `Speech` for each answer."""

    def __init__(self, tell: Tell, *, window: float = _WINDOW) -> None:
        self._tell = tell
        self._window = window

    @contextmanager
    def speech(self, *, run: str, step: str, agent: str, after: int) -> Generator[Speech]:
        """The way out for one answer, flushed when the block ends."""
        speech = Speech(
            self._tell,
            self._window,
            id=str(after),
            run=run,
            step=step,
            agent=agent,
            after=after,
            answer=secrets.token_hex(4),
        )
        try:
            yield speech
        finally:
            speech.close()
