"""The figures of a run that the page shows above its waterfall."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .geometry import Stretch
from .node import PEOPLE, Node, every


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Seconds that a run spent, by what they were spent on.

    Attributes:
        age: From its start to its end, or to the present.
        worked: Work, failed tries included; of steps side by side, all of it.
        queued: Waiting for a worker.
        backed_off: Waiting for the next try.
        asked: Waiting for people; questions that are open side by side count once.
    """

    age: float
    worked: float
    queued: float
    backed_off: float
    asked: float


def facts(root: Node, now: float) -> Facts:
    """The figures of the run whose first row is `root`."""
    spent = {"work": 0.0, "failed": 0.0, "queue": 0.0, "backoff": 0.0}
    asked: list[Stretch] = []
    for node in every(root):
        for part in node.parts:
            end = part.end if part.end is not None else now
            if part.fill in PEOPLE:
                asked.append(Stretch(part.start, end))
            elif part.fill in spent:
                spent[part.fill] += max(0.0, end - part.start)
    return Facts(
        age=max(0.0, (root.end if root.end is not None else now) - root.start),
        worked=spent["work"] + spent["failed"],
        queued=spent["queue"],
        backed_off=spent["backoff"],
        asked=_covered(asked),
    )


def _covered(times: Iterable[Stretch]) -> float:
    """Seconds that at least one of these covers."""
    covered, at = 0.0, float("-inf")
    for start, end in sorted(times):
        if end > at:
            covered += end - max(start, at)
            at = end
    return covered
