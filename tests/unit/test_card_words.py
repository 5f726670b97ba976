"""What a card says once a question is closed, and how large things and secrets are shown."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from layby.runtime.call import Call
from layby.runtime.card_records import Notified, Undelivered
from layby.runtime.entry import (
    Answered,
    Cancelled,
    Ended,
    Expired,
    Proposed,
    Raw,
    Record,
    Voted,
    Withdrawn,
)
from layby.runtime.ladder_records import Laddered, PlannedRung
from layby.runtime.quorum import Quorum
from tests.unit.test_card import DIGEST, asked, card, state_of


def outcome(*records: Record, **fields: Any) -> str:
    return card(state_of(asked(**fields), *records)).outcome


@pytest.mark.parametrize(
    ("record", "fields", "words"),
    [
        (Answered(id="q1", text="yes", by="ada"), {}, "ada answered: yes"),
        (Answered(id="q1", text="yes"), {}, "somebody answered: yes"),
        (
            Answered(id="q1", text="yes", by="ada"),
            {"confidential": True},
            "ada answered: (confidential)",
        ),
        (Expired(id="q1"), {}, "nobody decided in time: the run continues without an answer"),
        (
            Expired(id="q1"),
            {"digest": DIGEST},
            "nobody decided in time: the call does not run, and the agent is told",
        ),
        (Cancelled(), {}, "no answer is needed any longer: the run has ended"),
    ],
)
def test_a_closed_card_says_how_it_ended(
    record: Record, fields: dict[str, Any], words: str
) -> None:
    assert outcome(record, **fields).startswith(words)


def test_a_question_that_is_withdrawn_ends_while_the_run_goes_on() -> None:
    assert outcome(Withdrawn(frame="w", key="ask")) == "no answer is needed any longer"


@pytest.mark.parametrize(
    ("confidential", "words"),
    [(False, "people do not agree: ada: yes, bob: no"), (True, "people do not agree: (confide")],
)
def test_people_who_do_not_agree_are_shown_unless_that_is_secret(
    words: str, *, confidential: bool
) -> None:
    quorum = Quorum(number=2, people={"finance": ["ada", "bob"]})
    votes = [
        Voted(id="q1", role="finance", text=text, by=by, at=1.0, seq=seq, vouched="nats")
        for seq, (by, text) in enumerate([("ada", "yes"), ("bob", "no")], 1)
    ]
    state = state_of(
        asked(Proposed, quorum=quorum, form={"type": "boolean"}, confidential=confidential), *votes
    )
    shown = card(state)
    assert shown.outcome.startswith(words)
    assert [vote.choice for vote in shown.votes] == (["", ""] if confidential else ["yes", "no"])


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        (b'"paid"', "paid"),
        (b"7", "7"),
        (b"null", ""),
        (b'{"a": [1]}', '{"a": [1]}'),
        (b'{"$blob":"abc","size":9}', "a large result: layby show r1"),
        (b"broken", "broken"),
        (b"\xff", "\ufffd"),
    ],
)
def test_a_result_is_shown_as_people_read_it(result: bytes, shown: str) -> None:
    ended = Ended(status="completed", result=Raw(result))
    assert card(state_of(asked(), ended)).result == shown


def test_a_long_text_is_cut_and_the_longest_is_not() -> None:
    for length, shown in [(2_000, "x" * 2_000), (2_001, "x" * 2_000 + "…")]:
        ended = Ended(status="completed", result=Raw(msgspec.json.encode("x" * length)))
        assert card(state_of(asked(), ended)).result == shown


@pytest.mark.parametrize(
    ("status", "word"),
    [("completed", "completed"), ("cancelled", "cancelled"), ("timed_out", "failed")],
)
def test_a_run_has_ended_in_one_of_three_words(status: str, word: str) -> None:
    shown = card(state_of(asked(), Ended(status=status, error="why", result=Raw(b"null"))))
    assert shown.run_status == word
    assert shown.result == ("" if status == "completed" else "why")


def test_a_signed_call_is_shown_as_it_is_signed() -> None:
    call = Call(tool="refund", arguments='{"cents":1}')
    shown = card(state_of(asked(digest=DIGEST, call=call)))
    assert (shown.tool, shown.arguments) == ("refund", '{"cents":1}')
    secret = card(state_of(asked(digest=DIGEST, confidential=True)))
    assert (secret.tool, secret.arguments) == ("", "")


def test_a_card_for_no_rung_is_the_first_one() -> None:
    ladder = Laddered(id="q1", rungs=[PlannedRung(kind="reminder", at=150.0)])
    state = state_of(ladder, asked())
    assert [
        (card(state, rung=rung).kind, card(state, rung=rung).number) for rung in (-1, 0, 1)
    ] == [
        ("asked", 0),
        ("reminder", 1),
        ("asked", 0),
    ]
    assert card(state, rung=0).key == "q1.finance.slack.0"


# -- cards that nobody takes --------------------------------------------------------------------


def notified(status: Any, channel: str = "slack", **more: Any) -> Notified:
    return Notified(id="q1", role="finance", channel=channel, status=status, **more)


def undelivered(*records: Record) -> list[bool]:
    state = state_of(asked(), *records)
    return [each.undelivered for each in state.cards["q1"]]


GIVEN_UP = Undelivered(id="q1", role="finance", rung=-1)


def test_nobody_was_told_once_all_channels_have_given_up_until_one_delivers_after_all() -> None:
    failed = [notified("failed", seq=1), notified("failed", "mail", seq=1)]
    assert undelivered(*failed) == [False, False]
    assert undelivered(*failed, GIVEN_UP) == [True, True]
    assert undelivered(*failed, GIVEN_UP, notified("sent", seq=2)) == [False, False]
    held = notified("held", "phone", until=9.0)
    assert undelivered(*failed, GIVEN_UP, held) == [True, True, False]


def test_cards_of_another_role_or_rung_are_not_meant() -> None:
    other = Notified(id="q1", role="lead", channel="slack", status="failed", seq=1)
    later = notified("failed", seq=1, rung=0)
    assert undelivered(other, later, notified("failed", seq=1), GIVEN_UP) == [False, False, True]
    sent = Notified(id="q1", role="lead", channel="slack", status="sent", seq=2)
    assert undelivered(notified("failed", seq=1), GIVEN_UP, sent) == [True, False]
