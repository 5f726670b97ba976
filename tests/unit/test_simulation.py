"""Many schedules of the decisions alone: LAYBY_SCHEDULES says how many, LAYBY_SEED the first.

`pytest` tries a part of them, `pytest -m proof` all.
"""

from __future__ import annotations

import os

import pytest

from tests.chaos.simulation import Broken, World
from tests.examples import proofs_but

SCHEDULES = int(os.environ.get("LAYBY_SCHEDULES", "4000"))
PART = 400
FIRST = int(os.environ.get("LAYBY_SEED", "1"))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("schedules", proofs_but(1, [PART, SCHEDULES]))
def test_no_schedule_breaks_a_promise(schedules: int) -> None:
    for seed in range(FIRST, FIRST + schedules):
        try:
            World(seed).run()
        except Broken as broken:
            raise AssertionError(f"seed {seed}: {broken}") from None
