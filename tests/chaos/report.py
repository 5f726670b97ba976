"""What a campaign found, in figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from .driver import Driver
from .recovery import at, standstills
from .violation import KINDS, Violation, count


class Report(msgspec.Struct, kw_only=True):
    """The figures of one campaign."""

    name: str
    seed: int
    seconds: float
    runs: int
    questions: int
    answers: int
    """Answers that JetStream acknowledged."""
    entries: int
    faults: dict[str, int]
    violations: dict[str, int]
    details: list[str]
    repeated: int
    zombies: int
    raced: int
    overtaken: int
    refusals: dict[str, int]
    """What those who publish and read were told, by the error."""
    recovery: tuple[float, float, float]
    """Seconds from a fault to the next progress of a run that was under way: p50, p99, max."""
    measured: int
    notes: list[str] = []

    @property
    def clean(self) -> bool:
        """Whether every promise was kept."""
        return not any(self.violations.values())

    def text(self) -> str:
        """The report as lines for a person."""
        faults = ", ".join(f"{n} {kind}" for kind, n in sorted(self.faults.items())) or "none"
        found = ", ".join(f"{n} {kind}" for kind, n in self.violations.items() if n) or "none"
        p50, p99, worst = self.recovery
        head = f"{self.name}: seed {self.seed}, {self.seconds:.0f} s"
        sizes = (
            f"  runs {self.runs}, questions {self.questions}, answers acked {self.answers}, "
            f"log entries {self.entries}"
        )
        recovery = (
            f"  recovery of {self.measured} interrupted runs: "
            f"p50 {p50:.2f} s, p99 {p99:.2f} s, max {worst:.2f} s"
        )
        rest = (
            f"  steps tried again {self.repeated}, of these raced {self.raced}, by processes that "
            f"had been stopped {self.zombies}; answers overtaken {self.overtaken}"
        )
        told = ", ".join(f"{n} {kind}" for kind, n in sorted(self.refusals.items())) or "nothing"
        rest += f"\n  errors that the outside world was told: {told}"
        verdict = f"  violations of {len(KINDS)} kinds: {found}"
        notes = [f"  {note}" for note in self.notes]
        lines = [head, sizes, f"  faults: {faults}", verdict, recovery, rest, *notes]
        return "\n".join([*lines, *(f"    {detail}" for detail in self.details[:20])])


def report(
    name: str,
    seed: int,
    driver: Driver,
    violations: Sequence[Violation],
    *,
    faults: Counter[str],
    fault_times: Sequence[float],
    seconds: float,
    repeated: int,
    zombies: int,
    raced: int,
) -> Report:
    """The figures of what `driver` recorded."""
    history = driver.history
    waits = sorted(still.seconds for still in standstills(history, fault_times))
    return Report(
        name=name,
        seed=seed,
        seconds=seconds,
        runs=len(history.states),
        questions=sum(len(state.questions) for state in history.states.values()),
        answers=len(driver.acked),
        entries=sum(map(len, history.logs.values())),
        faults=dict(faults),
        violations=count(violations),
        details=[f"{violation.kind}: {violation.what}" for violation in violations],
        repeated=repeated,
        zombies=zombies,
        raced=raced,
        overtaken=driver.overtaken,
        refusals=dict(driver.refusals),
        recovery=(at(waits, 0.5), at(waits, 0.99), waits[-1] if waits else 0.0),
        measured=len(waits),
    )
