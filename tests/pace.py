"""How the suite runs: side by side, without what takes longest, and telling how far it is.

`pytest` alone runs every test but the proofs, the attacks and those with a browser, several at
a time. Name files, a `-k`, `-n` or `-m`, and it does what you say: `pytest -m proof`,
`pytest -m security`, `pytest -m browser`.
"""

from __future__ import annotations

import os
import time

import pytest

_AT_ONCE = 3
"""Tests at a time for each core, as most of them wait for somebody now and then."""
_CHOSEN = 2
"""The same of proofs and of tests with a browser, which wait less."""
_MOST = 8
_TELL = 10.0
"""Seconds between two lines of progress."""


def pytest_configure(config: pytest.Config) -> None:
    """Leave out what takes longest unless something was chosen, and tell how far it is."""
    # Tests start many interpreters: with this set, each would compile all that it imports.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if _is_whole(config) and not config.option.markexpr:
        config.option.markexpr = "not proof and not security and not browser"
    if config.option.numprocesses and config.option.verbose == 0:
        config.pluginmanager.register(_Progress(config), "layby-progress")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many processes share the tests: none for the few that are named."""
    if not _is_whole(config):
        return 0
    at_once = _CHOSEN if config.option.markexpr else _AT_ONCE
    return min(_MOST, at_once * len(os.sched_getaffinity(0)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that nobody waits for it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def _is_whole(config: pytest.Config) -> bool:
    """Whether all tests were asked for, and not some by name."""
    by_name = config.args_source is pytest.Config.ArgsSource.ARGS
    return not (by_name or config.option.keyword)


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
