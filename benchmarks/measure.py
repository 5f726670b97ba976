"""What is measured, and how: percentiles, and what processes cost by /proc. Standard library only.

Peers import this in environments of their own.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_BLOCK = 512
_USER_TIME = 11
"""Place of `utime` in /proc/PID/stat after the name, which may hold blanks."""


class Figure(NamedTuple):
    """One number that was measured."""

    workload: str
    name: str
    value: float
    unit: str
    subject: str = "layby"
    """Who was measured: layby, floor, or a peer."""
    sync: str = "default"
    """The server's `sync_interval`: default or always."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return self._asdict()


def more_is_better(unit: str) -> bool:
    """Whether a figure in this unit is a rate."""
    return unit.endswith("/s")


def best(figures: Iterable[Figure]) -> list[Figure]:
    """One figure of each kind, the best: what disturbs a round only makes it worse."""
    kinds: dict[Figure, list[float]] = {}
    for figure in figures:
        kinds.setdefault(figure._replace(value=0.0), []).append(figure.value)
    return [
        kind._replace(value=(max if more_is_better(kind.unit) else min)(values))
        for kind, values in kinds.items()
    ]


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of `values` lie."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and tail."""
    return {
        "p50": statistics.median(values),
        "p95": percentile(values, 0.95),
        "p99": percentile(values, 0.99),
    }


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time that these processes have used, all their threads counted."""
    return sum(_cpu(pid) for pid in pids)


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[_USER_TIME : _USER_TIME + 2])) / _TICKS


def resident_bytes(pids: Iterable[int]) -> int:
    """Memory that these processes hold."""
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE for pid in pids)


def disk_bytes(folder: Path) -> int:
    """What the files under `folder` take on the disk."""
    return sum(file.stat().st_blocks * _BLOCK for file in folder.rglob("*") if file.is_file())


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += family(int(child))
    return found


class Cost:
    """CPU time of groups of processes, from its creation on."""

    def __init__(self, groups: dict[str, list[int]]) -> None:
        self._groups = groups
        self._began = {name: cpu_seconds(pids) for name, pids in groups.items()}

    def figures(
        self, workload: str, runs: int, subject: str = "layby", sync: str = "default"
    ) -> list[Figure]:
        """What a run cost each group."""
        return [
            Figure(
                workload,
                f"CPU of the {name}",
                (cpu_seconds(pids) - self._began[name]) / runs * 1e3,
                "ms/run",
                subject,
                sync,
            )
            for name, pids in self._groups.items()
        ]
