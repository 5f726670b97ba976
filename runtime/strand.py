"""Which handler may continue a strand of work: the rule of `state`, while a body runs."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from .errors import Parked


class Position:
    """The position of a record of this activation in the log; 0 until it is appended."""

    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0


class Bound(NamedTuple):
    """Where the handler of one mail must leave a step in which it may only continue a branch."""

    n: int
    """From this position on the step is continued by the handler of another mail."""
    cause: int


class Strand:
    """A line of work in a body: what it consumed last, and so which handler may continue it."""

    __slots__ = ("bound", "frozen", "n", "own", "owner", "touched")

    def __init__(self, n: int, owner: int) -> None:
        self.n = n
        self.owner = owner
        self.frozen = False
        """It lost a race that is decided: it may replay, but do nothing new."""
        self.touched: list[str] = []
        """Keys that the strand has reached, so that they can be withdrawn."""
        self.bound: Bound | None = None
        self.own: Position | None = None
        """The last record that the strand itself wrote in this activation."""

    def consume(self, n: int, owner: int) -> None:
        """Note that the strand has consumed something settled at position `n`.

        Raises Parked if the handler has to leave there.
        """
        if self.bound is not None and n >= self.bound.n and owner != self.bound.cause:
            raise Parked
        if n >= self.n:
            self.n, self.owner = n, owner

    def fork(self) -> Strand:
        """A strand that has consumed what this one has."""
        child = Strand(self.n, self.owner)
        child.own = self.own
        child.bound = self.bound
        child.frozen = self.frozen
        return child

    def join(self, child: Strand) -> None:
        """Continue after `child`, which has ended."""
        self.consume(child.n, child.owner)
        self.touched += child.touched
        if child.own is not None and (self.own is None or _later(child.own, self.own)):
            self.own = child.own

    @property
    def position(self) -> float:
        """How far in the log the strand is; infinite if its last record is not appended yet."""
        if self.own is None:
            return self.n
        return max(self.n, self.own.n or float("inf"))

    def may_continue(self, cause: int) -> bool:
        """Whether the handler of mail `cause` is the one to continue from here."""
        if self.own is not None and (self.own.n == 0 or self.own.n >= self.n):
            return True
        return self.owner == cause


def _later(one: Position, other: Position) -> bool:
    return other.n != 0 and (one.n == 0 or one.n > other.n)


strand: ContextVar[Strand] = ContextVar("strand")
within: ContextVar[str] = ContextVar("within", default="")
"""The key of the step whose function is running."""


@contextmanager
def entering(n: int, owner: int) -> Generator[None]:
    """Enter a body: it has a strand of its own, and is not inside a step."""
    line, inside = strand.set(Strand(n, owner)), within.set("")
    try:
        yield
    finally:
        within.reset(inside)
        strand.reset(line)
