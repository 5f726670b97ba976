"""DBOS with PostgreSQL: a library, so the caller is the worker.

Its defaults, but for `max_executor_threads=32`: unbounded, each waiting run takes a thread until
no more can be started.
"""

from __future__ import annotations

from ...measure import Figure
from ...sizes import Sizes
from ..environment import Environment, figures
from ..postgres import postgres


async def measure(workloads: list[str], sizes: Sizes) -> list[Figure]:
    """Run the workloads in one process beside PostgreSQL. Raises Unavailable."""
    async with Environment.new("dbos") as env:
        url, server = await postgres(env)
        await env.pip("dbos", "psycopg[binary]")
        module = "benchmarks.peers.dbos.bench"
        found = await env.bench(module, url, str(server), sizes.word, *workloads)
    return figures("dbos", found)
