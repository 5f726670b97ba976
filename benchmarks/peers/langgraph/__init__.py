"""LangGraph with its PostgreSQL checkpointer: a library, so the caller is the worker.

`durability="sync"`: each super-step is committed before the next begins. It has no deadline for an
answer and no recovery of its own. One saver does one operation at a time, whatever its pool.
"""

from __future__ import annotations

from ...measure import Figure
from ...sizes import Sizes
from ..environment import Environment, figures
from ..postgres import postgres

_PACKAGES = ("langgraph", "langgraph-checkpoint-postgres", "psycopg[binary,pool]")


async def measure(workloads: list[str], sizes: Sizes) -> list[Figure]:
    """Run the workloads in one process beside PostgreSQL. Raises Unavailable."""
    async with Environment.new("langgraph") as env:
        url, server = await postgres(env)
        await env.pip(*_PACKAGES)
        module = "benchmarks.peers.langgraph.bench"
        found = await env.bench(module, url, str(server), sizes.word, *workloads)
    return figures("langgraph", found)
