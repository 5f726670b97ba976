"""One row of the waterfall: what it is about, and what filled its time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ...runtime.spent import NOTHING, Spent

Kind = Literal[
    "workflow", "network", "agent", "model", "tool", "route", "step", "people", "child", "sleep",
    "event",
]  # fmt: skip
Fill = Literal[
    "work", "queue", "backoff", "failed", "undelivered", "unseen", "seen", "claimed", "wait"
]
"""What a part of a row's time was: work, waiting for a worker, for the next try, a failed try,
waiting for a person who has not got the question, has not seen it, has seen or claimed it; waiting
for anything else."""
PEOPLE: frozenset[str] = frozenset({"undelivered", "unseen", "seen", "claimed"})


class Part(NamedTuple):
    """A part of a row's time."""

    fill: Fill
    start: float
    """Unix seconds."""
    end: float | None
    """None: it has not ended."""


@dataclass(slots=True, kw_only=True)
class Node:
    """One row.

    Attributes:
        id: Its number in the URL: the position of its first record, `12.1`.
        kind: What it is.
        name: What people call it.
        note: A few words more.
        level: Its depth, from 1.
        parent: The row that it belongs to.
        start: When it began, Unix seconds.
        end: When it was over; None: it is not.
        parts: What filled its time; empty for a frame, which is as long as what is in it.
        failed: Whether it failed for good.
        tries: How often it was tried.
        records: The records about it: position and place in the message.
        children: The rows in it.
        step: Of a response that has no record yet: the name of its step.
        spent: What its models used, and those of everything in it.
        run: The id of the child run that it waits for.
        question: The id of the question that it waits for.
        deadline: When a wait is over without an answer, Unix seconds; 0: never.
    """

    id: str
    kind: Kind
    name: str
    note: str = ""
    level: int = 1
    parent: Node | None = field(default=None, repr=False)
    start: float
    end: float | None = None
    parts: list[Part] = field(default_factory=list[Part])
    failed: bool = False
    tries: int = 1
    records: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    children: list[Node] = field(default_factory=lambda: list[Node]())  # noqa: PLW0108  the class is not there yet
    step: str = ""
    spent: Spent = NOTHING
    run: str = ""
    question: str = ""
    deadline: float = 0.0

    @property
    def is_frame(self) -> bool:
        """Whether it is as long as what is in it."""
        return self.kind in {"workflow", "network", "agent"}

    def add(self, node: Node) -> None:
        """Put another row below this one."""
        node.hang(self)
        self.children.append(node)

    def hang(self, parent: Node) -> None:
        """Belong to a row that need not know."""
        self.parent, self.level = parent, parent.level + 1

    def spend(self, spent: Spent) -> None:
        """Count what a model used here, and in every row that holds this one."""
        node: Node | None = self
        while node is not None:
            node.spent += spent
            node = node.parent

    def close(self, at: float) -> None:
        """End it, and its last part."""
        self.end = at
        if self.parts and self.parts[-1].end is None:
            self.parts[-1] = self.parts[-1]._replace(end=at)

    def see(self, at: float) -> None:
        """From a time on, somebody who is asked has seen the question."""
        if self.parts and self.parts[-1].fill == "unseen" and self.parts[-1].end is None:
            at = max(at, self.parts[-1].start)
            self.parts[-1] = self.parts[-1]._replace(end=at)
            self.parts.append(Part("seen", at, None))

    def reopen(self, at: float) -> None:
        """Let it go on with what filled its time last."""
        self.end, self.failed = None, False
        if self.parts:
            self.parts.append(Part(self.parts[-1].fill, at, None))


def every(
    root: Node, shut: frozenset[str] = frozenset(), live: Iterable[Node] = ()
) -> Iterator[Node]:
    """A row and all rows in it, in order.

    Args:
        root: The row.
        shut: The ids of rows in which nothing is shown.
        live: Further rows, which their parents do not know.
    """
    more: dict[str, list[Node]] = {}
    for node in live:
        more.setdefault(node.parent.id if node.parent is not None else "", []).append(node)
    left = [root]
    while left:
        node = left.pop()
        yield node
        if node.id not in shut:
            left.extend(reversed([*node.children, *more.get(node.id, ())]))


_TEENS = range(10, 21)


def ordinal(number: int) -> str:
    """`1st`, `2nd`, `11th`."""
    endings = {1: "st", 2: "nd", 3: "rd"}
    last = "th" if number % 100 in _TEENS else endings.get(number % 10, "th")
    return f"{number}{last}"
