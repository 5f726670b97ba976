"""Many schedules of the decisions alone: LAYBY_SCHEDULES says how many, LAYBY_SEED the first."""

from __future__ import annotations

import os

import pytest

from tests.chaos.simulation import Broken, World

SCHEDULES = int(os.environ.get("LAYBY_SCHEDULES", "4000"))
FIRST = int(os.environ.get("LAYBY_SEED", "1"))


@pytest.mark.timeout(600)
def test_no_schedule_breaks_a_promise() -> None:
    for seed in range(FIRST, FIRST + SCHEDULES):
        try:
            World(seed).run()
        except Broken as broken:
            raise AssertionError(f"seed {seed}: {broken}") from None
