"""What a worker reports about its work, so that it can be counted: the port to metrics.

Nothing ever depends on it. An observer is called on the event loop, right after the thing has
happened: it returns at once, and never raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, Protocol, TypeAlias

from .entry import Record
from .spent import Spent
from .state import RunState

Undone: TypeAlias = Literal["failed", "postponed", "dead"]
"""What became of a message that was not handled: it is tried again, because its handler failed or
because NATS was unavailable; or it is a dead letter."""


class Observer(Protocol):
    """Gets what happens in one worker. After a crash it may get it again, or not at all."""

    def appended(self, state: RunState, records: Sequence[Record]) -> None:
        """These records were stored; `state` has them."""

    def resumed(self, state: RunState, record: Record) -> None:
        """A run continues with this mail."""

    def failed(self, *, final: bool) -> None:
        """A try of a step failed; `final`: it is the last."""

    def receipt(self, outcome: str) -> None:
        """A receipt was issued."""

    def due(self, kind: str, late: float) -> None:
        """A timer was handled `late` seconds after its time."""

    def undone(self, mailbox: str, what: Undone) -> None:
        """A message was not handled."""

    def responded(self, actor: str, model: str, spent: Spent | None) -> None:
        """A model responded to the actor at an address; None: its provider counts no tokens."""


class _Nobody:
    """Counts nothing."""

    def appended(self, state: RunState, records: Sequence[Record]) -> None:
        """Count nothing."""

    def resumed(self, state: RunState, record: Record) -> None:
        """Count nothing."""

    def failed(self, *, final: bool) -> None:
        """Count nothing."""

    def receipt(self, outcome: str) -> None:
        """Count nothing."""

    def due(self, kind: str, late: float) -> None:
        """Count nothing."""

    def undone(self, mailbox: str, what: Undone) -> None:
        """Count nothing."""

    def responded(self, actor: str, model: str, spent: Spent | None) -> None:
        """Count nothing."""


UNOBSERVED: Final[Observer] = _Nobody()
"""The observer of a worker whose metrics nobody reads."""
