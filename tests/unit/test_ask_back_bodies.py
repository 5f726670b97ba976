"""What somebody may ask back, and what else people say to a question, as it is read."""

from __future__ import annotations

from typing import Any

import pytest

from layby.actors.people.act import GivenAct, Place, understood_act
from layby.actors.people.answer import Refused
from layby.actors.people.asking_back import ask_back
from layby.actors.people.rota import Window
from layby.actors.people.sent_acts import SentAct
from layby.runtime.ask_back_records import AskedBack, Replied
from layby.runtime.ask_backs import LONGEST, is_request, request_key, spent_on
from layby.runtime.spent import NOTHING, Spent
from tests.unit.test_journal import History, asked

PLACE = Place("ask-back", "T1", "ada", "nats")
CLAIM = Place("claim", "T1", "ada", "nats")


def read(data: bytes, place: Place = PLACE) -> GivenAct | str:
    found = understood_act(place, data, "T1")
    return found.reason if isinstance(found, Refused) else found


@pytest.mark.parametrize(
    "data",
    [b"Which order?", b"  Which order? \n", b'{"text": " Which order? "}'],
)
def test_a_text_or_an_object_asks_the_same(data: bytes) -> None:
    assert read(data) == GivenAct("ask-back", "ada", "nats", text="Which order?")


def test_it_may_name_the_question_that_it_is_about() -> None:
    found = read(b'{"text": "Why?", "questionId": "q1", "ticketId": "T1"}')
    assert isinstance(found, GivenAct)
    assert (found.question_id, found.text) == ("q1", "Why?")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "say what you want to know"),
        (b"{}", 'say what you want to know: {"text": "..."}'),
        (b'{"text": "  "}', "say what you want to know"),
        (b'{"text": 7}', "say what you want to know"),
        (b'{"text": "\\ud800"}', "half of a surrogate pair, which UTF-8 cannot encode"),
        (b'{"text": "x", "ticketId": "T2"}', "ticket than its subject"),
        (b"x" * (LONGEST + 1), f"it has {LONGEST + 1} characters, more than {LONGEST}: shorten it"),
        (b"\xff", "it is not UTF-8 text"),
        (b'{"text"', "not valid JSON"),
    ],
)
def test_what_asks_nothing_is_refused_with_the_reason(data: bytes, why: str) -> None:
    found = read(data)
    assert isinstance(found, str)
    assert why in found


def test_the_longest_text_is_taken() -> None:
    found = read(b"x" * LONGEST)
    assert isinstance(found, GivenAct)
    assert len(found.text) == LONGEST


def test_a_claim_has_no_text() -> None:
    assert read(b"mine", CLAIM) == 'a claim has no text: send nothing, or {"questionId": "..."}'


# -- what it adds to a log --------------------------------------------------------------------


def said(seq: int = 5, text: str = "Why?") -> SentAct:
    return SentAct(seq, 20.0, "developer", GivenAct("ask-back", "ada", "nats", text=text))


def back(history: History, sent: SentAct) -> Any:
    return ask_back(history.state, history.state.questions["q1"], sent)


def test_what_is_asked_back_is_recorded_once() -> None:
    history = History(asked())
    [record] = back(history, said())
    assert record == AskedBack(
        id="q1", role="developer", by="ada", at=20.0, seq=5, vouched="nats", text="Why?"
    )
    history.add(record)
    assert back(history, said()) == []
    assert "asked back later is recorded already" in back(history, said(4))
    assert len(back(history, said(6))) == 1


def test_nobody_asks_back_about_a_request_for_a_reply() -> None:
    history = History(asked(about="q0"))
    assert "this is asked so that you reply" in back(history, said())


def test_all_replies_about_a_question_are_added_up() -> None:
    history = History(asked())
    used = Spent(input_tokens=3, output_tokens=2)
    for seq in (5, 6, 7):
        history.add(*back(history, said(seq)))
    for seq, spent in ((5, used), (6, None), (7, used)):
        history.add(Replied(id="q1", seq=seq, kind="agent", text="Because.", spent=spent))
    found = history.state.asked_back["q1"]
    assert spent_on(found) == Spent(input_tokens=6, output_tokens=4)
    assert spent_on(found[:0]) == NOTHING


@pytest.mark.parametrize(
    ("key", "asks"),
    [
        (request_key("ask", 7), True),
        (request_key("tool#1/ask", 12), True),
        ("ask", False),
        ("ask~asked-back-", False),
        ("ask~asked-back-x", False),
        ("7", False),
    ],
)
def test_a_request_for_a_reply_is_known_by_its_key(key: str, *, asks: bool) -> None:
    assert is_request(key) is asks


# -- a rota as people read it -----------------------------------------------------------------


def test_a_window_is_one_line() -> None:
    window = Window(person="ada", start="2026-11-30T09:00", end="2026-11-30T17:00")
    assert str(window) == "ada  2026-11-30T09:00 to 2026-11-30T17:00 UTC"
    more = Window(
        person="ada",
        start="2026-11-30T09:00",
        end="2026-12-07T09:00",
        zone="Europe/Berlin",
        weekly=True,
        delegate="bob",
    )
    assert str(more).endswith("2026-12-07T09:00 Europe/Berlin, weekly, bob stands in")


def test_a_weekly_window_is_a_week_at_most() -> None:
    with pytest.raises(ValueError, match="cannot be longer than a week"):
        Window(person="ada", start="2026-11-30T09:00", end="2026-12-07T09:01", weekly=True)
