"""Ids are deterministic, and different for different things."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.bus.token import is_word
from layby.runtime.ids import child_id, is_run_id, question_id, run_id, timer_name

any_text = st.text(st.characters(blacklist_categories=()), max_size=40)  # lone surrogates too


def test_ids_are_what_they_were() -> None:
    """Logs on disk are found by these: another digest would start every run a second time."""
    assert run_id("support_ticket", "e-1") == "7f0e56ba8aa4c1bd4f55"
    assert child_id("shipping", "7f0e56ba8aa4c1bd4f55", "w", "ship") == "9fc68f71b6b02acbab8c"
    assert question_id("7f0e56ba8aa4c1bd4f55", "w", "ask") == "q7bc3be64711a9"
    assert timer_name("7f0e56ba8aa4c1bd4f55", "w", "sleep") == "w96f65f6330f64ddab7ef"


@given(any_text, any_text)
def test_a_run_has_the_form_of_a_run(workflow: str, event: str) -> None:
    assert is_run_id(run_id(workflow, event))
    assert run_id(workflow, event) == run_id(workflow, event)


@given(any_text, any_text, any_text, any_text)
def test_every_id_fits_into_a_subject(a: str, b: str, c: str, d: str) -> None:
    for made in (run_id(a, b), child_id(a, b, c, d), question_id(a, b, c), timer_name(a, b, c)):
        assert is_word(made)


def test_an_event_starts_a_run_for_each_workflow() -> None:
    assert run_id("a", "e-1") != run_id("b", "e-1") != run_id("b", "e-2")


def test_text_does_not_move_from_one_part_to_the_next() -> None:
    assert run_id("ab", "c") != run_id("a", "bc")
    assert question_id("r", "w.a", "sk") != question_id("r", "w.", "ask")


def test_different_things_at_the_same_place_have_different_ids() -> None:
    """A body may start a child, ask and sleep under one key."""
    made = {
        run_id("w", "k"),
        child_id("w", "r", "f", "k"),
        question_id("r", "f", "k"),
        timer_name("r", "f", "k"),
        run_id("r", "f"),
    }
    assert len(made) == 5


@pytest.mark.parametrize(
    "text", ["", "e-1", "0" * 19, "0" * 21, "A" * 20, "g" * 20, f"{'0' * 20}\n", f" {'0' * 20}"]
)
def test_what_is_not_the_id_of_a_run(text: str) -> None:
    assert not is_run_id(text)
