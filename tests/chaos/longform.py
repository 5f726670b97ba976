"""The long form of every campaign, and the campaigns that a seeded fault has to pass."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from . import (
    cards,
    claims,
    cluster,
    consoles,
    deploys,
    disk,
    keys,
    ladders,
    network,
    scenarios,
    votes,
)
from .campaign import CROWDED, Campaign, Found, campaign
from .driver import Stuck
from .mutants import MUTANTS
from .report import Report

_SPLIT = 4
LONG: dict[str, Callable[[Campaign, float], Awaitable[Report]]] = {
    "crash_points": lambda c, x: scenarios.crash_points(c, rounds=round(20 * x)),
    "random_kills": lambda c, x: scenarios.random_kills(
        c, tickets=round(1000 * x), kills=round(250 * x), workers=4
    ),
    "server_kills": lambda c, x: scenarios.server_kills(
        c, tickets=round(500 * x), kills=round(60 * x), every=(1.5, 3.5)
    ),
    "server_storm": lambda c, x: scenarios.server_kills(
        c, tickets=round(250 * x), kills=round(50 * x), every=(0.05, 0.8)
    ),
    "split_logs": lambda c, x: scenarios.server_kills(
        c, tickets=round(250 * x), kills=round(20 * x), every=(0.5, 2.0)
    ),
    "handovers": lambda c, x: scenarios.handovers(c, rounds=round(12 * x)),
    "zombies": lambda c, x: scenarios.zombies(c, tickets=round(200 * x), pauses=round(12 * x)),
    "race": lambda c, x: scenarios.race(c, tickets=round(300 * x), workers=16),
    "answer_race": lambda c, x: scenarios.answer_race(
        c, tickets=round(10_000 * x), kills=round(200 * x)
    ),
    "signed_answers": lambda c, x: scenarios.signed_answers(
        c, tickets=round(1_000 * x), kills=round(100 * x), workers=4
    ),
    "deploys": lambda c, x: deploys.deploys(c, rounds=round(10 * x), tickets=20, kills=6),
    "console": lambda c, x: consoles.console(
        c, rounds=round(40 * x), tickets=12, standing=round(50 * x)
    ),
    "votes": lambda c, x: votes.votes(c, rounds=max(1, round(20 * x)), tickets=8),
    "ladders": lambda c, x: ladders.ladders(c, rounds=max(1, round(20 * x)), tickets=8),
    "cards": lambda c, x: cards.cards(c, rounds=max(1, round(20 * x)), tickets=8),
    "claims": lambda c, x: claims.claims(c, rounds=max(1, round(20 * x)), tickets=8),
    "many_deadlines": lambda c, x: scenarios.many_deadlines(c, tickets=round(10_000 * x)),
    "all_down": lambda c, x: scenarios.all_down(c, tickets=round(200 * x)),
}


WITHOUT_ACCOUNTS = ("console", *CROWDED, *cluster.SCENARIOS)
"""Campaigns in which nobody has a login of their own."""
APART = {**network.SCENARIOS, **disk.SCENARIOS, **cluster.SCENARIOS}
"""Campaigns with a server, or a way to it, of their own."""


_ELSEWHERE = {
    "deploys": deploys,
    "console": consoles,
    "votes": votes,
    "ladders": ladders,
    "cards": cards,
    "claims": claims,
}
"""The modules of campaigns that are not among the scenarios."""


async def one(name: str, seed: int, size: float, keep: Path | None = None) -> Report:
    """Run one campaign in its long form; what it leaves behind goes to `keep`, or nowhere."""
    if keep is not None:
        return await _in(keep, name, seed, size)
    with tempfile.TemporaryDirectory(prefix="layby-chaos-") as folder:
        return await _in(Path(folder), name, seed, size)


async def _in(folder: Path, name: str, seed: int, size: float) -> Report:
    if name in APART:
        return await APART[name](folder, seed, size)
    streams = _SPLIT if name == "split_logs" else 0
    async with campaign(name, folder, seed=seed, log_streams=streams) as c:
        return await LONG[name](c, size)


async def caught(mutant: str, seed: int) -> tuple[str, list[str]]:
    """The campaign that catches a seeded fault, and as what; an empty name for a survivor.

    Only what the fault must show as counts: a slow machine is not to be taken for a catch.
    """
    shows = frozenset(MUTANTS[mutant].shows)
    for name in MUTANTS[mutant].scenarios:
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="layby-chaos-"))
            stack.enter_context(keys.encrypted(yes=MUTANTS[mutant].encrypted))
            async with campaign(name, Path(folder), seed=seed, mutant=mutant) as c:
                c.patience, c.sought = MUTANTS[mutant].patience, shows
                with contextlib.suppress(Stuck, Found):
                    await getattr(_ELSEWHERE.get(name, scenarios), name)(c)
                kinds = {violation.kind for violation in c.violations()}
        if kinds & shows:
            return name, sorted(kinds & shows)
    return "", []
