"""The options that say who decides a question: what they amount to, and why some cannot be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Literal, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layby.runtime.deciders import (
    Deciders,
    accepted,
    check_countable,
    check_declared,
    check_reachable,
    check_vouchers,
    completed,
    reserved_for,
)
from layby.runtime.errors import InvalidSetup
from layby.runtime.quorum import Quorum
from layby.runtime.vouching import Accept
from tests.examples import examples


class Colour(Enum):
    RED = "red"


class Asked(NamedTuple):
    """A question, as far as who decides it matters."""

    role: str = "finance"
    quorum: Quorum | None = None
    form: dict[str, Any] | None = None
    digest: str = ""


class App(NamedTuple):
    """What an app declares of its roles."""

    people: Mapping[str, Sequence[str]]
    signers: Sequence[str] = ()


YES_OR_NO = {"type": "boolean"}
LISTED = {"enum": ["red", "green"]}


# -- the options ------------------------------------------------------------------------------


def test_without_options_one_answer_decides() -> None:
    assert Deciders().checked() is None


@pytest.mark.parametrize(
    ("deciders", "number", "groups"),
    [
        (Deciders(2), 2, {}),
        (Deciders(groups={"legal": 1, "finance": 2}), 3, {"legal": 1, "finance": 2}),
        (Deciders(3, {"legal": 1}), 3, {"legal": 1}),
        (Deciders(1, {"legal": 1}), 1, {"legal": 1}),
        (Deciders(veto=True), 1, {}),
        (Deciders(exclude=["ada"]), 1, {}),
    ],
)
def test_groups_say_how_many_there_must_be_unless_a_number_does(
    deciders: Deciders, number: int, groups: dict[str, int]
) -> None:
    quorum = deciders.checked()
    assert quorum is not None
    assert (quorum.number, quorum.groups) == (number, groups)


def test_a_veto_and_those_without_a_vote_are_part_of_the_decision() -> None:
    quorum = Deciders(2, veto=True, exclude=["eve", "ada", "eve"]).checked()
    assert quorum == Quorum(number=2, veto=True, exclude=["ada", "eve"])


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"quorum": 0}, "quorum=0: give a whole number of people, 1 or more"),
    ({"quorum": -1}, "1 or more"),
    ({"quorum": True}, "quorum=True: give a whole number"),
    ({"quorum": 1.0}, "whole number"),
    ({"groups": {"legal": 0}}, r"groups\['legal'\]=0: give a whole number"),
    ({"groups": {"legal": True}}, "whole number"),
    ({"groups": {}}, r"groups={}: give roles and numbers: {'legal': 1}"),
    ({"groups": ["legal"]}, "give roles and numbers"),
    ({"quorum": 1, "groups": {"a": 1, "b": 1}}, "need 2 votes together: leave `quorum` out"),
    ({"exclude": "ada"}, "exclude='ada': give a list of names"),
    ({"exclude": ["ada", 7]}, "give a list of names"),
    ({"exclude": ["Ada Lovelace"]}, "'Ada Lovelace' would exclude nobody.*name of their login"),
    ({"exclude": [""]}, "would exclude nobody"),
]


@pytest.mark.parametrize(("options", "why"), WRONG)
def test_options_that_cannot_be_say_what_to_write_instead(
    options: dict[str, Any], why: str
) -> None:
    with pytest.raises(InvalidSetup, match=why):
        Deciders(**options).checked()


ANYTHING = st.one_of(st.none(), st.booleans(), st.integers(-2, 3), st.text(max_size=3), st.floats())


@settings(deadline=None, database=None, max_examples=examples(200))
@given(
    ANYTHING,
    st.one_of(ANYTHING, st.dictionaries(st.text(max_size=3), ANYTHING, max_size=2)),
    st.lists(ANYTHING, max_size=3),
)
def test_whatever_options_are_given_are_refused_or_can_be_counted(
    quorum: Any, groups: Any, exclude: list[Any]
) -> None:
    try:
        found = Deciders(quorum, groups, exclude=exclude).checked()
    except InvalidSetup:
        return
    if found is not None:
        assert found.number >= max(1, sum(found.groups.values()))
        assert found.exclude == sorted(set(found.exclude))


# -- with what the app declares ---------------------------------------------------------------


def test_the_people_of_the_asked_roles_become_part_of_the_question() -> None:
    app = App({"legal": ["dan", "ada"], "finance": ["bob"], "it": ["eve"]}, signers=["legal"])
    quorum = completed(Quorum(number=2, groups={"legal": 1, "finance": 1}), "finance", app)
    assert quorum.people == {"finance": ["bob"], "legal": ["ada", "dan"]}
    assert quorum.signed == ["legal"]


def test_a_role_that_declares_nobody_stays_open_to_whoever_may_answer_for_it() -> None:
    quorum = completed(Quorum(number=2), "finance", App({"finance": []}))
    assert (quorum.people, quorum.signed) == ({}, [])


def test_the_asked_role_must_be_one_of_the_groups() -> None:
    with pytest.raises(InvalidSetup, match=r"'it', which is not one of groups.*or add it"):
        completed(Quorum(number=1, groups={"legal": 1}), "it", App({}))


@pytest.mark.parametrize(
    ("quorum", "why"),
    [
        (
            Quorum(number=3, people={"finance": ["ada", "bob"]}),
            "quorum=3 can never be reached by these people: finance: ada, bob",
        ),
        (
            Quorum(number=2, exclude=["bob"], people={"finance": ["ada", "bob"]}),
            "these people, without bob: finance",
        ),
        (
            Quorum(
                number=2,
                groups={"finance": 1, "legal": 1},
                people={"finance": ["ada"], "legal": ["ada"]},
            ),
            "groups=.* can never be reached by these people: finance: ada; legal: ada",
        ),
    ],
)
def test_a_decision_that_too_few_people_could_make_is_refused(quorum: Quorum, why: str) -> None:
    with pytest.raises(InvalidSetup, match=why):
        check_reachable(Asked(quorum=quorum))


@pytest.mark.parametrize("quorum", [None, Quorum(number=9), Quorum(number=1, people={"it": []})])
def test_a_decision_that_may_be_reached_is_taken(quorum: Quorum | None) -> None:
    check_reachable(Asked(quorum=quorum))


# -- what can be counted ----------------------------------------------------------------------

CHOICES = [bool, Literal["a", "b"], Colour]


@pytest.mark.parametrize("answer", CHOICES)
def test_several_people_can_decide_between_choices(answer: Any) -> None:
    check_declared(Deciders(2), answer)


@pytest.mark.parametrize("answer", [str, int, dict[str, int]])
def test_several_people_cannot_write_one_text(answer: Any) -> None:
    with pytest.raises(InvalidSetup, match=r"any text may answer.*`answer=bool`, a Literal"):
        check_declared(Deciders(2), answer)
    check_declared(Deciders(), answer)


def test_a_veto_needs_a_choice_that_is_a_rejection() -> None:
    veto = Quorum(number=2, veto=True)
    with pytest.raises(InvalidSetup, match="veto=True, but no choice of this question is a reject"):
        check_countable(Asked(quorum=veto, form=LISTED))
    check_countable(Asked(quorum=veto, form=YES_OR_NO))
    check_countable(Asked(quorum=veto, digest="abcdefabcdef"))
    check_countable(Asked(quorum=None, form=None))


# -- who must vouch ---------------------------------------------------------------------------

PLAIN = Quorum(number=2)
SIGNED = Quorum(number=2, signed=["finance"])
MIXED = Quorum(number=2, groups={"finance": 1, "legal": 1}, signed=["finance"])


@pytest.mark.parametrize(
    ("accept", "quorum", "found"),
    [
        (None, PLAIN, ["nats"]),
        ("slack", PLAIN, ["slack"]),
        (["token", "nats"], PLAIN, ["nats", "token"]),
        (None, SIGNED, ["signature"]),
        ("signature", SIGNED, ["signature"]),
        (None, MIXED, ["nats", "signature"]),
        ("slack", MIXED, ["signature", "slack"]),
        ("signature", MIXED, ["nats", "signature"]),
    ],
)
def test_votes_need_a_name_that_somebody_vouches_for(
    accept: Accept, quorum: Quorum, found: list[str]
) -> None:
    assert accepted(accept, "finance", quorum) == found


@pytest.mark.parametrize(
    ("accept", "quorum", "may"),
    [
        ("none", PLAIN, "give some of nats, slack, link, token, proxy"),
        (["nats", "none"], PLAIN, "leave `accept` out"),
        ("signature", PLAIN, "some of nats"),
        ("nats", SIGNED, "give some of signature$"),
        (["signature", "slack"], SIGNED, "give some of signature$"),
        ("none", MIXED, "give some of signature, nats, slack"),
    ],
)
def test_what_no_vote_could_have_is_refused(accept: Accept, quorum: Quorum, may: str) -> None:
    with pytest.raises(InvalidSetup, match=may):
        accepted(accept, "finance", quorum)


@pytest.mark.parametrize("accept", ["nobody", ["nats", "mail"], [""]])
def test_an_unknown_voucher_is_named_with_those_that_there_are(accept: Any) -> None:
    with pytest.raises(InvalidSetup, match=r"give one of 'nats', 'signature'.*'none', or several"):
        check_vouchers(accept)


@pytest.mark.parametrize("accept", [None, (), "none", ["slack", "proxy"]])
def test_known_vouchers_and_none_at_all_are_taken(accept: Any) -> None:
    check_vouchers(accept)


# -- one person alone -------------------------------------------------------------------------


def test_a_question_may_be_reserved_for_one_person() -> None:
    assert reserved_for("person:ada", None) == "ada"


@pytest.mark.parametrize(
    ("to", "quorum", "why"),
    [
        ("person:ada", PLAIN, "several people decide this question: leave it out"),
        (None, None, "say who may answer, to='person:ada'"),
        ("role:lead", None, "only=True: to='role:lead': write 'person:ada'"),
        ("ada", None, "write 'person:ada'"),
    ],
)
def test_a_question_is_not_reserved_for_several_or_for_nobody(
    to: str | None, quorum: Quorum | None, why: str
) -> None:
    with pytest.raises(InvalidSetup, match=why):
        reserved_for(to, quorum)
