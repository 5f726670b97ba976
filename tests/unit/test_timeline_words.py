"""What a timeline says of cards, of what people do with a question, and of steps around calls."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.actors.keys import Key
from layby.runtime.act_records import ClaimedQuestion, Declined, Passed
from layby.runtime.ask_back_records import AskedBack, Replied
from layby.runtime.card_records import CardStatus, Notified, Undelivered
from layby.views.card_lines import card_line, card_words, undelivered_line
from layby.views.said_line import said_line
from layby.views.step_titles import title_of

NOON = 1_767_268_800.0
BY: dict[str, Any] = {"id": "q1", "by": "ada", "at": NOON, "seq": 7, "vouched": "nats"}


def card(status: CardStatus, **more: Any) -> Notified:
    return Notified(id="q1", role="developer", channel="slack", status=status, **more)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("sent", "sent a card to slack"),
        ("failed", "no card reached slack"),
        ("held", "quiet hours hold the card to slack"),
    ],
)
def test_a_timeline_tells_cards_that_arrived_from_those_that_failed_or_wait(
    status: CardStatus, words: str
) -> None:
    line = card_line(card(status))
    assert line["title"] == card_words(card(status)) == words
    assert line["kind"] == f"card.{status}"
    assert line["actor"] == "developer"


def test_a_held_card_says_until_when() -> None:
    line = card_line(card("held", until=NOON, rung=2))
    assert line["detail"] == "until 2026-01-01T12:00:00.000Z"
    assert line["data"]["until"] == "2026-01-01T12:00:00.000Z"
    assert line["data"]["rung"] == 2


def test_a_card_that_is_not_held_names_no_time() -> None:
    line = card_line(card("sent"))
    assert line["detail"] == ""
    assert line["data"]["until"] == ""


def test_why_a_card_failed_fits_on_one_line_and_is_whole_in_the_data() -> None:
    reason = "the server\n  said:\tno " + "x" * 600
    line = card_line(card("failed", reason=reason, until=NOON))
    assert line["detail"].startswith("the server said: no xxx")
    assert len(line["detail"]) == 500
    assert line["data"]["reason"] == reason


def test_a_question_that_no_channel_could_show_names_the_role_that_was_not_told() -> None:
    line = undelivered_line(Undelivered(id="q1", role="lead", rung=1))
    assert (line["kind"], line["actor"]) == ("question.undelivered", "lead")
    assert line["title"] == "no channel could show it"
    assert line["data"] == {"id": "q1", "rung": 1}


def test_a_claim_says_until_when_somebody_is_on_it() -> None:
    line = said_line(ClaimedQuestion(**BY, until=NOON + 60))
    assert (line["kind"], line["title"]) == ("question.claimed", "ada is on it")
    assert line["detail"] == "until 2026-01-01T12:01:00.000Z"
    assert line["data"]["until"] == "2026-01-01T12:01:00.000Z"


def test_a_claim_that_ends_as_it_begins_is_a_release() -> None:
    line = said_line(ClaimedQuestion(**BY, until=NOON))
    assert (line["kind"], line["title"]) == ("question.claimed", "ada released it")
    assert (line["detail"], line["data"]["until"]) == ("", "")


def test_who_passed_a_question_on_is_shown_with_whom_it_reached() -> None:
    told, absent = ["cyd", "bob"], {"cyd": "dan"}
    record = Passed(**BY, rung=1, to="role:lead", told=told, absent=absent)
    line = said_line(record)
    assert (line["kind"], line["actor"]) == ("question.passed", "ada")
    assert line["title"] == "ada passed it to role:lead"
    assert line["detail"] == "cyd for dan, bob"
    assert (line["data"]["told"], line["data"]["absent"]) == (told, absent)
    assert line["data"]["nobody"] is False


def test_a_question_passed_to_a_rota_without_anybody_on_duty_says_so() -> None:
    line = said_line(Passed(**BY, rung=1, to="role:lead", nobody=True))
    assert line["detail"] == "nobody is on duty"
    assert line["data"]["nobody"] is True


def test_who_declined_is_shown_with_who_vouches_for_that() -> None:
    line = said_line(Declined(**BY))
    assert (line["kind"], line["title"]) == ("question.declined", "ada declined")
    assert line["data"] == {"id": "q1", "by": "ada", "vouched": "nats"}


def test_what_somebody_asked_back_is_shown_in_their_words() -> None:
    line = said_line(AskedBack(**BY, role="developer", text="Which one?"))
    assert (line["kind"], line["title"]) == ("question.asked_back", "ada asked back")
    assert line["detail"] == line["data"]["text"] == "Which one?"
    assert (line["actor"], line["data"]["seq"]) == ("ada", 7)


@pytest.mark.parametrize(
    ("by", "failed", "actor", "title"),
    [
        ("Helper", False, "Helper", "Helper replied"),
        ("", False, "the app", "the app replied"),
        ("Helper", True, "Helper", "there is no reply"),
        ("", True, "the app", "there is no reply"),
    ],
)
def test_a_reply_says_whose_it_is_or_that_there_is_none(
    by: str, actor: str, title: str, *, failed: bool
) -> None:
    record = Replied(id="q1", seq=7, kind="agent", by=by, text="The second.", failed=failed)
    line = said_line(record)
    assert (line["actor"], line["title"]) == (actor, title)
    assert line["kind"] == "question.replied"
    assert line["detail"] == "The second."
    assert line["data"]["by"] == by
    assert (line["data"]["who"], line["data"]["failed"]) == ("agent", failed)


def titled(key: str, tool: str | None) -> str:
    parsed = Key.parse(key)
    assert parsed is not None
    return title_of(*parsed, tool)


@pytest.mark.parametrize(
    ("key", "title"),
    [
        ("before#0.1", "before order"),
        ("approve#0.1", "approval of order"),
        ("failed#0.1", "failure of order"),
        ("after#0.1", "after order"),
        ("tool#0.1", "order"),
        ("tool#0.1/pay", "order/pay"),
        ("after#0.1/note", "after order/note"),
        ("route#2/tool#0.1/pay", "order/pay"),
    ],
)
def test_a_step_around_a_call_is_titled_with_the_name_of_the_tool(key: str, title: str) -> None:
    assert titled(key, "order") == title


@pytest.mark.parametrize(
    ("key", "title"),
    [
        ("model#3", "the model"),
        ("response#3", "after the model"),
        ("route#1", "who is next"),
        ("turn#0.1", ""),
        ("tool#0.1", ""),
        ("model#3/inner", ""),
        ("tool#0.1/pay", ""),
    ],
)
def test_a_step_without_a_tool_has_a_title_only_if_people_have_a_word_for_it(
    key: str, title: str
) -> None:
    assert titled(key, None) == title


@given(st.text(min_size=1), st.integers(0, 99), st.integers(0, 99))
def test_a_step_inside_a_tool_keeps_its_own_name_whatever_that_is(
    inner: str, number: int, place: int
) -> None:
    assert titled(f"tool#{number}.{place}/{inner}", "order") == f"order/{inner}"
