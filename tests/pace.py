"""How the suite runs: side by side, without what takes longest, and telling how far it is.

`pytest` alone runs every test but the proofs, the attacks and those with a browser, several at
a time. Name files, a `-k`, `-n` or `-m`, and it does what you say: `pytest -m proof`,
`pytest -m security`, `pytest -m browser`. The processes that share the tests are forked from one
that has imported them (tests/shared.py). Only files that can have such a test are imported: a mark
that is chosen stands in the file, or in the conftest.py of its folder. The properties of hypothesis
are proofs as well: `pytest` tries them with a part of their examples, `pytest -m proof` and
`pytest FILE` with all. `LAYBY_PROOFS=2/3 pytest -m proof` runs a third of the proofs.
"""

from __future__ import annotations

import functools
import gc
import os
import re
import shlex
import sys
import tempfile
import time
from collections import deque
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.command import share_nursery, started
from tests.examples import examples, is_in_turn, take_a_part

_TESTS = Path(__file__).parent

_AT_ONCE = 3
"""Tests at a time for each core, as most of them wait for somebody now and then."""
_CHOSEN = 2
"""The same of proofs and of tests with a browser, which wait less."""
_MOST = 8
_EXAMPLES = 100
"""With which a property is tried that does not say how many."""
_TELL = 10.0
"""Seconds between two lines of progress."""
_IN_MEMORY = Path("/dev/shm")  # noqa: S108  a folder of its own is made there
_ROOM = 4 * 2**30
"""Bytes that must be free in memory. A run of everything needs less than one GiB."""
_MARKS = ("proof", "security", "browser")
"""What runs only if it was chosen."""
_REST = " and ".join(f"not {mark}" for mark in _MARKS)
_WRITTEN = {"proof": re.compile(r"mark\.proof|\bproofs_but\(|\bgiven\(")}
"""How a file writes a mark otherwise than `mark.browser`."""


def pytest_configure(config: pytest.Config) -> None:
    """Leave out what takes longest unless something was chosen, and tell how far it is."""
    # Tests start many interpreters: with this set, each would compile all that it imports.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if "TMPDIR" not in os.environ and _has_room(_IN_MEMORY):
        os.environ["TMPDIR"] = str(_IN_MEMORY)
        tempfile.tempdir = None
    if _is_whole(config) and not config.option.markexpr:
        config.option.markexpr = _REST
    if config.option.markexpr == _REST:
        take_a_part()
    # How long an example takes says how busy the machine is, and nothing about the code.
    settings.register_profile("layby", deadline=None, max_examples=examples(_EXAMPLES))
    settings.load_profile("layby")
    if config.option.numprocesses:
        share_nursery()
    if config.option.numprocesses and config.option.verbose == 0:
        config.pluginmanager.register(_Progress(config), "layby-progress")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many processes share the tests: none for the few that are named."""
    if not _is_whole(config):
        return 0
    at_once = _CHOSEN if config.option.markexpr else _AT_ONCE
    return min(_MOST, at_once * len(os.sched_getaffinity(0)))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not import the files that have none of the tests that were chosen."""
    if not _is_whole(config) or not collection_path.name.startswith("test_"):
        return None
    if chosen := _chosen(config):
        return None if any(_is_found(collection_path, mark) for mark in chosen) else True
    everywhere = any(_is_marked(collection_path, mark) for mark in _MARKS)
    return True if config.option.markexpr == _REST and everywhere else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: Sequence[Any]) -> None:
    """Import all files once, and fork the processes that share the tests."""
    if not _is_whole(config):
        return
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(f"importing the tests, once for {len(specs)} processes")
    door, _ = started("tests.shared", *config.invocation_params.args)
    stand_in = shlex.join([sys.executable, "-m", "tests.stand_in", str(door)])
    for spec in specs:
        spec.python = stand_in


def files_of(config: pytest.Config) -> list[Path]:
    """The files that can have a test for a run of everything."""
    found = sorted(_TESTS.rglob("test_*.py"))
    return [path for path in found if not pytest_ignore_collect(path, config)]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None]:
    """Mark what is a proof before tests are chosen by their marks, and put them in order after."""
    for item in items:
        if item.get_closest_marker("hypothesis") and _is_more(config, item):
            item.add_marker("proof")
        for mark in _MARKS:
            if item.get_closest_marker(mark) and not _is_found(item.path, mark):
                raise pytest.UsageError(
                    f"{item.path} has a test with the mark {mark} and does not say "
                    f"`mark.{mark}` itself: `pytest -m {mark}` would not find it. Write it there."
                )
    if turn := os.environ.get("LAYBY_PROOFS"):
        _leave_out(config, items, turn)
    yield
    items[:] = dealt(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


def dealt(items: Sequence[pytest.Item], processes: int) -> list[pytest.Item]:
    """The order in which each process begins with its share of what takes long.

    Such a test waits most of its time, so others should run beside it from the beginning on.
    pytest-xdist gives each process as many neighbours at first (`--dist=worksteal`).
    """
    slow = [item for item in items if item.get_closest_marker("slow")]
    quick = deque(item for item in items if not item.get_closest_marker("slow"))
    order: list[pytest.Item] = []
    for number in range(processes):
        share = slow[number::processes]
        more = (len(items) - len(order)) // (processes - number) - len(share)
        order += share + [quick.popleft() for _ in range(min(more, len(quick)))]
    return order


def _leave_out(config: pytest.Config, items: list[pytest.Item], turn: str) -> None:
    """Leave the proofs of other turns out."""
    kept: list[pytest.Item] = []
    out: list[pytest.Item] = []
    for item in items:
        is_other = item.get_closest_marker("proof") and not is_in_turn(item.nodeid, turn)
        (out if is_other else kept).append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=out)


def pytest_collection_finish() -> None:
    """Thousands of tests stay until the end: no collection of garbage need look at them."""
    gc.freeze()


def _chosen(config: pytest.Config) -> list[str]:
    """The marks of `-m proof` and `-m "security or proof"`, and none of anything else."""
    named: list[str] = config.option.markexpr.split(" or ")
    return named if set(named) <= set(_MARKS) else []


def _is_more(config: pytest.Config, item: pytest.Item) -> bool:
    """Whether a property is tried with more examples than `pytest` tries it with."""
    marked = any(item.get_closest_marker(mark) for mark in _MARKS)
    return "proof" in _chosen(config) and not marked


def _has_room(folder: Path) -> bool:
    """Whether servers may keep their data there, which spares the tests to wait for a disk.

    What they prove is the same: a process that is killed leaves on either what it has written.
    """
    try:
        found = os.statvfs(folder)
        memory = Path("/proc/meminfo").read_text("utf-8")
    except OSError:
        return False
    usable = os.access(folder, os.W_OK) and not found.f_flag & os.ST_NOEXEC
    available = int(memory.partition("MemAvailable:")[2].split()[0]) * 1024
    return usable and min(found.f_bavail * found.f_frsize, available) > _ROOM


def _is_whole(config: pytest.Config) -> bool:
    """Whether all tests were asked for, and not some by name."""
    by_name = config.args_source is pytest.Config.ArgsSource.ARGS
    return not (by_name or config.option.keyword)


@functools.cache
def _names(path: Path, mark: str) -> bool:
    written = _WRITTEN.get(mark, re.compile(rf"mark\.{mark}"))
    return bool(written.search(path.read_text("utf-8")))


def _is_marked(path: Path, mark: str) -> bool:
    """Whether the conftest.py of its folder gives a file's tests the mark."""
    conftest = path.parent / "conftest.py"
    return conftest.exists() and _names(conftest, mark)


def _is_found(path: Path, mark: str) -> bool:
    return _names(path, mark) or _is_marked(path, mark)


class _Progress:
    """A line now and then that says how far it is, and one for each test that has failed."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._began = self._told = time.monotonic()
        self._of = 0
        self._over = 0
        self._running: list[str] = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self._of = len(ids)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        if report.passed and report.when == "call" and not hasattr(report, "wasxfail"):
            return "passed", "", "PASSED"  # no dot: lines tell how far it is
        return None

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._running.append(nodeid)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._over += 1
        if nodeid in self._running:
            self._running.remove(nodeid)
        if time.monotonic() - self._told > _TELL:
            self._told = time.monotonic()
            self._say(", ".join(sorted({each.partition("::")[0] for each in self._running})))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._say(f"FAILED {report.nodeid}")

    def _say(self, what: str) -> None:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            spent = time.monotonic() - self._began
            reporter.write_line(f"{spent:4.0f} s, {self._over:,} of {self._of:,} tests: {what}")
