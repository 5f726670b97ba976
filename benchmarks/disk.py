"""A disk that is slower than this machine's: each fsync of a server is held up by strace.

A device with a real latency would need root and a kernel module. strace stops the server at
`fsync` and `fdatasync` only (seccomp), and lets the other threads go on meanwhile. Linux only.
Standard library only: peers import this in environments of their own.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

DELAY = "LAYBY_BENCH_FSYNC_DELAY"
"""Environment variable: the microseconds by which each fsync of a server is held up."""
GROUPS = "LAYBY_GROUP_COMMIT"
"""Environment variable: what an operator sets for workers on a slow disk."""
SERVER = "LAYBY_NATS_SERVER"
"""Environment variable: the nats-server to run."""


def delay() -> int:
    """The microseconds by which each fsync is held up; 0: not at all."""
    return int(os.environ.get(DELAY, "0"))


def held_up(*words: str) -> Sequence[str]:
    """The command that runs `words`, whose syncs are held up if that is asked for.

    It has the process id that the command itself would have: strace runs beside it.
    """
    if not delay():
        return words
    calls = "fsync,fdatasync"
    strace = ("strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null")
    return (*strace, "-e", f"trace={calls}", "-e", f"inject={calls}:delay_exit={delay()}", *words)


def hold_up(microseconds: int, binary: str, folder: Path) -> None:
    """Hold up each fsync of the servers that this process and its children start from now on.

    `binary` is the nats-server; a script in `folder` takes its place. Raises RuntimeError.
    """
    if shutil.which("strace") is None:
        raise RuntimeError("--fsync-delay needs strace (Debian: apt-get install strace)")
    os.environ[DELAY] = str(microseconds)
    os.environ[GROUPS] = "1"
    script = folder / "nats-server"
    script.write_text(f'#!/bin/sh\nexec {shlex.join(held_up(binary))} "$@"\n')
    script.chmod(0o700)
    os.environ[SERVER] = str(script)
