"""Text for Slack: cut without hiding that it was, escaped, and read back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.actors.people.channels.slack_receipt import (
    closed_text,
    receipt_text,
    unknown_person_text,
)
from layby.actors.people.channels.slack_text import NOTHING, cut, escaped, literal, written
from layby.channels import Outcome
from layby.runtime.untrusted_text import safe
from tests.slack_cards import card


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@given(st.text(alphabet="ab&<>é😀\u202e\n", max_size=80), st.integers(1, 60))
def test_what_is_cut_fits_is_a_beginning_and_says_how_much_is_missing(text: str, most: int) -> None:
    found = cut(text, most)
    assert units(escaped(found.text)) <= most or found.text == NOTHING
    if found.left_out:
        assert found.text.endswith("…")
        shown = found.text[:-1]
        assert safe(text).startswith(shown)
        assert len(shown) + found.left_out == len(safe(text))
    elif found.text != NOTHING:
        assert found.text == safe(text)


@given(st.text(alphabet="ab&<>;ltgm", max_size=40))
def test_what_is_escaped_is_read_back_as_it_was(text: str) -> None:
    assert written(escaped(text), {}) == text.strip()


@pytest.mark.parametrize("text", ["", " ", "\n\t"])
def test_an_empty_text_is_shown_as_one(text: str) -> None:
    assert literal(text, 20) == NOTHING


@pytest.mark.parametrize(
    ("wrote", "means"),
    [
        ("<mailto:a@b.example|a@b.example>", "a@b.example"),
        ("<tel:+49123|+49 123>", "+49123"),
        ("<!subteam^S1|@oncall>", "@oncall"),
        ("<!date^1^{date}|then>", "then"),
        ("<@U0EVE>", "@U0EVE"),
        ("<@U0EVE|eve>", "@eve"),
        ("<#C0ONCALL>", "#C0ONCALL"),
        ("<>", ""),
        ("a < b", "a < b"),
        ("&amp;lt;!channel&amp;gt;", "&lt;!channel&gt;"),
    ],
)
def test_what_slack_writes_as_a_reference_is_read_as_text(wrote: str, means: str) -> None:
    assert written(wrote, {}) == means


def test_nothing_that_people_are_told_is_a_mention() -> None:
    hostile = "<!channel> & <@U0ADA>"
    for text in (
        receipt_text("answer", Outcome(outcome="invalid", reason=hostile), "ada"),
        receipt_text(
            "answer", Outcome(outcome="already_answered", by=hostile, reason=hostile), "ada"
        ),
        receipt_text("pass", Outcome(outcome="accepted", reason=hostile), "ada"),
        closed_text(card(status="answered", by=hostile, outcome=hostile), "ada"),
        unknown_person_text(hostile),
    ):
        assert "<" not in text
        assert "&lt;!channel&gt; &amp; &lt;@U0ADA&gt;" in text


def test_a_closed_question_says_who_was_faster_only_if_somebody_was() -> None:
    assert closed_text(card(status="answered", by="bob", outcome="x"), "ada").startswith(
        "bob was faster"
    )
    assert "faster" not in closed_text(card(status="answered", by="ada", outcome="x"), "ada")
    assert closed_text(card(status="expired"), "ada") == "The question is closed: expired"
