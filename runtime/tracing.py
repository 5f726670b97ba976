"""How a worker's work is traced: the port to OpenTelemetry.

Nothing ever depends on it, and a fault in tracing never reaches a run. Unless tracing is turned on,
`UNTRACED` does nothing, at next to no cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, Protocol, Self, TypeAlias

from ..bus.mailbox import Delivery
from .entry import Record
from .state import Frame, RunState

Kind: TypeAlias = Literal["step", "model", "tool", "send"]
"""What is done within a segment: a step's function, a request to a model, a tool, an event sent."""


class Entry(NamedTuple):
    """A frame that a worker enters, for one mail."""

    state: RunState
    """The run as it is recorded; empty if it is just beginning."""
    frame: Frame
    address: str
    """The address of the actor whose frame it is."""
    mail: Record
    """What it is entered for."""
    delivery: Delivery
    """The message that brought it."""
    may_replay: bool
    """Whether it may only repeat what is recorded: then there is no span until it does more."""


class Segment(Protocol):
    """The span of a frame from its entry until it waits or ends."""

    def kept(self) -> str:
        """The span as a log keeps it: see `trace_context`. It begins now at the latest."""
        ...

    def left(self, *, waits: bool, error: BaseException | None = None, blocked: str = "") -> None:
        """Note how the frame was left.

        Args:
            waits: Whether it will be entered again.
            error: Why it failed.
            blocked: What people must fix first; empty: nothing.
        """
        ...


class Work(Protocol):
    """The span of a piece of work."""

    def note(self, result: Any) -> None:
        """Note what came of it."""
        ...


class Tracer(Protocol):
    """Makes spans."""

    def segment(self, entry: Entry) -> AbstractContextManager[Segment]:
        """The span of an entered frame."""
        ...

    def work(self, kind: Kind, name: str, **facts: Any) -> AbstractContextManager[Work]:
        """The span of a piece of work in the segment that this task is in."""
        ...

    def ended(self, state: RunState) -> None:
        """Note that a run was ended from outside while it waited."""
        ...


class _Nothing:
    """Every span of a run that is not traced."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def kept(self) -> str:
        """No span."""
        return ""

    def left(self, *, waits: bool, error: BaseException | None = None, blocked: str = "") -> None:
        """Note nothing."""

    def note(self, result: Any) -> None:
        """Note nothing."""


_NOTHING: Final = _Nothing()


class _Untraced:
    """Makes no spans."""

    def segment(self, entry: Entry) -> _Nothing:
        """No span."""
        del entry
        return _NOTHING

    def work(self, kind: Kind, name: str, **facts: Any) -> _Nothing:
        """No span."""
        del kind, name, facts
        return _NOTHING

    def ended(self, state: RunState) -> None:
        """No span."""


UNTRACED: Final[Tracer] = _Untraced()
"""The tracer of a worker whose spans nobody reads."""
NO_SEGMENT: Final[Segment] = _NOTHING


def _nothing() -> Mapping[str, str]:
    return {}


class _Process:
    """What this process knows of its traces; it is set up once, as its log is."""

    def __init__(self) -> None:
        self.headers: Callable[[], Mapping[str, str]] = _nothing
        self.ids: Callable[[], Mapping[str, str]] = _nothing


_process: Final = _Process()


def use(
    headers: Callable[[], Mapping[str, str]] = _nothing,
    ids: Callable[[], Mapping[str, str]] = _nothing,
) -> None:
    """Have the spans of this process followed across messages, and named in its log.

    Args:
        headers: Gives the headers that continue the present span elsewhere; none: there is none.
        ids: Gives the ids of the present span, for lines of the log.
    """
    _process.headers, _process.ids = headers, ids


def headers() -> Mapping[str, str]:
    """The headers that continue the present span elsewhere; none if there is none."""
    return _process.headers()


def ids() -> Mapping[str, str]:
    """`trace_id` and `span_id` of the present span; none if there is none."""
    return _process.ids()
