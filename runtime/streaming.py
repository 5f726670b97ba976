"""Streams the text of models while it is produced; it is published at once and not stored.

The run's log stays the only truth. A delta names the step whose result will hold the whole text, so
a listener that missed deltas loses nothing in the end.
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

log = structlog.get_logger("layby.streaming")

EVENTS = "events"
"""Subject prefix of the live events of a run: `events.<run>`."""
_WINDOW = 0.05
"""Seconds of text that are sent together."""
_LARGEST = 16_384
"""Characters after which text is sent before the window ends."""

Publish = Callable[[str, bytes], None]
"""Publishes to current listeners: subject, body."""


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """One thing that happened in a run.

    Attributes:
        id: Its number: resume after it with `Client.events(run, after=event.id)`.
        run: The run's id.
        at: When, ISO 8601 in UTC.
        agent: Who did it: an agent, a network, or the workflow.
        step: The step of the run that it belongs to; empty if it belongs to none.
    """

    id: str
    run: str
    at: str
    agent: str = ""
    step: str = ""


class TextDelta(Event, frozen=True, kw_only=True, tag="text.delta"):
    """Text that a model has just produced; `model.responded` of the same `step` has all of it.

    Attributes:
        answer: The answer that it is part of. A new one for the same `step` begins from nothing,
            because the model was asked again after the earlier answer broke off.
        index: Its place in the answer, from 0; a gap is text that was lost.
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


class TextStream:
    """The text of one model answer. Call it with each piece of text, on the event loop."""

    def __init__(self, publish: Publish, window: float, **names: Any) -> None:
        self._publish = publish
        self._window = window
        self._names = names
        self._pieces: list[str] = []
        self._size = 0
        self._sent = 0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def __call__(self, text: str) -> None:
        """Take a piece of text; it is sent within the window."""
        if self._closed or not text:
            return
        self._pieces.append(text)
        self._size += len(text)
        if self._size >= _LARGEST:
            self._flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._window, self._flush)

    def restart(self) -> None:
        """Begin another answer, because the one so far broke off."""
        self._flush()
        self._names["answer"] = secrets.token_hex(4)
        self._sent = 0

    def close(self) -> None:
        """Send what is left; later text is dropped."""
        self._closed = True
        self._flush()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._pieces:
            return
        text, self._pieces, self._size = "".join(self._pieces), [], 0
        delta = TextDelta(text=text, index=self._sent, at=iso(time.time()), **self._names)
        self._sent += 1
        try:
            self._publish(f"{EVENTS}.{delta.run}", msgspec.json.encode(delta))
        except BusError as error:  # an answer must not fail because a delta was lost
            log.debug("delta.lost", run=delta.run, error=str(error))


class TextStreams:
    """Opens a `TextStream` for each model answer of a worker."""

    def __init__(self, publish: Publish, *, window: float = _WINDOW) -> None:
        self._publish = publish
        self._window = window

    @contextmanager
    def open(self, *, run: str, step: str, agent: str, after: int) -> Generator[TextStream]:
        """The text stream of one answer, flushed when the block ends."""
        stream = TextStream(
            self._publish,
            self._window,
            id=str(after),
            run=run,
            step=step,
            agent=agent,
            after=after,
            answer=secrets.token_hex(4),
        )
        try:
            yield stream
        finally:
            stream.close()
