"""What `layby questions` says of cards: where a question is shown, where not, what is held."""

from __future__ import annotations

import io
from datetime import datetime
from typing import Any

from rich.console import Console

from layby.actors.people.shown_card import ShownCard
from layby.cli.screen.cards import card_lines
from layby.cli.screen.question_list import question_list
from layby.views.rows import QuestionRow

NOW = datetime.fromisoformat("2026-01-01T00:00:00Z")


def row(*cards: ShownCard) -> QuestionRow:
    return QuestionRow(
        id="q1",
        ticket="T1",
        role="dev",
        question="Known?",
        context="",
        agent="Anna",
        run="r1",
        asked_at="2026-01-01T00:00:00Z",
        deadline="2026-01-02T00:00:00Z",
        cards=list(cards),
    )


def card(channel: str, status: Any = "sent", **fields: Any) -> ShownCard:
    at = "2026-01-01T00:00:00Z"
    return ShownCard(role="dev", channel=channel, status=status, at=at, **fields)


def test_a_question_without_cards_has_no_lines() -> None:
    assert card_lines(row()) == []


def test_channels_that_show_it_are_named_once() -> None:
    shown = row(card("slack"), card("mail"), card("slack", rung=0))
    assert card_lines(shown) == ["shown on slack, mail"]


def test_what_is_held_says_for_how_long() -> None:
    held = row(card("slack", "held", until="2026-01-01T07:00:00Z"))
    assert card_lines(held, NOW) == ["held by quiet hours for slack, for 7 h"]


def test_what_failed_says_why_and_cannot_move_the_cursor() -> None:
    failed = row(card("slack", "failed", reason="no\x1b[2J such\nroom", undelivered=True))
    assert card_lines(failed) == [
        "not shown on slack: no\\x1b[2J such room",
        "undelivered: no channel of dev could show it",
    ]


def test_only_the_newest_card_of_a_channel_counts() -> None:
    later = row(card("slack", "failed", reason="busy"), card("slack", rung=0))
    assert card_lines(later) == ["shown on slack"]


def test_the_list_of_questions_has_these_lines() -> None:
    console = Console(width=70, file=io.StringIO(), record=True)
    console.print(question_list([row(card("slack"))], 70, now=NOW))
    assert "shown on slack" in console.export_text()
