from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from layby.testing import TestRuntime

# `pytest` alone does not put the checkout on the path, as `python -m pytest` does.
sys.path.append(str(Path(__file__).parent.parent))

pytest_plugins = [
    "layby.pytest_plugin",
    "tests.fix_browser",
    "tests.fix_bus",
    "tests.fix_completions",
    "tests.fix_crashes",
    "tests.fix_engine",
    "tests.fix_messages",
    "tests.fix_nats",
    "tests.fix_postgres",
    "tests.fix_proxy",
    "tests.fix_responses",
    "tests.fix_slack",
    "tests.fix_smtp",
    "tests.pace",
]

_WITHIN = 60.0
"""Seconds that anything may take on a loaded machine."""


@pytest.fixture
def layby_running(
    layby_running: Callable[..., AbstractAsyncContextManager[TestRuntime]],
    request: pytest.FixtureRequest,
) -> Callable[..., Any]:
    """That of users, who have less to do at a time; theirs is tested by itself."""
    if request.path.stem == "test_testing":
        return layby_running
    return functools.partial(layby_running, within=_WITHIN)
