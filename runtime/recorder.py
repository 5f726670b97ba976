"""What the verbs of a body stand on: where they are recorded, and who says that they may go on.

The live activation implements it over a run's log, `memory` for an agent in a script, and
`layby.testing` over a log that was recorded before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ..bus.log import NOBODY
from .entry import Raw, Record
from .need import Held
from .state import Frame, RunState, Slot

Armed = Callable[[], Awaitable[None]]
"""Arms what ends a wait, once the wait is recorded."""


class Recorder(Protocol):
    """The record of one body, as its verbs see it."""

    @property
    def state(self) -> RunState:
        """The run as it is recorded."""
        ...

    @property
    def frame(self) -> Frame:
        """The body's frame."""
        ...

    @property
    def ticket(self) -> str:
        """The ticket that the run is about, before its opening is recorded too."""
        ...

    @property
    def event(self) -> Raw:
        """The event that began the run, likewise."""
        ...

    @property
    def begins(self) -> bool:
        """Whether this is the handling of what started the run."""
        ...

    @property
    def redelivered(self) -> bool:
        """Whether what follows a record may be missing: the handling may be a second one."""
        ...

    def reached(self, key: str) -> None:
        """Note that the body has come to `key`."""
        ...

    def changed(self, key: str) -> None:
        """Raise WorkflowChanged for a recorded `key` that the body does not reach as recorded."""
        ...

    def needs_server(self, what: str) -> None:
        """Raise NeedsServer, with `what` as its reason, if there is no server to do it with."""
        ...

    def lets_pass(self, error: Exception) -> bool:
        """Whether `error` leaves the body as it is: not recorded, not tried again."""
        ...

    def hold(self, held: Held) -> None:
        """Leave the body, for people must mend something first. Raises Parked where they can."""
        ...

    async def may_go_on(self) -> None:
        """Let the body do something new. Raises Parked, WorkflowChanged."""
        ...

    async def before_effect(self, key: str) -> None:
        """Let step `key` take effect: what led to it is recorded. Raises Parked, Fenced."""
        ...

    async def before_retry(self, key: str) -> None:
        """Let step `key` be tried again: nobody else has done it. Raises Fenced."""
        ...

    def record(self, record: Record) -> None:
        """Add a record, to be kept before the next effect, and soon in any case."""
        ...

    async def flush(self, *, to: str = NOBODY, mail: Record | None = None) -> None:
        """Keep what is recorded now, `mail` last and addressed to actor `to`."""
        ...

    async def wait(self, record: Record, *, to: str = NOBODY, armed: Armed | None = None) -> Slot:
        """Wait for what `record` opens; the settled slot.

        Raises:
            Parked: it is recorded and `armed`; the body is entered again when it is settled.
        """
        ...

    def branching(self, tasks: Sequence[Any]) -> AbstractContextManager[None]:
        """The body waits for `tasks`, branches of it that run side by side."""
        ...
