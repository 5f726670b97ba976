"""How long runs stand still after a fault, beside how long the servers took to elect leaders."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from layby.runtime.entry import Answered
from layby.runtime.journal import fold
from layby.runtime.state import RUNNING, RunState

from .elections import Elections
from .history import History

GRACE = 2.0
"""Seconds that a run may stand still besides the election and an ack-wait."""
_SHOWN = 5


class Standstill(NamedTuple):
    """A run that was under way at a fault, and went on."""

    run: str
    fault: float
    moved: float
    """When it was recorded next, Unix seconds like `fault`."""

    @property
    def seconds(self) -> float:
        """How long it stood still."""
        return self.moved - self.fault


class Outage(NamedTuple):
    """A fault that took the leaders of something away."""

    what: str
    began: float
    ended: float
    """When somebody led all of it again, Unix seconds like `began`."""
    leaderless: tuple[str, ...] = ()
    """What nobody leads yet."""

    @property
    def over(self) -> bool:
        """Whether all is led again."""
        return not self.leaderless

    @property
    def seconds(self) -> float:
        """How long something had no leader."""
        return self.ended - self.began


def outages(elections: Elections, lost: Iterable[tuple[str, list[str], float]]) -> list[Outage]:
    """What came of faults, in their order: what each was, the nodes it took away, and when.

    What nobody leads yet when the next fault comes belongs to that too: it needs a quorum.
    """
    found: list[Outage] = []
    led: list[str] = []
    for what, nodes, when in lost:
        led = [group for group in led if not elections.is_led(group, found[-1].began, when)]
        led += [group for node in nodes for group in elections.led_by(node, when)]
        ends = {group: elections.after(group, when) for group in led}
        ended = max((end for end in ends.values() if end is not None), default=when)
        leaderless = tuple(group for group, end in ends.items() if end is None)
        found.append(Outage(what, when, ended, leaderless))
    return found


def standstills(history: History, fault_times: Iterable[float]) -> Iterator[Standstill]:
    """For each run that was under way at a fault: how long it took to go on."""
    times = sorted(fault_times)
    for run, log in history.logs.items():
        state = RunState(id=run)
        previous = 0.0
        for entry in log:
            under_way = state.status == RUNNING
            fold(state, entry.n, entry.envelope)
            begun = previous if under_way else _answered_at(history, entry.envelope.records[0])
            previous = entry.at
            if begun:
                last = bisect_right(times, entry.at)
                first = bisect_right(times, begun)
                yield from (Standstill(run, at, entry.at) for at in times[first:last])


def _answered_at(history: History, record: object) -> float:
    """When the answer was stored that a record is about; 0 for any other record."""
    if not isinstance(record, Answered):
        return 0.0
    answer = history.answers.get(record.seq)
    return answer.at if answer else 0.0


class Measured(NamedTuple):
    """A standstill, and the outage that it is held against."""

    still: Standstill
    outage: Outage

    @property
    def beyond(self) -> float:
        """Seconds for which the run stood still although everything was led again."""
        return self.still.moved - self.outage.ended


def measured(
    stills: Iterable[Standstill], outages: Sequence[Outage], allowed: float
) -> tuple[list[Measured], int]:
    """Each standstill with its outage, and how many say nothing.

    Those are the ones in which the next fault came before a run had to be on its way, `allowed`
    seconds after the end of the outage: they are held against that fault.
    """
    by_time = {each.began: each for each in outages}
    times = sorted(by_time)
    found: list[Measured] = []
    cut_short = 0
    for still in stills:
        if still.fault not in by_time:
            continue
        mine = by_time[still.fault]
        later = times[bisect_right(times, still.fault) :]
        if later and later[0] < min(still.moved, mine.ended + allowed):
            cut_short += 1
        else:
            found.append(Measured(still, mine))
    return found, cut_short


def told(history: History, outages: Sequence[Outage], ack_wait: float) -> list[str]:
    """What was measured, as lines for a person."""
    allowed = ack_wait + GRACE
    stills = standstills(history, (each.began for each in outages))
    found, cut_short = measured(stills, outages, allowed)
    found.sort(key=lambda each: -each.beyond)
    late = sum(each.beyond > allowed for each in found)
    return [
        f"elections after {len(outages)} faults: {_spread([each.seconds for each in outages])}",
        f"recovery of {len(found)} runs: {_spread([each.still.seconds for each in found])}",
        f"cut short by the next fault, and held against that: {cut_short}",
        f"beyond the election: {_spread([each.beyond for each in found])}",
        f"above election + ack-wait + {GRACE:g} s: {late}",
        *(_line(each) for each in found[:_SHOWN]),
    ]


def _line(one: Measured) -> str:
    still, over = one
    return (
        f"  run {still.run} stood still for {still.seconds:.1f} s after {over.what} at "
        f"{over.began:.3f}, {one.beyond:.1f} s of them after the election"
    )


def at(values: Sequence[float], part: float) -> float:
    """The value below which `part` of the sorted values are; 0 if there are none."""
    return values[min(len(values) - 1, int(len(values) * part))] if values else 0.0


def _spread(values: Iterable[float]) -> str:
    known = sorted(values)
    worst = known[-1] if known else 0.0
    return f"p50 {at(known, 0.5):.1f} s, p99 {at(known, 0.99):.1f} s, max {worst:.1f} s"
