"""What the campaign `claims` holds Layby against: what was asked back, replied and looked at."""

from __future__ import annotations

import json
from typing import Any

import pytest

from layby.runtime.act_records import ClaimedQuestion
from layby.runtime.ask_back_records import AskedBack, Replied
from layby.runtime.opened_records import OpenedQuestion
from tests.chaos import looks
from tests.chaos.deeds import Told
from tests.chaos.history import ActSent
from tests.chaos.inquiries import Heard, Inquiry, Request, deadline_of, wrongs
from tests.chaos.looks import Trace, Watched


def sent(seq: int, by: str, at: float, text: Any = "why?", **body: Any) -> ActSent:
    data = text if isinstance(text, bytes) else json.dumps({"text": text, **body}).encode()
    return ActSent(seq, "squad", "ask-back", "T1", by, at, data)


def asked(n: int, seq: int, by: str, at: float, text: str = "why?") -> Heard:
    record = AskedBack(id="q1", role="squad", by=by, at=at, seq=seq, vouched="nats", text=text)
    return Heard(n, at + 0.1, at + 0.1, record)


def replied(n: int, seq: int, at: float, text: str = "because why?", **more: Any) -> Heard:
    fields: dict[str, Any] = {"kind": "code", **more}
    return Heard(n, at, at, Replied(id="q1", seq=seq, text=text, **fields))


def told(*outcomes: str, reason: str = "") -> set[Told]:
    replies = {"replied": "because why?", "not_replied": "nobody knows"}
    return {Told(each, replies.get(each, reason), "ada") for each in outcomes}


def inquiry(**more: Any) -> Inquiry:
    given: dict[str, Any] = {
        "id": "q1",
        "shown": {"squad": 100.0},
        "asked_at": 100.0,
        "published": 160.0,
        "deadline": 160.0,
        "stops": False,
        "explain": "code",
        "heard": [asked(4, 1, "ada", 110.0), replied(5, 1, 110.5)],
        "said": [sent(1, "ada", 110.0)],
        "told": {1: told("recorded", "replied")},
        "requests": {},
        "closed_n": 9,
        "closed_at": 140.0,
        "expired_n": 0,
        "expired_at": 0.0,
    }
    return Inquiry(**{**given, **more})


def kinds(one: Inquiry, *, away: bool = False) -> set[str]:
    def was_away(since: float, until: float) -> bool:
        del since, until
        return away

    return {each.kind for each in wrongs(one, was_away)}


ASKED, REPLY = inquiry().heard


def test_what_was_asked_back_recorded_replied_and_told_is_right() -> None:
    assert kinds(inquiry()) == set()


@pytest.mark.parametrize(
    ("heard", "kind"),
    [
        ([ASKED, asked(6, 1, "ada", 110.0), REPLY], "question back recorded wrongly"),
        ([asked(4, 1, "bob", 110.0), REPLY], "question back recorded wrongly"),
        ([asked(4, 1, "ada", 110.0, "what?"), REPLY], "question back recorded wrongly"),
        ([asked(10, 1, "ada", 110.0), REPLY], "question back recorded wrongly"),
        ([], "question back recorded wrongly"),
        ([ASKED, REPLY, replied(6, 1, 111.0)], "replied twice"),
        ([ASKED, replied(10, 1, 141.0)], "reply after the end"),
        ([ASKED, replied(5, 1, 110.5, "because of that")], "wrong reply"),
        ([ASKED, replied(5, 2, 110.5)], "wrong reply"),
        ([ASKED], "reply lost"),
    ],
)
def test_a_log_that_says_otherwise_is_found(heard: list[Heard], kind: str) -> None:
    assert kind in kinds(inquiry(heard=heard))


@pytest.mark.parametrize(
    ("receipts", "kind"),
    [
        (set[Told](), "answer without receipt"),
        (told("recorded"), "answer without receipt"),
        (told("recorded", "invalid", "replied"), "receipts disagree"),
        (told("recorded", "replied", "not_replied"), "wrong receipt"),
        (told("too_late", "replied"), "wrong receipt"),
    ],
)
def test_the_receipt_of_a_question_back_is_true(receipts: set[Told], kind: str) -> None:
    assert kind in kinds(inquiry(told={1: receipts}))


@pytest.mark.parametrize(
    ("act", "outcome"),
    [
        (sent(1, "", 110.0), "invalid"),
        (sent(1, "ada", 110.0, " "), "invalid"),
        (sent(1, "ada", 110.0, 7), "invalid"),
        (sent(1, "ada", 110.0, b"{"), "invalid"),
        (sent(1, "ada", 110.0, questionId="q2"), "invalid"),
        (sent(1, "ada", 99.0), "unknown_ticket"),
        (sent(1, "ada", 141.0), "already_answered"),
    ],
)
def test_what_cannot_be_asked_back_is_told_so(act: ActSent, outcome: str) -> None:
    one = inquiry(said=[act], heard=[], told={1: told(outcome)})
    assert kinds(one) == set()
    assert "wrong receipt" in kinds(one._replace(told={1: told("ambiguous")}))
    wrong = one._replace(heard=[ASKED, REPLY], told={1: told("recorded", "replied")})
    assert "question back recorded wrongly" in kinds(wrong)


def test_the_eleventh_is_refused() -> None:
    heard = [asked(n, n, "ada", 101.0 + n / 10) for n in range(1, 12)]
    said = [sent(n, "ada", 101.0 + n / 10) for n in range(1, 12)]
    receipts = {n: told("recorded") for n in range(1, 12)}
    found = inquiry(heard=heard, said=said, told=receipts, closed_at=104.0, closed_n=20)
    assert "question back recorded wrongly" in kinds(found)
    receipts[11] = told("invalid")
    assert kinds(found._replace(heard=heard[:10], told=receipts)) == set()


def test_what_was_read_after_the_question_had_closed_may_be_late() -> None:
    one = inquiry(heard=[], told={1: told("too_late")}, closed_at=120.0)
    assert kinds(one) == set()
    assert "question back lost" in kinds(one._replace(closed_at=140.0))


def test_an_unnamed_one_may_be_overtaken() -> None:
    reason = "something that was asked back later is recorded already: ask again"
    said = [sent(1, "ada", 110.0), sent(2, "bob", 110.1)]
    heard = [asked(4, 2, "bob", 110.1), replied(5, 2, 110.5)]
    receipts = {1: told("invalid", reason=reason), 2: told("recorded", "replied")}
    assert kinds(inquiry(said=said, heard=heard, told=receipts)) == set()
    named = [sent(1, "ada", 110.0, questionId="q1"), said[1]]
    assert "wrong receipt" in kinds(inquiry(said=named, heard=heard, told=receipts))


def test_a_person_replies_or_nobody_does() -> None:
    request = Request("answered", "see the order", "gil", 120.0)
    reply = replied(5, 1, 121.0, "see the order", kind="person", by="gil")
    receipts = {1: {*told("recorded"), Told("replied", "see the order", "gil")}}
    one = inquiry(
        explain="role:guide",
        heard=[ASKED, reply],
        told=receipts,
        requests={"ada asks back: why?": request},
    )
    assert kinds(one) == set()
    assert "wrong reply" in kinds(one._replace(requests={}))
    alone = one._replace(heard=[ASKED], told={1: told("recorded")})
    assert kinds(alone) == {"reply lost"}
    assert kinds(alone, away=True) == set()
    waiting = {"ada asks back: why?": Request("open", "", "", 0.0)}
    assert kinds(alone._replace(requests=waiting)) == set()
    assert "reply lost" in kinds(alone._replace(requests={})), "nobody was asked"


def test_a_clock_is_stopped_from_the_first_question_back_to_the_last_reply() -> None:
    heard = [
        asked(4, 1, "ada", 110.0),
        asked(5, 2, "bob", 112.0),
        replied(6, 1, 115.0),
        replied(7, 2, 120.0),
    ]
    one = inquiry(stops=True, heard=heard)
    assert deadline_of(one, 5) == 220.0, "as much again as it was given"
    assert deadline_of(one, 7) == 220.0
    assert deadline_of(one, 8) == pytest.approx(170.0)
    assert deadline_of(one._replace(stops=False), 8) == 160.0
    late = [*heard, asked(8, 3, "ada", 130.0)]
    assert deadline_of(one._replace(heard=late), 9) == pytest.approx(220.0), "no longer in all"


def test_a_deadline_that_did_not_wait_or_waits_for_ever_is_found() -> None:
    one = inquiry(stops=True, deadline=160.4, closed_at=158.0)
    assert "clock wrong" in kinds(one), "it stood for 0.5 s"
    right = one._replace(deadline=160.5)
    assert "clock wrong" not in kinds(right)
    early = right._replace(expired_n=9, expired_at=160.2)
    assert "clock wrong" in kinds(early)
    assert "clock wrong" not in kinds(early._replace(expired_at=160.6))


def look(seq: int, by: str, at: float, data: bytes = b"") -> ActSent:
    return ActSent(seq, "squad", "opened", "T1", by, at, data)


def opened(n: int, seq: int, by: str) -> Trace:
    return Trace(n, OpenedQuestion(id="q1", by=by, at=110.0, seq=seq, vouched="nats"))


def seen(traces: list[Trace], sent: list[ActSent], *, away: bool = False, **more: Any) -> set[str]:
    one = Watched("q1", {"squad": 100.0}, traces, sent, 9, 140.0)._replace(**more)

    def was_away(since: float, until: float) -> bool:
        del since, until
        return away

    return {each.kind for each in looks.wrongs(one, was_away)}


def test_each_person_has_looked_once() -> None:
    sent = [look(1, "ada", 110.0), look(2, "ada", 111.0)]
    claim = ClaimedQuestion(id="q1", by="ada", at=1, seq=3, vouched="nats", until=2)
    assert seen([opened(4, 1, "ada")], sent) == set()
    assert seen([opened(4, 1, "ada"), opened(5, 2, "ada")], sent) == {"look recorded wrongly"}
    assert seen([Trace(4, claim), opened(5, 1, "ada")], sent) == {"look recorded wrongly"}
    assert seen([opened(4, 1, "ada"), Trace(5, claim)], sent) == set()
    assert seen([opened(4, 7, "ada")], sent) == {"look recorded wrongly"}, "nobody sent that"
    assert seen([opened(4, 1, "bob")], sent) >= {"look recorded wrongly"}
    assert seen([opened(10, 1, "ada")], sent) == {"look recorded wrongly"}, "it was closed"
    other = [look(1, "ada", 110.0, b'{"questionId": "q2"}')]
    assert seen([opened(4, 1, "ada")], other) == {"look recorded wrongly"}


def test_a_look_that_nobody_has_recorded_is_lost() -> None:
    sent = [look(1, "ada", 110.0)]
    assert seen([], sent) == {"look lost"}
    assert seen([], sent, away=True) == set()
    assert seen([], sent, closed_at=117.0) == set(), "it was answered soon"
    for nobody in (look(1, "", 110.0), look(1, "ada", 110.0, b"x"), look(1, "ada", 100.5)):
        assert seen([], [nobody]) == set()
