"""The peers, each in an environment of its own that is made for the run and removed after it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ..measure import Figure
from ..sizes import Sizes
from . import dbos, langgraph, restate
from .environment import Unavailable

Peer = Callable[[list[str], Sizes], Awaitable[list[Figure]]]
PEERS: dict[str, Peer] = {
    "restate": restate.measure,
    "langgraph": langgraph.measure,
    "dbos": dbos.measure,
}

__all__ = ["PEERS", "Peer", "Unavailable"]
