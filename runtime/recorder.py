"""The port beneath the verbs of a body: it keeps their records and decides if they may proceed.

The live activation implements it over a run's log, `memory` for an agent in a script, and
`layby.testing` over a recorded log.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ..bus.log_subject import NOBODY
from .blockers import Blocker
from .entry import Raw, Record
from .state import Frame, RunState, Slot

Armed = Callable[[], Awaitable[None]]
"""Arms what ends a wait, after the wait is recorded."""


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
        """The ticket of the run, known even before its opening is recorded."""
        ...

    @property
    def event(self) -> Raw:
        """The event that began the run, known even before its opening is recorded."""
        ...

    @property
    def begins(self) -> bool:
        """Whether this handles the mail that started the run."""
        ...

    @property
    def redelivered(self) -> bool:
        """Whether the mail may have been handled before, and left something undone."""
        ...

    def reached(self, key: str) -> None:
        """Note that the body has reached `key`."""
        ...

    def changed(self, key: str) -> None:
        """Raise WorkflowChanged: the body no longer reaches `key` as it is recorded."""
        ...

    def owns(self, owner: int) -> bool:
        """Whether this handles the mail at position `owner`."""
        ...

    def enters_for_branch(self, key: str) -> bool:
        """Whether to enter step `key` for one of its branches only: once in an activation."""
        ...

    def needs_server(self, what: str) -> None:
        """Raise NeedsServer, with `what` as its reason, if there is no server to do it with."""
        ...

    def propagates(self, error: Exception) -> bool:
        """Whether `error` leaves the body unchanged: not recorded, not retried."""
        ...

    def block(self, blocker: Blocker) -> None:
        """Leave the body because people must fix something. Raises Parked, except in memory."""
        ...

    async def check_may_proceed(self) -> None:
        """Check that the body may do something new. Raises Parked, WorkflowChanged."""
        ...

    async def before_effect(self, key: str) -> None:
        """Let step `key` take effect, after recording what led to it. Raises Parked, Fenced."""
        ...

    async def before_retry(self, key: str) -> None:
        """Let step `key` be retried, unless somebody else has done it. Raises Fenced."""
        ...

    def record(self, record: Record) -> None:
        """Add a record. It is kept before the next effect, and soon in any case."""
        ...

    async def flush(self, *, to: str = NOBODY, mail: Record | None = None) -> None:
        """Keep what is recorded now, with `mail` last and addressed to actor `to`."""
        ...

    async def wait(self, record: Record, *, to: str = NOBODY, armed: Armed | None = None) -> Slot:
        """Wait for what `record` opens; return the settled slot.

        Raises:
            Parked: the wait is recorded and armed; the body is entered again when it is settled.
        """
        ...

    def branching(self, tasks: Sequence[Any]) -> AbstractContextManager[None]:
        """While the block runs, the body waits for `tasks`, its concurrent branches."""
        ...
