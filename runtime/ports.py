"""What a body's steps need from the app and the worker that they run in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
import structlog

from ..bus.errors import BusError
from ..bus.token import check_words
from . import clock
from .entry import Awaited, Origin, Raw, Started
from .errors import Interrupted
from .failure import message_of
from .ids import timer_name
from .ladders import Ladders
from .observing import UNOBSERVED, Observer
from .place import place_of
from .price import Price
from .retry import Retry
from .streaming import TextStreams
from .times import iso
from .tracing import UNTRACED, Tracer
from .vouching import Signers

log = structlog.get_logger("layby.step")

_ADVICE = (
    "it did something before its first step, which happens again after each wait: "
    "put what must happen once into ctx.step.run(...)"
)


_LAST = 1e12
"""Unix seconds: an upper limit for times."""


class Due(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a wake-up: what is due."""

    kind: str
    """`wake` for a sleep or back-off, `question` for a deadline, `rung` for a rung of its ladder,
    `run` for a run's timeout, `held` for a card that quiet hours hold, `unserved` for one that
    should have been sent by then, `missing` for a run whose timers may not be there."""
    run: str
    at: float
    frame: str = ""
    key: str = ""
    role: str = ""
    ticket: str = ""
    question: str = ""
    rung: int = 0
    """For a rung: its place in the ladder."""
    channels: tuple[str, ...] = ()
    """For a card: the channels of the role."""
    limit: float = 0.0
    """Seconds that the run may take, not counting the time that people take."""
    early: bool = False
    """For a run's timeout or a question's deadline: it counts as passed, so that tests need not
    wait."""

    def __post_init__(self) -> None:
        """Check the words that become parts of subjects, and the times. Raises ValueError."""
        check_words(self.run, self.role, *self.channels)
        if not self.run or not (0 <= self.at < _LAST and 0 <= self.limit < _LAST):
            raise ValueError("it has no run, or a time that is out of range")


class Timers(Protocol):
    """Arms wake-ups that outlive the worker."""

    async def arm(self, name: str, at: float, body: bytes) -> None:
        """Deliver `body` at `at` (Unix seconds); idempotent for the same name. Raises BusError."""


class Values(Protocol):
    """Stores big values outside the log."""

    async def deflate(self, raw: Raw, run: str) -> Raw:
        """`raw` as it is recorded. Raises BusError."""
        ...

    async def inflate(self, raw: Raw) -> Raw:
        """The full value of a recorded one. Raises BusError."""
        ...


class EventBook(Protocol):
    """Registers waits for events."""

    def check(self, subject: str) -> None:
        """Raise InvalidSetup for a subject that the app has not declared."""

    async def register(self, run: str, record: Awaited, since: float) -> None:
        """Settle `record` with an event published after `since`; idempotent."""


class Children(Protocol):
    """Starts runs of the app's workflows for other runs."""

    def prepare(self, workflow: str, data: Any, origin: Origin) -> tuple[str, Started, str]:
        """The child's run id, its first record, and the actor it is addressed to."""
        ...

    async def ensure(self, run: str, started: Started, actor: str) -> None:
        """Start the run if it has not been started."""

    async def end(self, run: str, parent: str, at: int) -> None:
        """End a run that its parent, at its position `at`, no longer waits for."""

    async def again(self, run: str, parent: str, n: int) -> None:
        """Continue the run, or report how it ended, to a parent reopened at its position `n`."""


Publish = Callable[[str, bytes, str], Awaitable[None]]
"""Publishes an event: subject, body, event id."""


@dataclass(kw_only=True)
class Ports:
    """Settings and ports that all steps of an app share."""

    timers: Timers
    blobs: Values
    ask_timeout: float = 4 * 3600.0
    """Seconds that a person has to answer."""
    events: EventBook | None = None
    """Where waits for events are registered; None: the app waits for none."""
    children: Children | None = None
    """Starts runs of other workflows; None: this worker cannot."""
    publish: Publish | None = None
    fingerprint: str = ""
    """The fingerprint of the worker's release: see `Blocked`."""
    announce_blocked: Callable[[str], Awaitable[None]] | None = None
    """Tells all workers that a run is blocked, because one of them may be able to continue it."""
    announce_end: Callable[[str], Awaitable[None]] | None = None
    """Tells all workers to stop working on a run that was ended from outside."""
    history: Any = None
    """Where conversations are kept, an `actors.thread.HistoryStore`; None: nowhere."""
    text_streams: TextStreams | None = None
    """Where the text of models is streamed as it is produced; None: nowhere."""
    actors: frozenset[str] | None = None
    """Addresses of the declared actors; None: unknown."""
    max_questions: int = 5
    roles: tuple[str, ...] = ("developer",)
    signers: Signers = field(default_factory=Signers)
    """The roles whose answers must be signed, with their keys."""
    ladders: Ladders = field(default_factory=Ladders)
    """What happens while a question to one of the roles stays open."""
    people: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """By role: who is in it, where the app says so."""
    stopping: frozenset[str] = frozenset()
    """The roles whose questions' clocks stop while something asked back has no reply."""
    role_address: Callable[[str], str]
    """The address of the actor of a role."""
    retry: Retry = field(default_factory=Retry)
    record_prompts: bool = False
    """Whether what models are sent is recorded."""
    prices: Mapping[str, Price] = field(default_factory=dict[str, Price])
    """Prices of models by name."""
    encrypted: Callable[[str], Awaitable[bool]] | None = None
    """Whether a run's log is encrypted; None: none is."""

    observer: Observer = UNOBSERVED
    """Gets what happens, to count it."""
    tracer: Tracer = UNTRACED
    """Makes spans of what is done."""
    repeated: set[str] = field(default_factory=set[str])
    """Tools that have repeated an effect outside their steps."""

    def warn_repeated(self, run: str, tool: str) -> None:
        """Log a warning, once for each tool, that its code has run again."""
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
        """Check at `at` (Unix seconds) whether a run has taken more than `limit` seconds."""
        due = Due(kind="run", run=run, at=at, limit=limit)
        try:
            await self.timers.arm(timer_name(run, "", f"{at:.3f}"), at, msgspec.json.encode(due))
        except BusError as error:
            raise Interrupted(str(error)) from error

    async def deflate(self, raw: Raw, run: str) -> Raw:
        """`raw` as it is recorded in a run; a big value only by reference. Raises Interrupted."""
        try:
            return await self.blobs.deflate(raw, run)
        except BusError as error:
            raise Interrupted(str(error)) from error

    async def inflate(self, raw: Raw) -> Raw:
        """A recorded value, fetched if it is stored outside the log. Raises Interrupted."""
        try:
            return await self.blobs.inflate(raw)
        except BusError as error:
            raise Interrupted(str(error)) from error

    def log_failure(
        self, run: str, key: str, error: Exception, attempt: int, pause: float | None
    ) -> None:
        """Log and count that a try failed."""
        self.observer.failed(final=pause is None)
        log.warning(
            "step.failed",
            run=run,
            step=key,
            error=f"{type(error).__name__}: {message_of(error)}",
            place=str(place_of(error) or ""),
            attempt=attempt,
            again_at=None if pause is None else iso(clock.now() + pause),
            exc_info=error if attempt == 1 or pause is None else None,
        )
