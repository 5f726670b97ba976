"""How many people decide: in words, by role, and whether they still can."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layby.runtime.quorum import (
    Quorum,
    is_reachable,
    is_reached,
    may_answer_for,
    roles_of,
    standing,
    terms,
)
from tests.examples import examples


class Cast(NamedTuple):
    by: str
    role: str = "finance"


class Asked(NamedTuple):
    quorum: Quorum | None
    role: str = "finance"


PEOPLE = {"finance": ["ada", "bob"], "legal": ["ada", "dan"]}
BOTH = {"finance": 1, "legal": 1}


@pytest.mark.parametrize(
    ("quorum", "words"),
    [
        (None, ""),
        (Quorum(number=2), "decided by 2 of finance"),
        (Quorum(number=2, groups=BOTH), "decided by 1 of finance and 1 of legal"),
        (
            Quorum(number=3, groups=BOTH),
            "decided by 3 people, among them 1 of finance and 1 of legal",
        ),
        (
            Quorum(number=2, veto=True, exclude=["eve", "mallory"]),
            "decided by 2 of finance; one rejection is enough; not by eve, mallory",
        ),
    ],
)
def test_people_read_who_decides(quorum: Quorum | None, words: str) -> None:
    assert terms(Asked(quorum)) == words


@pytest.mark.parametrize(
    ("quorum", "votes", "words"),
    [
        (Quorum(number=2), [], "0 of 2"),
        (Quorum(number=2), [Cast("ada")], "1 of 2"),
        (Quorum(number=2, groups=BOTH), [Cast("ada")], "finance 1 of 1, legal 0 of 1"),
        (
            Quorum(number=3, groups=BOTH),
            [Cast("ada"), Cast("bob")],
            "2 of 3, finance 1 of 1, legal 0 of 1",
        ),
    ],
)
def test_people_read_how_far_a_choice_is(quorum: Quorum, votes: list[Cast], words: str) -> None:
    assert standing(quorum, votes) == words


@pytest.mark.parametrize(
    ("asked", "roles"),
    [
        (Asked(None), ("finance",)),
        (Asked(Quorum(number=2)), ("finance",)),
        (Asked(Quorum(number=2, groups={"legal": 1, "finance": 1})), ("finance", "legal")),
        (Asked(Quorum(number=1, groups={"legal": 1})), ("finance", "legal")),
    ],
)
def test_the_role_that_is_asked_first_comes_first(asked: Asked, roles: tuple[str, ...]) -> None:
    assert roles_of(asked) == roles


@pytest.mark.parametrize(
    ("quorum", "person", "roles"),
    [
        (None, "eve", ["finance"]),
        (Quorum(number=1, groups=BOTH, people=PEOPLE), "ada", ["finance", "legal"]),
        (Quorum(number=1, groups=BOTH, people=PEOPLE), "dan", ["legal"]),
        (Quorum(number=1, groups=BOTH, people=PEOPLE), "eve", []),
        (Quorum(number=1, groups=BOTH, people=PEOPLE, exclude=["ada"]), "ada", []),
        (Quorum(number=1, groups=BOTH, people={"legal": ["dan"]}), "eve", ["finance"]),
        (Quorum(number=1, groups=BOTH, people={"legal": ["dan"]}, exclude=["dan"]), "dan", []),
        (
            Quorum(number=1, groups=BOTH, people={"legal": ["dan"]}, exclude=["dan"]),
            "eve",
            ["finance"],
        ),
    ],
)
def test_a_person_answers_for_the_roles_that_have_them_or_name_nobody(
    quorum: Quorum | None, person: str, roles: list[str]
) -> None:
    assert may_answer_for(Asked(quorum), person) == roles


def test_enough_votes_of_the_wrong_role_do_not_decide() -> None:
    quorum = Quorum(number=2, groups=BOTH)
    assert not is_reached(quorum, [Cast("ada"), Cast("bob")])
    assert is_reached(quorum, [Cast("ada"), Cast("dan", "legal")])
    assert not is_reached(Quorum(number=3, groups=BOTH), [Cast("ada"), Cast("dan", "legal")])


def test_who_has_voted_otherwise_is_not_counted_on() -> None:
    quorum = Quorum(number=2, people={"finance": ["ada", "bob", "cleo"]})
    assert is_reachable(quorum, ["finance"], [Cast("ada")], {"ada", "bob"})
    assert not is_reachable(quorum, ["finance"], [Cast("ada")], {"ada", "bob", "cleo"})
    assert is_reachable(quorum, ["finance"], [Cast("ada"), Cast("bob")], {"ada", "bob", "cleo"})


def test_a_role_that_names_nobody_can_always_bring_somebody_new() -> None:
    assert is_reachable(Quorum(number=5), ["finance"], [], {"ada", "bob"})
    mixed = Quorum(number=5, groups={"finance": 1}, people={"finance": []})
    assert not is_reachable(mixed, ["finance", "legal"], [], ())


NAMES = st.sampled_from(["ada", "bob", "cleo", "dan"])
ROLES = ["finance", "legal", "it"]
TEAMS = st.fixed_dictionaries({role: st.lists(NAMES, unique=True, max_size=3) for role in ROLES})
GROUPS = st.dictionaries(st.sampled_from(ROLES), st.integers(1, 2), max_size=3)


def _can_be_seated(quorum: Quorum) -> bool:
    """Whether some way of giving each seat a person of its role seats nobody twice: all tried."""
    seats = [role for role, count in quorum.groups.items() for _ in range(count)]
    ways = itertools.product(*(quorum.may_vote(role) or [] for role in seats))
    return any(len(set(way)) == len(seats) for way in ways)


@settings(deadline=None, database=None, max_examples=examples(300))
@given(GROUPS, TEAMS, st.lists(NAMES, max_size=2), st.integers(1, 5))
def test_whether_people_can_agree_is_what_trying_all_seats_says(
    groups: dict[str, int], teams: dict[str, list[str]], exclude: list[str], more: int
) -> None:
    number = max(more, sum(groups.values()))
    quorum = Quorum(number=number, groups=groups, people=teams, exclude=exclude)
    everybody = {person for role in ROLES for person in quorum.may_vote(role) or ()}
    wanted = _can_be_seated(quorum) and len(everybody) >= number
    assert is_reachable(quorum, ROLES, (), ()) == wanted


@settings(deadline=None, database=None, max_examples=examples(200))
@given(GROUPS, TEAMS, st.lists(st.builds(Cast, NAMES, st.sampled_from(ROLES)), max_size=4))
def test_what_is_reached_was_reachable_and_stays_reached(
    groups: dict[str, int], teams: dict[str, list[str]], votes: list[Cast]
) -> None:
    quorum = Quorum(number=max(1, sum(groups.values())), groups=groups, people=teams)
    voted = {vote.by for vote in votes}
    if is_reached(quorum, votes):
        assert is_reachable(quorum, ROLES, votes, voted)
        assert is_reached(quorum, [*votes, Cast("eve", "it")])
