"""The long form: `python -m tests.chaos [--seed N] [--size X] [--json FILE] [campaign ...]`.

Without names it runs every campaign, then every seeded fault. The exit code is 1 when a promise was
broken or a seeded fault was not caught.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from . import cluster, disk, network, scenarios
from .campaign import Campaign, campaign
from .mutants import MUTANTS
from .report import Report

_IMPATIENT = 12.0
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
    "handovers": lambda c, x: scenarios.handovers(c, rounds=round(12 * x)),
    "zombies": lambda c, x: scenarios.zombies(c, tickets=round(200 * x), pauses=round(12 * x)),
    "race": lambda c, x: scenarios.race(c, tickets=round(300 * x), workers=16),
    "many_deadlines": lambda c, x: scenarios.many_deadlines(c, tickets=round(10_000 * x)),
    "all_down": lambda c, x: scenarios.all_down(c, tickets=round(200 * x)),
}


APART = {**network.SCENARIOS, **disk.SCENARIOS, **cluster.SCENARIOS}
"""Campaigns with a server, or a way to it, of their own."""


async def one(name: str, seed: int, size: float, keep: Path | None = None) -> Report:
    """Run one campaign in its long form; what it leaves behind goes to `keep`, or nowhere."""
    if keep is not None:
        return await _in(keep, name, seed, size)
    with tempfile.TemporaryDirectory(prefix="layby-chaos-") as folder:
        return await _in(Path(folder), name, seed, size)


async def _in(folder: Path, name: str, seed: int, size: float) -> Report:
    if name in APART:
        return await APART[name](folder, seed, size)
    async with campaign(name, folder, seed=seed) as c:
        return await LONG[name](c, size)


async def caught(mutant: str, seed: int) -> tuple[str, Report | None]:
    """The campaign that catches a seeded fault, and its report; an empty name for a survivor."""
    for name in MUTANTS[mutant].scenarios:
        with tempfile.TemporaryDirectory(prefix="layby-chaos-") as folder:
            async with campaign(name, Path(folder), seed=seed, mutant=mutant) as c:
                c.patience = _IMPATIENT
                try:
                    found: Report = await getattr(scenarios, name)(c)
                except AssertionError:  # it came to a standstill
                    return name, None
        if not found.clean:
            return name, found
    return "", None


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def _campaigns(names: list[str], seed: int, size: float, keep: Path | None) -> list[Report]:
    reports: list[Report] = []
    for name in names:
        reports.append(await one(name, seed, size, keep and keep / name))
        _say(reports[-1].text())
    return reports


async def _mutants(names: list[str], seed: int) -> list[str]:
    survivors: list[str] = []
    for name in names:
        by, found = await caught(name, seed)
        kinds = ", ".join(k for k, n in found.violations.items() if n) if found else "standstill"
        _say(f"{name}: " + (f"caught by {by} ({kinds})" if by else "SURVIVED"))
        if not by:
            survivors.append(name)
    _say(f"{len(names) - len(survivors)} of {len(names)} seeded faults caught")
    return survivors


async def _main(options: argparse.Namespace) -> int:
    known = [*LONG, *APART]
    names: list[str] = options.names or [*known, "mutants"]
    reports = await _campaigns(
        [name for name in names if name in known], options.seed, options.size, options.keep
    )
    faulty = [name for name in names if name in MUTANTS]
    faulty += list(MUTANTS) if "mutants" in names else []
    survivors = await _mutants(faulty, options.seed) if faulty else []
    if options.json:
        options.json.write_bytes(msgspec.json.encode({"reports": reports, "survivors": survivors}))
    return 1 if survivors or not all(report.clean for report in reports) else 0


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("names", nargs="*", help="campaigns, seeded faults, or `mutants` for all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=float, default=1.0, help="1 is the full size")
    parser.add_argument("--keep", type=Path, help="keep logs, stores and ledgers in this folder")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    sys.exit(asyncio.run(_main(parser.parse_args())))


if __name__ == "__main__":
    main()
