"""What a body's steps need of the app and the worker they run in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
import structlog

from ..bus.errors import BusError
from ..bus.token import check_words
from . import clock
from .entry import Awaited, Origin, Raw, Started
from .errors import Interrupted
from .failure import told
from .ids import timer_name
from .place import place_of
from .retry import Retry
from .speech import Stage
from .times import iso
from .vouching import Signers

log = structlog.get_logger("layby.step")

_ADVICE = (
    "it did something before its first step, which happens again each time that it has waited: "
    "put what must happen once into ctx.step.run(...)"
)


_LAST = 1e12
"""Unix seconds that no time of ours comes near."""


class Due(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a wake-up: what is due."""

    kind: str
    """`wake` for a sleep or back-off, `question` for a deadline, `run` for a run's timeout."""
    run: str
    at: float
    frame: str = ""
    key: str = ""
    role: str = ""
    ticket: str = ""
    question: str = ""
    limit: float = 0.0
    """Seconds that the run may take, without the time that people take."""
    early: bool = False
    """Of a run's timeout: it is to count as passed; tests do not wait."""

    def __post_init__(self) -> None:
        """Refuse what would become a subject, or is no time. Raises ValueError."""
        check_words(self.run, self.role)
        if not self.run or not (0 <= self.at < _LAST and 0 <= self.limit < _LAST):
            raise ValueError("it names no run, or no time")


class Timers(Protocol):
    """Arms wake-ups that outlive the worker."""

    async def arm(self, name: str, at: float, body: bytes) -> None:
        """Deliver `body` at `at` (Unix seconds); repeatable by the same name. Raises BusError."""


class Values(Protocol):
    """Keeps big values apart from the log."""

    async def deflate(self, raw: Raw, run: str) -> Raw:
        """`raw` as it is recorded. Raises BusError."""
        ...

    async def inflate(self, raw: Raw) -> Raw:
        """A recorded value, whole. Raises BusError."""
        ...


class EventBook(Protocol):
    """Registers who waits for which event."""

    def check(self, subject: str) -> None:
        """Raise InvalidSetup for a subject that the app has not declared."""

    async def register(self, run: str, record: Awaited, since: float) -> None:
        """Have `record` settled by an event published after `since`; repeatable."""


class Children(Protocol):
    """Starts runs of the app's workflows for other runs."""

    def prepare(self, workflow: str, data: Any, origin: Origin) -> tuple[str, Started, str]:
        """The child's run id, its first record, and the actor it is addressed to."""
        ...

    async def ensure(self, run: str, started: Started, actor: str) -> None:
        """Start the run unless it was started before."""

    async def end(self, run: str, parent: str, at: int, reason: str) -> None:
        """End a run that its parent did not wait for any more at its position `at`."""

    async def again(self, run: str, parent: str, n: int) -> None:
        """Have the run go on, or tell how it ended, for a parent reopened at its position `n`."""


Publish = Callable[[str, bytes, str], Awaitable[None]]
"""Publishes an event: subject, body, event id."""


@dataclass(kw_only=True)
class Services:
    """Settings and ports that every step of an app shares."""

    timers: Timers
    blobs: Values
    ask_timeout: float = 4 * 3600.0
    """Seconds that a person has to answer."""
    events: EventBook | None = None
    """Where waits for events are registered; None when the app waits for none."""
    children: Children | None = None
    """What runs of other workflows are started through."""
    publish: Publish | None = None
    fingerprint: str = ""
    """Of the worker's release: see `Blocked`."""
    announce_blocked: Callable[[str], Awaitable[None]] | None = None
    """Tells all workers that a run is blocked, which one of them may fit."""
    announce_end: Callable[[str], Awaitable[None]] | None = None
    """Tells all workers to stop working on a run that was ended from outside."""
    history: Any = None
    """Where conversations are kept, an `actors.thread.HistoryStore`; None: nowhere."""
    stage: Stage | None = None
    """Where models are heard while they speak; None: they are not."""
    actors: frozenset[str] | None = None
    """Addresses that somebody takes mail for; None: unknown."""
    max_questions: int = 5
    roles: tuple[str, ...] = ("developer",)
    signers: Signers = field(default_factory=Signers)
    """The roles whose answers must be signed, with their keys."""
    role_address: Callable[[str], str]
    """The address of whoever answers for a role."""
    retry: Retry = field(default_factory=Retry)

    repeated: set[str] = field(default_factory=set[str])
    """Tools that were seen to do something again that is in no step."""

    def note_repeat(self, run: str, tool: str) -> None:
        """Tell the log, once for each tool, that code of it has run again."""
        if tool not in self.repeated:
            self.repeated.add(tool)
            log.warning("tool.ran_again", run=run, tool=tool, advice=_ADVICE)

    async def arm_wake(self, name: str, at: float, run: str, frame: str, key: str) -> None:
        """Wake `key` of a run's frame at `at` (Unix seconds). Raises Interrupted."""
        due = Due(kind="wake", run=run, at=at, frame=frame, key=key)
        try:
            await self.timers.arm(name, at, msgspec.json.encode(due))
        except BusError as error:
            raise Interrupted(str(error)) from error

    async def arm_limit(self, run: str, at: float, limit: float) -> None:
        """Look at `at` (Unix seconds) whether a run has taken more than `limit` seconds."""
        due = Due(kind="run", run=run, at=at, limit=limit)
        try:
            await self.timers.arm(timer_name(run, "", f"{at:.3f}"), at, msgspec.json.encode(due))
        except BusError as error:
            raise Interrupted(str(error)) from error

    async def deflate(self, raw: Raw, run: str) -> Raw:
        """`raw` as it is recorded in a run: put away where it is big. Raises Interrupted."""
        try:
            return await self.blobs.deflate(raw, run)
        except BusError as error:
            raise Interrupted(str(error)) from error

    async def inflate(self, raw: Raw) -> Raw:
        """A recorded value, fetched where it was put away. Raises Interrupted."""
        try:
            return await self.blobs.inflate(raw)
        except BusError as error:
            raise Interrupted(str(error)) from error

    def log_failure(
        self, run: str, key: str, error: Exception, attempt: int, pause: float | None
    ) -> None:
        """Tell the log that a try failed."""
        log.warning(
            "step.failed",
            run=run,
            step=key,
            error=f"{type(error).__name__}: {told(error)}",
            place=str(place_of(error) or ""),
            attempt=attempt,
            again_at=None if pause is None else iso(clock.now() + pause),
            exc_info=error if attempt == 1 or pause is None else None,
        )
