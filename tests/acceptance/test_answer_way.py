"""A reader who follows an answer through the code does not change files too often."""

from __future__ import annotations

import pytest

from tests.answer_way import walked


@pytest.mark.nats
async def test_the_way_of_an_answer_is_short() -> None:
    """`python -m tests.answer_way` shows the way; what is counted is said there."""
    way = await walked()
    assert way.stays[0] == way.stays[-1] == "actors/people/human.py", way.stays
    assert "actors/people/answer_resolution.py" in way.stays
    assert "runtime/run.py" in way.stays, "the end of the question was not recorded on it"
    assert way.returns <= 12, way.stays
