"""Has a process forked by tests/shared.py, gives it its own files, and ends as it does.

pytest-xdist starts `python -m tests.stand_in DOOR -u -c CODE` in the place of an interpreter. CODE
reads what to do from stdin, and so does the forked process.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import msgspec

from tests.command import ordered
from tests.nursery import Order, Told


def main(door: str) -> int:
    """Stand in for a process, and return its exit code."""
    order = Order(arguments=[], folder=str(Path.cwd()), environ=dict(os.environ))
    line = ordered(door, order, [0, 1, 2])
    # What it has written to ends when it does, and not with us.
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(nothing, number)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it hears that itself
    told = b"".join(iter(lambda: line.recv(4096), b""))
    last = msgspec.json.decode(told.splitlines()[-1], type=Told)
    return 1 if last.code is None else last.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
