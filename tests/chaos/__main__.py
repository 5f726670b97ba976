"""The long form: `python -m tests.chaos [--seed N] [--size X] [--jobs N] [--accounts] [--encrypted]
[name ...]`.

Without names it runs every campaign, then every seeded fault. The exit code is 1 when a promise was
broken or a seeded fault was not caught.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from layby.runtime import telemetry

from . import keys, logins
from .longform import APART, LONG, WITHOUT_ACCOUNTS, caught, one
from .mutants import MUTANTS
from .report import Report


class Result(msgspec.Struct, kw_only=True):
    """What came of everything that was run."""

    reports: list[Report] = []
    caught: list[str] = []
    survivors: list[str] = []
    broken: list[str] = []
    """What ended without a result: a fault of the campaign itself."""

    @property
    def good(self) -> bool:
        """Whether every promise was kept and every seeded fault caught."""
        clean = all(report.clean for report in self.reports)
        return clean and not self.survivors and not self.broken


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def run(names: list[str], options: argparse.Namespace) -> Result:
    """Run campaigns and seeded faults one after another."""
    result = Result()
    for name in names:
        if name not in MUTANTS:
            keep = options.keep / name if options.keep else None
            result.reports.append(await one(name, options.seed, options.size, keep))
            _say(result.reports[-1].text())
            continue
        by, kinds = await caught(name, options.seed)
        _say(f"{name}: " + (f"caught by {by} ({', '.join(kinds)})" if by else "SURVIVED"))
        (result.caught if by else result.survivors).append(name)
    return result


async def side_by_side(names: list[str], options: argparse.Namespace) -> Result:
    """Run each in a process of its own, a few at a time."""
    free, result = asyncio.Semaphore(options.jobs), Result()
    began, done = time.monotonic(), 0

    async def job(name: str, folder: Path) -> None:
        nonlocal done
        async with free:
            part = await _apart(name, folder, options)
        result.reports += part.reports
        result.caught += part.caught
        result.survivors += part.survivors
        result.broken += part.broken
        done += 1
        _say(f"-- {done} of {len(names)} done after {time.monotonic() - began:.0f} s")

    with tempfile.TemporaryDirectory(prefix="layby-chaos-") as folder:
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(job(name, Path(folder)))
    return result


async def _apart(name: str, folder: Path, options: argparse.Namespace) -> Result:
    file = folder / f"{name}.json"
    words = ["--seed", str(options.seed), "--size", str(options.size), "--json", str(file), name]
    words += ["--keep", str(options.keep)] if options.keep else []
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos", *words), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    _say(said.decode().rstrip())
    if not file.exists():
        return Result(broken=[f"{name} ended with {process.returncode}"])
    return msgspec.json.decode(file.read_bytes(), type=Result)


async def _main(options: argparse.Namespace) -> int:
    if options.accounts:
        os.environ[logins.ACCOUNTS] = "1"
    if options.encrypted:
        os.environ[keys.ENCRYPTED] = "1"
    without = set(WITHOUT_ACCOUNTS if logins.apart() else ())
    everything = [*(name for name in (*LONG, *APART) if name not in without), "mutants"]
    names: list[str] = options.names or everything
    if missing := without & set(names):
        _say(f"{', '.join(sorted(missing))}: there are no accounts here")
        return 2
    if "mutants" in names:
        theirs = [name for name, each in MUTANTS.items() if not without & {*each.scenarios}]
        names = [*(name for name in names if name != "mutants"), *theirs]
    result = await (side_by_side if options.jobs > 1 else run)(names, options)
    if len(names) > 1:
        if result.reports:
            kept = sum(report.clean for report in result.reports)
            _say(f"{kept} of {len(result.reports)} campaigns kept every promise")
        if faults := len(result.caught) + len(result.survivors):
            _say(f"{len(result.caught)} of {faults} seeded faults were caught")
        for problem in (*result.survivors, *result.broken):
            _say(f"NOT GOOD: {problem}")
    if options.json:
        options.json.write_bytes(msgspec.json.encode(result))
    return 0 if result.good else 1


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("names", nargs="*", help="campaigns, seeded faults, or `mutants` for all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=float, default=1.0, help="1 is the full size")
    parser.add_argument("--jobs", type=int, default=1, help="how many to run side by side")
    parser.add_argument("--keep", type=Path, help="keep logs, stores and ledgers in this folder")
    parser.add_argument(
        "--accounts", action="store_true", help="give everybody a login in an account of their own"
    )
    parser.add_argument("--encrypted", action="store_true", help="encrypt all that is stored")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    telemetry.configure(level=logging.ERROR)
    logging.getLogger("layby").setLevel(logging.ERROR)  # outages are what this is about
    sys.exit(asyncio.run(_main(parser.parse_args())))


if __name__ == "__main__":
    main()
