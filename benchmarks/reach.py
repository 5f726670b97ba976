"""What was aimed at, and whether one run of the benchmark holds it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from .disk import delay
from .measure import Figure
from .server import ALWAYS, DEFAULT


class Reached(NamedTuple):
    """One aim and what came of it."""

    aim: str
    measured: str
    held: bool


class _Table:
    """Figures by workload, name, subject and durability."""

    def __init__(self, figures: Iterable[Figure]) -> None:
        self._found = {(f.workload, f.name, f.subject, f.sync): f for f in figures}

    def get(
        self, workload: str, name: str, subject: str = "layby", sync: str = DEFAULT
    ) -> float | None:
        found = self._found.get((workload, name, subject, sync))
        return found.value if found else None

    def best_peer(self, workload: str, name: str, pick: Callable[..., float]) -> float | None:
        values = [
            figure.value
            for (w, n, subject, _), figure in self._found.items()
            if (w, n) == (workload, name) and subject not in {"layby", "floor"}
        ]
        return pick(values) if values else None


def reached(figures: Sequence[Figure]) -> list[Reached]:
    """Every aim for which both sides were measured."""
    table = _Table(figures)
    return [
        *_throughput(table),
        *_latency(table),
        *_steps(table),
        *_parked(table),
        *_cards(table),
        *_rest(table),
    ]


def _throughput(table: _Table) -> Iterator[Reached]:
    restate = table.get("ticket", "overall", "restate")
    always, held_up = 3.0, ""
    if delay():
        always, held_up = 2.0, f", each fsync {delay() / 1e3:g} ms longer"
    for sync, aim in ((DEFAULT, 8.0), (ALWAYS, always)):
        ours = table.get("ticket", "overall", sync=sync)
        words = f"ticket: at least {aim:g}x Restate's runs/s, sync {sync}{held_up}"
        yield from _ratio(words, ours, restate, at_least=aim)
        floor = table.get("ticket", "overall", "floor", sync)
        words = f"ticket: at least half the floor's runs/s, sync {sync}"
        yield from _ratio(words, ours, floor, at_least=0.5)
    ours = _sum(table, "CPU of the worker", "CPU of the server", "CPU of the driver")
    floor = _sum(table, "CPU of the worker and driver", "CPU of the server", subject="floor")
    yield from _ratio("ticket: at most 2x the floor's CPU a run", ours, floor, at_most=2)
    rate = table.get("network", "overall")
    yield from _value("network: at least 300 runs/s", rate, "runs/s", at_least=300)


def _sum(table: _Table, *names: str, subject: str = "layby") -> float | None:
    values = [table.get("ticket", name, subject) for name in names]
    return None if None in values else sum(value for value in values if value is not None)


def _latency(table: _Table) -> Iterator[Reached]:
    for share, limit in (("p50", 2.0), ("p99", 8.0)):
        ours = table.get("ticket", f"answer -> completed {share}")
        aim = f"ticket: answer -> completed {share} at most {limit:g} ms"
        yield from _value(aim, ours, "ms", at_most=limit)
    ours = table.get("ticket", "answer -> completed p50")
    peer = table.get("ticket", "answer -> completed p50", "restate")
    aim = "ticket: answer -> completed 5x better than the best peer behind a server (Restate)"
    if ours:
        yield from _ratio(aim, peer, ours, at_least=5)


def _steps(table: _Table) -> Iterator[Reached]:
    for name, limit in (("1 workflow", 3_000.0), ("16 workflows", 8_000.0)):
        ours = table.get("steps", name)
        yield from _value(f"steps: at least {limit:,.0f}/s at {name}", ours, "/s", at_least=limit)
    short = table.get("steps", "a step of a run of 10")
    long = table.get("steps", "a step of a run of 1,000")
    yield from _ratio(
        "steps: in a run of 1,000 no dearer than in one of 10", long, short, at_most=1.1
    )


def _parked(table: _Table) -> Iterator[Reached]:
    for name, limit in (("server", 1_500.0), ("worker", 100.0), ("disk", 4_000.0)):
        found = table.get("parked", f"{name} per parked run")
        aim = f"parked: {name} at most {limit:,.0f} bytes a run"
        yield from _value(aim, found, "bytes", at_most=limit)
    back = table.get("parked", "worker back -> fresh answer completed")
    yield from _value("parked: first answer within 2 s of a worker back", back, "s", at_most=2)
    beside = table.get("parked", "answer -> completed p50, all parked")
    alone = table.get("parked", "answer -> completed p50, nothing parked")
    yield from _ratio("parked: latency at most 1.5x of that with none", beside, alone, at_most=1.5)


def _cards(table: _Table) -> Iterator[Reached]:
    for where in ("card in Slack", "card by mail"):
        for share, limit in (("p50", 100.0), ("p99", 300.0)):
            found = table.get("cards", f"question -> {where}, {share}")
            aim = f"cards: question -> {where} {share} at most {limit:g} ms"
            yield from _value(aim, found, "ms", at_most=limit)


def _rest(table: _Table) -> Iterator[Reached]:
    limits = {
        "import layby": 150.0,
        "layby --help": 300.0,
        "embedded server ready": 500.0,
        "worker ready": 1_000.0,
    }
    for name, limit in limits.items():
        found = table.get("startup", name)
        yield from _value(f"startup: {name} within {limit:g} ms", found, "ms", at_most=limit)


def _value(
    aim: str,
    value: float | None,
    unit: str,
    *,
    at_least: float = 0,
    at_most: float = float("inf"),
) -> Iterator[Reached]:
    if value is not None:
        yield Reached(aim, f"{value:,.2f} {unit}", at_least <= value <= at_most)


def _ratio(
    aim: str,
    one: float | None,
    other: float | None,
    *,
    at_least: float = 0,
    at_most: float = float("inf"),
) -> Iterator[Reached]:
    if one is not None and other:
        yield Reached(aim, f"{one / other:.2f}x", at_least <= one / other <= at_most)
