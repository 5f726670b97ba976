"""The subjects of the logs of runs, and which stream holds which.

Entry n of a run is on `to.<p>.<actor>.<run>.<n>`. `p` is the run's partition, one of 16: the first
hex digit of its id. One stream holds all of them, or 2, 4, 8 or 16 streams hold an equal share
each. Publishers and subscribers need not know how many there are; readers of a stream must.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from functools import lru_cache

from .errors import BusError
from .names import Names
from .token import is_word

STREAM = "RUNS"
"""The stream of logs, the first of them when there are several."""
COUNTS = (1, 2, 4, 8, 16)
"""How many streams of logs there may be."""
NOBODY = "log"
"""The address of an entry that wakes no actor."""
ALL = "to.*.*.*.*"
"""The subjects of all entries of all runs."""
_PARTITIONS = "0123456789abcdef"
_OF_DIGIT = {digit: digit for digit in _PARTITIONS}
_POSITION = re.compile(r"[1-9][0-9]{0,8}")
_WORDS = 5
"""Words of a log subject that has no prefix."""


class NoPosition(BusError):
    """This is not a position of a run's log, or not a run's id."""


@lru_cache(maxsize=4_096)
def partition(run: str) -> str:
    """The partition of a run, which never changes: a hash if its id begins with no hex digit.

    Raises:
        NoPosition: no run can have that id: in a subject it would be a wildcard, or several words.
    """
    if not is_word(run):
        raise NoPosition(f"{run[:200]!r} is not the id of a run")
    return _OF_DIGIT.get(run[:1]) or _PARTITIONS[zlib.crc32(run.encode()) % len(_PARTITIONS)]


def subject(to: str, run: str, n: int) -> str:
    """The subject of position `n` of `run`, addressed to actor `to`."""
    return f"to.{partition(run)}.{to}.{run}.{n}"


def position(run: str, n: int | str) -> str:
    """The subjects of position `n` of `run` for any address; n = "*": of all positions."""
    return f"to.{partition(run)}.*.{run}.{n}"


def mail(actor: str) -> str:
    """The subjects of an actor's mail."""
    return f"to.*.{actor}.>"


def parse(text: str) -> tuple[str, str, int]:
    """Split a log subject into actor, run and position. Raises NoPosition if it is not one."""
    parts = text.split(".")
    if len(parts) == _WORDS + 1:  # the first is the app's prefix
        del parts[0]
    if len(parts) != _WORDS or parts[0] != "to" or not _POSITION.fullmatch(parts[4]):
        raise NoPosition(f"{text[:200]!r} is not a position of a run's log")
    if parts[1] != partition(parts[3]):
        raise NoPosition(f"{text!r} is not in the partition of run {parts[3]}")
    return parts[2], parts[3], int(parts[4])


def shares(count: int) -> dict[str, tuple[str, ...]]:
    """The names of `count` streams of logs, and the subjects that each holds.

    A name tells the first partition of its stream: `RUNS_8` holds what begins with 8.
    """
    if count == 1:
        return {STREAM: ("to.>",)}
    share = len(_PARTITIONS) // count
    return {
        _name(first): tuple(f"to.{p}.>" for p in _PARTITIONS[first : first + share])
        for first in range(0, len(_PARTITIONS), share)
    }


def stream_of(run: str, count: int) -> str:
    """The stream of a run's log when there are `count`."""
    share = len(_PARTITIONS) // count
    return _name(_PARTITIONS.index(partition(run)) // share * share)


def count_of(subjects: Iterable[str], names: Names | None = None) -> int:
    """How many streams of logs there are where the first holds these subjects; 0 when unknown."""
    held = {names.own(subject) if names else subject for subject in subjects}
    return next((count for count in COUNTS if set(shares(count)[STREAM]) == held), 0)


def _name(first: int) -> str:
    return f"{STREAM}_{_PARTITIONS[first]}" if first else STREAM
