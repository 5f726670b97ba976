"""What the campaign `cards` holds Slack and mail against."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.copies import Card, Copy, Fronted, wrongs

CARDS = [Card("slack", "C1/1.0", first=True), Card("email", "<a>", first=True)]
MESSAGES = [Copy("card", 101.0, "C1/1.0"), Copy("result", 110.0, "C1/2.0/1.0")]
MAILS = [Copy("<1>", 101.0), Copy("<2>", 101.1)]


def kinds(
    *, died: tuple[float, ...] = (), delays: tuple[tuple[float, float], ...] = (), **more: Any
) -> set[str]:
    given: dict[str, Any] = {
        "question": "q1",
        "asked": 100.0,
        "cards": CARDS,
        "given_up": [],
        "messages": MESSAGES,
        "mails": MAILS,
        "people": 2,
        "closed_at": 140.0,
        "is_over": True,
    }

    def was_delayed(since: float, until: float) -> bool:
        return any(a <= until and since <= b for a, b in delays)

    return {each.kind for each in wrongs(Fronted(**{**given, **more}), died, was_delayed)}


def test_one_message_and_one_mail_for_each_person_are_right() -> None:
    assert kinds() == set()


@pytest.mark.parametrize(
    "again",
    [
        {"messages": [Copy("card", 100.5, "C1/0.5"), *MESSAGES]},
        {"messages": [*MESSAGES, Copy("result", 110.5, "C1/3.0/1.0")]},
        {"mails": [*MAILS, Copy("<1>", 101.0)]},
    ],
)
def test_a_copy_needs_a_death_or_a_delay_between_sending_and_recording(again: Any) -> None:
    assert kinds(**again) == {"card sent twice"}
    assert kinds(**again, died=(102.0, 111.0)) == set()
    assert kinds(**again, died=(90.0, 130.0)) == {"card sent twice"}, "not then"
    assert kinds(**again, delays=((100.0, 112.0),)) == set()


def test_what_a_log_says_was_sent_is_there() -> None:
    assert kinds(messages=MESSAGES[1:]) == {"card disagrees with the log"}
    assert kinds(mails=MAILS[:1]) == {"card disagrees with the log"}
    assert kinds(cards=CARDS[:1]) == {"card lost"}
    assert kinds(cards=CARDS[:1], closed_at=110.0) == set()
    up: dict[str, Any] = {"cards": CARDS[:1], "given_up": ["email"]}
    assert kinds(**up) == {"card disagrees with the log"}, "it never failed"
    assert kinds(**up, died=(101.0,)) == set()


def test_a_card_has_no_buttons_once_its_run_is_over() -> None:
    still = [Copy("card", 101.0, "C1/1.0", is_open=True), MESSAGES[1]]
    assert kinds(messages=still) == {"card left open"}
    assert kinds(messages=still, is_over=False) == set()
    reminder = [CARDS[0]._replace(first=False), CARDS[1]]
    assert kinds(messages=still, cards=reminder) == set()
