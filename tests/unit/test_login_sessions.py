"""Who is signed in, for how long, and what they may do with that."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.client import Client
from layby.console.login.asked import may_answer, may_see, role_here
from layby.console.login.session import VIEWER, Rights, Session, Uses, sender_of
from layby.console.login.sessions import Sessions
from layby.runtime.quorum import Quorum
from layby.views.rows import QuestionRow

LEAD = Rights(view=False, roles=frozenset({"lead"}), operate=False)
NOBODY = Rights(view=False, roles=frozenset(), operate=False)
NAMES = st.frozensets(st.sampled_from(["lead", "developer", "boss"]))
RIGHTS = st.builds(
    Rights, view=st.booleans(), roles=st.none() | NAMES, operate=st.booleans(), shown=NAMES
)


def session(name: str = "ada", rights: Rights = VIEWER, **more: object) -> Session:
    return Session(name=name, rights=rights, client=cast("Client", None), **more)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


class Room:
    """Sessions whose clock stands still until it is moved, and which note who was ended."""

    def __init__(self, *, idle: float = 10.0, most: int = 3) -> None:
        self.now = 100.0
        self.ended: list[str] = []
        self.sessions = Sessions(
            idle=idle,
            most=most,
            clock=lambda: self.now,
            ended=lambda each: self.ended.append(each.name),
        )

    def add(self, *names: str) -> list[str]:
        return [self.sessions.add(session(name)) for name in names]


def test_the_key_of_a_session_leads_to_it_and_no_other_key_does() -> None:
    room = Room()
    ada, bob = room.add("ada", "bob")
    found = room.sessions.get(ada)
    assert found is not None
    assert found.name == "ada"
    assert ada != bob
    assert len(ada) >= 32  # 24 random bytes
    assert room.sessions.get("") is None
    assert room.sessions.get(ada[:-1]) is None
    assert room.ended == []


@pytest.mark.parametrize(("passed", "lives"), [(9.9, True), (10.0, True), (10.1, False)])
def test_a_session_is_over_after_its_time_without_a_request(passed: float, *, lives: bool) -> None:
    room = Room()
    (key,) = room.add("ada")
    room.now += passed
    assert (room.sessions.get(key) is not None) is lives
    assert room.ended == ([] if lives else ["ada"])
    assert room.sessions.has(key) is lives


@pytest.mark.parametrize(("passed", "ended"), [(10.0, []), (10.1, ["ada"])])
def test_a_session_that_is_over_is_swept_away_at_the_next_sign_in(
    passed: float, ended: list[str]
) -> None:
    room = Room()
    room.add("ada")
    room.now += passed
    room.add("bob")
    assert room.ended == ended


def test_each_request_gives_a_session_its_whole_time_again() -> None:
    room = Room()
    (key,) = room.add("ada")
    for _ in range(5):
        room.now += 9
        assert room.sessions.get(key) is not None
    room.now += 11
    assert room.sessions.get(key) is None


def test_asking_whether_there_is_a_session_does_not_keep_it_alive() -> None:
    room = Room()
    (key,) = room.add("ada")
    room.now += 9
    assert room.sessions.has(key)
    room.now += 9
    assert room.sessions.get(key) is None


def test_the_session_that_was_used_least_lately_makes_room() -> None:
    room = Room()
    ada, bob, carl = room.add("ada", "bob", "carl")
    room.sessions.get(ada)
    room.add("dora")
    assert room.ended == ["bob"]
    assert len(room.sessions) == 3
    assert [room.sessions.has(each) for each in (ada, bob, carl)] == [True, False, True]


def test_a_session_is_ended_once() -> None:
    room = Room()
    (key,) = room.add("ada")
    room.sessions.end(key)
    room.sessions.end(key)
    room.sessions.end("unknown")
    assert room.ended == ["ada"]
    assert room.sessions.get(key) is None


def test_all_sessions_end_with_the_console() -> None:
    room = Room()
    room.add("ada", "bob")
    room.sessions.end_all()
    assert room.ended == ["ada", "bob"]
    assert len(room.sessions) == 0


def test_only_those_who_were_idle_too_long_are_swept() -> None:
    room = Room()
    room.add("ada")
    room.now += 6
    room.add("bob")
    room.now += 6
    room.sessions.sweep()
    assert room.ended == ["ada"]
    room.now += 20
    room.sessions.sweep()
    assert room.ended == ["ada", "bob"]


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "get", "end", "wait", "sweep"]), st.integers(0, 6)),
    max_size=40,
)


@given(STEPS)
def test_there_are_never_too_many_and_everybody_is_told_once_that_it_is_over(
    steps: list[tuple[str, int]],
) -> None:
    room = Room()
    keys: list[str] = []
    for what, number in steps:
        key = keys[number % len(keys)] if keys else ""
        if what == "add":
            keys += room.add(str(len(keys)))
        elif what == "get":
            room.sessions.get(key)
        elif what == "end":
            room.sessions.end(key)
        elif what == "wait":
            room.now += number
        else:
            room.sessions.sweep()
        assert len(room.sessions) <= 3
        over = {str(place) for place, each in enumerate(keys) if not room.sessions.has(each)}
        assert over == set(room.ended)
    assert len(room.ended) == len(set(room.ended))


@pytest.mark.parametrize(
    ("rights", "word"),
    [
        (Rights(), "operator"),
        (Rights(operate=False), "responder"),
        (LEAD, "responder"),
        (VIEWER, "viewer"),
        (NOBODY, "viewer"),
    ],
)
def test_what_a_person_may_do_has_one_word_on_the_page(rights: Rights, word: str) -> None:
    assert rights.word == word


@pytest.mark.parametrize(
    ("rights", "seen"),
    [
        (Rights(), None),
        (VIEWER, None),
        (LEAD, frozenset({"lead"})),
        (LEAD.without_changes(), frozenset({"lead"})),
        (NOBODY, frozenset[str]()),
        (Rights(view=False, roles=None, operate=False), None),
    ],
)
def test_the_roles_whose_questions_somebody_sees(
    rights: Rights, seen: frozenset[str] | None
) -> None:
    assert rights.seen == seen


@given(RIGHTS, st.sampled_from(["lead", "developer", "boss", "other"]))
def test_whoever_may_answer_a_question_also_sees_it(rights: Rights, role: str) -> None:
    assert rights.sees(role) or not rights.answers(role)
    assert rights.sees(role) is (rights.seen is None or role in rights.seen)
    assert rights.answers_one_of([role]) is rights.answers(role)
    assert not rights.answers_one_of([])
    assert rights.may_answer or not rights.answers(role)


@given(RIGHTS, st.sampled_from(["lead", "developer", "other"]))
def test_where_nothing_may_be_changed_people_see_what_they_saw_and_change_nothing(
    rights: Rights, role: str
) -> None:
    less = rights.without_changes()
    assert not less.operate
    assert not less.may_answer
    assert less.word == "viewer"
    assert less.view is rights.view
    if rights.roles is not None and role in rights.roles:
        assert less.sees(role)
    assert rights.sees(role) or not less.sees(role)


@pytest.mark.parametrize(
    ("one", "sender"),
    [
        # the server lets them answer under a name of their own: nobody else need vouch for it
        (session(responder="ada-1", vouched=None), ("ada-1", None)),
        (session(vouched=None), ("ada", "proxy")),
        (session(vouched=None, via="token"), ("ada", "token")),
        (session(vouched=frozenset({"lead"})), ("ada", "proxy")),
        (session(vouched=frozenset({"boss"})), (None, None)),
        (session(), (None, None)),
        (session("ada b", vouched=None), (None, None)),
        (session("ada.b", vouched=None), (None, None)),
        (session("*", vouched=None), (None, None)),
    ],
)
def test_under_which_name_somebody_answers_and_who_vouches_for_it(
    one: Session, sender: tuple[str | None, str | None]
) -> None:
    assert sender_of(one, "lead") == sender


def test_each_session_has_a_form_token_that_it_does_not_show() -> None:
    one, other = session(), session()
    assert one.form_token != other.form_token
    assert len(one.form_token) >= 32
    assert one.form_token not in repr(one)


def test_requests_under_way_are_counted_even_if_they_fail() -> None:
    uses = Uses()
    with uses.one():
        with uses.one():
            assert uses.count == 2
        with pytest.raises(ZeroDivisionError), uses.one():
            raise ZeroDivisionError
        assert uses.count == 1
    assert uses.count == 0


def asked_of(role: str, quorum: Quorum | None = None) -> QuestionRow:
    return QuestionRow(
        id="q",
        ticket="T1",
        run="r",
        role=role,
        question="?",
        context="",
        agent="desk",
        asked_at="2026-12-01T00:00:00Z",
        deadline="2026-12-01T04:00:00Z",
        quorum=quorum,
    )


def test_somebody_who_sees_a_question_need_not_be_one_who_may_answer_it() -> None:
    lead, viewer = session(rights=LEAD), session(rights=VIEWER)
    assert (may_see(asked_of("lead"), lead), may_answer(asked_of("lead"), lead)) == (True, True)
    assert (may_see(asked_of("boss"), lead), may_answer(asked_of("boss"), lead)) == (False, False)
    assert (may_see(asked_of("boss"), viewer), may_answer(asked_of("boss"), viewer)) == (
        True,
        False,
    )


def test_who_has_several_of_the_roles_answers_for_the_one_that_is_theirs_to_vote_for() -> None:
    both = Rights(view=False, roles=frozenset({"lead", "boss"}), operate=False)
    two = Quorum(number=2, groups={"boss": 1, "lead": 1}, people={"boss": ["bob"]})
    ada = session("ada", both, vouched=None)
    bob = session("bob", both, vouched=None)
    assert role_here(asked_of("boss", two), ada) == "lead"
    assert role_here(asked_of("boss", two), bob) == "boss"


def test_who_has_none_of_the_roles_is_named_the_one_that_was_asked() -> None:
    assert role_here(asked_of("boss"), session(rights=LEAD)) == "boss"
