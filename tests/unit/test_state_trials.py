"""Parallel tools end in the state of some serial order, or in an error that names both writers."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chaos.state_trials import Trial
from tests.examples import examples


@given(st.randoms(use_true_random=False))
@settings(max_examples=examples(150), deadline=None)
def test_no_mix_of_tools_delays_and_crashes_loses_a_change(rng: Random) -> None:
    Trial(rng).run()
