"""How much of each workload a run of the benchmark does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Counts."""

    word: str = "normal"
    """Names them."""
    warm_up: int = 100
    latency_runs: int = 300
    awake_runs: int = 500
    """After the pauses of the latency tests, which put cores to sleep; a peer makes `warm_up`."""
    throughput_runs: int = 2_000
    peer_latency_runs: int = 150
    peer_runs: int = 600
    """Peers take their time."""
    network_runs: int = 1_000
    parked_runs: int = 100_000
    parked_latency_runs: int = 200
    large_runs: int = 20_000
    """Parked runs of 120 KB."""
    ladder_questions: int = 10_000
    """Open, with rungs that are due in the same second."""
    listed_runs: int = 1_000_000
    """Rows in the index that is listed."""
    flooded_runs: int = 200
    flood_answers: int = 10_000
    """Of 60 KB each, that nobody asked for."""
    flood_events: int = 100_000
    console_runs: int = 100_000
    console_entries: int = 10_000
    console_answers: int = 200
    console_tabs: int = 100
    console_idle: float = 60.0
    """Seconds for which nothing happens."""
    rest: float = 390.0
    """Seconds before memory is read. An idle nats-server collects its garbage every two minutes:
    once for what is not used, once for pools of buffers, once to give it back to the system."""
    repeats: int = 3
    """Of short measurements; the median is taken."""


NORMAL = Sizes()
QUICK = Sizes(
    word="quick",
    warm_up=50,
    latency_runs=100,
    awake_runs=200,
    throughput_runs=500,
    peer_latency_runs=50,
    peer_runs=200,
    network_runs=300,
    parked_runs=5_000,
    parked_latency_runs=50,
    large_runs=2_000,
    ladder_questions=1_000,
    listed_runs=100_000,
    flooded_runs=30,
    flood_answers=2_000,
    flood_events=10_000,
    console_runs=10_000,
    console_entries=2_000,
    console_answers=30,
    console_tabs=20,
    console_idle=10.0,
    rest=3.0,
    repeats=1,
)
LONG = Sizes(word="long", parked_runs=1_000_000)
BY_WORD = {sizes.word: sizes for sizes in (QUICK, NORMAL, LONG)}
