"""The way into a step whose function has steps of its own: which handler may enter it again.

Such a step (a tool that asks people, for instance) may have branches that wait for different mails.
It is continued as a whole by the handler that owns the last thing settled in it. The handler of
another of its mails may enter too, once, to continue the branch that waited for it. It leaves where
it meets what the other handler owns.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from .recorder import Recorder
from .strand import Bound, Strand, strand


@contextmanager
def consumed(
    recorder: Recorder, key: str, moves: Sequence[tuple[int, int]]
) -> Generator[Bound | None]:
    """In the block the strand has consumed what lets this handler into step `key`, and its end.

    Args:
        recorder: Knows which mail is handled.
        key: The key of the step.
        moves: The positions settled in it, each with its owner.
    """
    line = strand.get()
    at, bound = line.fork(), None
    at.bound = None
    if moves:
        last = max(moves)
        own = [move for move in moves if recorder.owns(move[1])]
        others = last[0] >= line.n and last not in own
        if others and own and recorder.enters_for_branch(key):
            bound = Bound(last[0], own[0][1])
            last = max(own)
        at.consume(*last)
    token = strand.set(at)
    try:
        yield bound
    finally:
        strand.reset(token)


@contextmanager
def entered(bound: Bound | None) -> Generator[None]:
    """In the block the strand is in a step, up to `bound`, or to the bound of a step around it."""
    line: Strand = strand.get()
    before, line.bound = line.bound, line.bound or bound
    try:
        yield
    finally:
        line.bound = before
