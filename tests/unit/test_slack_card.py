"""What a card looks like in Slack: whole where it fits, and never more than it says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.actors.people.channels.slack_button import pressed_in
from layby.actors.people.channels.slack_card import FULL, LEAST, message_of, reply_of, result_of
from layby.channels import Card, CardAskBack, CardVote
from tests.slack_cards import ASKED, approval, card
from tests.slack_rules import buttons_of, plain_texts, wrong_with_message

USERS = {"ada": "U0ADA", "bob": "U0BOB"}
HOSTILE = st.one_of(
    st.text(max_size=200),
    st.text(alphabet="&<>!@#*_~`\n\u202e\x00é😀", max_size=5_000),
    st.sampled_from(
        ["", " ", "<!channel>", "<@U0ADA>", "<https://evil.example|ok>", "```", "&lt;!here&gt;"]
    ),
    st.integers(1, 40_000).map("<&>😀x".__mul__),
)
WORDS = st.text(alphabet="abcdefghij_-", min_size=1, max_size=32)
CARDS = st.builds(
    Card,
    key=HOSTILE,
    question=WORDS,
    ticket=st.text(min_size=1, max_size=200),
    run=WORDS,
    workflow=HOSTILE,
    role=WORDS,
    asked_of=WORDS,
    agent=HOSTILE,
    text=HOSTILE,
    context=HOSTILE,
    form=st.none() | st.just({"type": "boolean"}),
    choices=st.lists(HOSTILE, max_size=8).map(tuple),
    tool=HOSTILE,
    arguments=HOSTILE,
    digest=st.sampled_from(["", "a4c40b38ddc2"]),
    accept=st.lists(st.sampled_from(["nats", "slack", "signature", "none"]), max_size=2).map(tuple),
    needed=HOSTILE,
    asked_back=st.lists(
        st.builds(
            CardAskBack,
            by=HOSTILE,
            text=HOSTILE,
            reply=HOSTILE,
            status=st.sampled_from(["waiting", "replied", "failed"]),
        ),
        max_size=4,
    ).map(tuple),
    votes=st.lists(st.builds(CardVote, by=HOSTILE, role=WORDS, choice=HOSTILE), max_size=30).map(
        tuple
    ),
    asked_at=st.floats(0, 4e9),
    deadline=st.floats(0, 4e9),
    silence=HOSTILE,
    kind=st.sampled_from(["asked", "reminder", "escalation"]),
    number=st.integers(0, 9),
    to=st.sampled_from(["", "person:ada", "person:eve"]),
    told=st.lists(st.sampled_from(["ada", "bob", "eve"]), max_size=3).map(tuple),
    answer_with=st.lists(HOSTILE, max_size=4).map(tuple),
    status=st.sampled_from(["open", "answered", "expired", "cancelled", "no_quorum"]),
    outcome=HOSTILE,
    by=HOSTILE,
    closed_at=st.floats(0, 4e9),
    claimed_by=HOSTILE,
    claimed_until=st.floats(0, 4e9),
    run_status=st.sampled_from(["", "completed", "failed"]),
    result=HOSTILE,
)


@given(CARDS)
def test_any_card_is_a_message_that_slack_takes_and_nothing_in_it_is_unescaped(each: Card) -> None:
    for room in (FULL, LEAST):
        message = message_of(each, USERS, room)
        assert wrong_with_message(message._asdict()) == []
    assert wrong_with_message(reply_of(each, USERS)._asdict()) == []
    assert wrong_with_message(result_of(each)._asdict()) == []


@given(CARDS)
def test_every_button_comes_back_as_what_it_stands_for(each: Card) -> None:
    for button in buttons_of(message_of(each, USERS).blocks):
        assert button["value"].replace("-", "").replace("_", "").isalnum()
        pressed = pressed_in(button["value"])
        assert pressed is not None
        assert (pressed.ticket, pressed.question, pressed.role) == (
            each.ticket,
            each.question,
            each.role,
        )


@given(CARDS)
def test_what_is_closed_has_no_buttons(each: Card) -> None:
    if each.status != "open":
        assert buttons_of(message_of(each, USERS).blocks) == []


def test_a_question_is_shown_with_everything_that_people_need() -> None:
    asked = card(
        agent="Support",
        context="Priority: critical",
        to="person:ada",
        told=("ada", "eve"),
        needed="2 of developer",
        votes=(CardVote(by="bob", role="developer", choice="yes"),),
        claimed_by="bob",
        answer_with=("nats pub -J developer.response.T125 hello",),
    )
    message = message_of(asked, USERS)
    words = plain_texts(message.blocks)
    for each in (
        "Question for developer · T125",
        "Support asks · ticket T125 · run run1",
        "Is this a known problem?",
        "Priority: critical",
        "For <@U0ADA>",
        "For eve",
        "<!date^1764433600^{date_short_pretty} {time}|2025-11-29T16:26:40.000Z>",
        "If nobody answers: the run continues without an answer",
        "It takes: 2 of developer",
        "bob (developer): yes",
        "bob is on it",
        "reply in this thread",
        "nats pub -J developer.response.T125 hello",
    ):
        assert each in words
    assert message.text == "Question for developer · T125: Is this a known problem?"
    assert labels(asked) == ["Answer…", "I'm on it", "Not mine", "Pass on…", "Ask back…"]


def test_a_call_is_approved_only_by_what_is_shown_whole() -> None:
    asked = approval()
    words = plain_texts(message_of(asked, USERS).blocks)
    assert asked.arguments in words
    assert "Digest of this call: a4c40b38ddc2" in words
    assert labels(asked)[:3] == ["Approve", "Reject", "Reject with a reason…"]
    [approve] = [b for b in buttons(asked) if b["text"]["text"] == "Approve"]
    assert "a4c40b38ddc2" in approve["confirm"]["text"]["text"]

    long = approval(arguments=json.dumps({"text": "x" * 4_000}))
    words = plain_texts(message_of(long, USERS).blocks)
    assert "Approve" not in labels(long)
    assert "Reject" in labels(long)
    assert "characters of the arguments. Read all of it: layby show run1" in words
    assert "cannot be approved here, because not all of the call is shown" in words


@pytest.mark.parametrize("context", ["", "x" * 4_000])
def test_a_call_whose_arguments_are_in_a_context_that_is_cut_is_not_approved(context: str) -> None:
    assert "Approve" not in labels(approval(arguments="", context=context))
    assert "Approve" in labels(approval(arguments="", context="order: A1"))


def test_a_few_short_choices_are_buttons_and_others_are_in_a_form() -> None:
    yes_no = card(form={"type": "boolean"}, choices=("yes", "no"))
    assert labels(yes_no)[:2] == ["yes", "no"]
    assert labels(card(choices=tuple("abcdef")))[0] == "Answer…"
    assert labels(card(choices=("a", "b" * 76)))[0] == "Answer…"


def test_where_slacks_word_does_not_count_there_is_nothing_to_answer_with() -> None:
    signed = approval(accept=("signature",), answer_with=("layby answer T125 approve",))
    assert labels(signed) == ["I'm on it", "Not mine", "Pass on…", "Ask back…"]
    words = plain_texts(message_of(signed, USERS).blocks)
    assert "An answer given in Slack does not count" in words
    assert "layby answer T125 approve" in words
    assert "Approve" in labels(approval(accept=("nats", "slack")))


def test_what_was_asked_back_is_shown_with_its_reply() -> None:
    asked = card(
        asked_back=(
            CardAskBack(by="eve", text="First?", reply="Long ago.", status="replied"),
            CardAskBack(by="bob", text="Why <!channel> 900?", reply="Twice.", status="replied"),
            CardAskBack(by="ada", text="And?"),
        )
    )
    words = plain_texts(message_of(asked, USERS).blocks)
    assert "bob asks back: Why <!channel> 900?\nReply: Twice." in words
    assert "ada asks back: And?\nno reply yet" in words
    assert "First?" not in words
    gone = card(asked_back=(CardAskBack(by="ada", text="", status="failed"),))
    assert "ada asks back: (confidential)\nthere is no reply" in plain_texts(
        message_of(gone, USERS).blocks
    )


def test_a_command_is_shown_whole_or_not_at_all() -> None:
    asked = card(answer_with=("short", "x" * 2_000))
    words = plain_texts(message_of(asked, USERS).blocks)
    assert "short" in words
    assert "xxx" not in words
    only_long = plain_texts(message_of(card(answer_with=("x" * 2_000,)), USERS).blocks)
    assert "layby show run1" in only_long


def test_a_closed_question_says_who_answered_what_and_when() -> None:
    closed = card(
        status="answered",
        outcome="ada answered: fixed in v1.1.4",
        by="ada",
        closed_at=ASKED + 60,
        run_status="completed",
        answer_with=("nats pub",),
    )
    words = plain_texts(message_of(closed, USERS).blocks)
    assert "Answered: Question for developer · T125" in words
    assert "ada answered: fixed in v1.1.4" in words
    assert "by ada" in words
    assert "<!date^1764430060^" in words
    assert "The run has ended: completed" in words
    assert "nats pub" not in words


def test_a_reminder_mentions_those_who_are_told() -> None:
    reminder = card(kind="reminder", number=2, told=("ada", "bob"), first="C1/1.2")
    words = plain_texts(reply_of(reminder, USERS).blocks)
    assert "<@U0ADA> <@U0BOB> Reminder 2: the question above is open." in words


def buttons(each: Card) -> list[dict[str, Any]]:
    return buttons_of(message_of(each, USERS).blocks)


def labels(each: Card) -> list[str]:
    return [button["text"]["text"] for button in buttons_of(message_of(each, USERS).blocks)]
