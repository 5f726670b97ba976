"""Votes in a log: who is counted, when a question closes, and what can still be reached."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layby.runtime.choice import choice_of, is_closed
from layby.runtime.conflicts import conflicts
from layby.runtime.entry import ROOT, Answered, Expired, Proposed, Raw, Record, Started, Voted
from layby.runtime.envelope import Envelope, decode, encode
from layby.runtime.journal import fold
from layby.runtime.quorum import Quorum, is_reachable
from layby.runtime.state import FORM_WITH_VOTES, Question, RunState
from tests.examples import examples

PEOPLE = {"finance": ["ada", "bob", "cleo"], "legal": ["ada", "dan"]}
YES_OR_NO = {"type": "boolean"}
DIGEST = "abcdefabcdef"


class Cast(NamedTuple):
    by: str
    role: str


def proposed(quorum: Quorum, **more: Any) -> Proposed:
    fields: dict[str, Any] = {"form": YES_OR_NO, "accept": ["nats"], **more}
    return Proposed(
        frame=ROOT,
        key="ask",
        id="q1",
        role="finance",
        question="Pay?",
        deadline=1_000.0,
        quorum=quorum,
        **fields,
    )


def voted(by: str, text: str, seq: int, *, role: str = "finance") -> Voted:
    return Voted(id="q1", role=role, text=text, by=by, at=float(seq), seq=seq, vouched="nats")


def folded(quorum: Quorum, *records: Record, **more: Any) -> RunState:
    """A run that asks, and these records, each in an entry of its own."""
    state = RunState(id="run")
    started = Started(
        workflow="desk", actor="workflow-desk", version="1", ticket="T1", event=Raw(b"{}")
    )
    for n, record in enumerate([started, proposed(quorum, **more), *records], 1):
        fold(state, n, Envelope(op=f"{n}", at=float(n), records=[record]))
    return state


def question(quorum: Quorum, *records: Record, **more: Any) -> Question:
    return folded(quorum, *records, **more).questions["q1"]


TWO = Quorum(number=2, people=PEOPLE)
EACH = Quorum(number=2, groups={"finance": 1, "legal": 1}, people=PEOPLE)


def test_the_vote_that_reaches_the_number_closes_the_question_and_owns_what_follows() -> None:
    state = folded(TWO, voted("ada", "yes", 5), voted("bob", "true", 9))
    found = state.questions["q1"]
    assert (found.status, found.text, found.by) == ("answered", "true", "ada, bob")
    assert (found.seq, found.at, found.vouched) == (9, 9.0, "nats")
    slot = state.frames[ROOT].slots["ask"]
    assert (slot.settled, slot.owner, state.waits, state.status) == (4, 4, 0, "running")


def test_what_comes_after_the_decision_changes_nothing() -> None:
    before = folded(TWO, voted("ada", "yes", 5), voted("bob", "yes", 9))
    late = voted("cleo", "no", 12)
    assert conflicts(before, late)
    after = folded(TWO, voted("ada", "yes", 5), voted("bob", "yes", 9), late, Expired(id="q1"))
    assert after.questions == before.questions


def test_one_answer_does_not_close_what_several_people_decide() -> None:
    forged = Answered(id="q1", text="yes", by="eve", seq=3)
    state = folded(TWO, forged)
    assert state.questions["q1"].status == "open"
    assert conflicts(state, forged)


@pytest.mark.parametrize(
    "vote",
    [
        voted("ada", "no", 7),
        voted("ada", "no", 7, role="legal"),
        voted("bob", "yes", 5),
        voted("bob", "yes", 4),
        voted("eve", "yes", 7),
        voted("bob", "yes", 7, role="legal"),
        voted("bob", "yes", 7, role="developer"),
        voted("bob", "perhaps", 7),
        voted("", "yes", 7),
        voted("cleo", "yes", 7),
    ],
    ids=[
        "twice", "twice, for another role", "at the same place", "out of order", "a stranger",
        "for a role of others", "for a role that is not asked", "no choice", "nobody", "excluded",
    ],
)  # fmt: skip
def test_a_vote_that_does_not_count_changes_nothing(vote: Voted) -> None:
    quorum = Quorum(number=3, groups={"finance": 1, "legal": 1}, people=PEOPLE, exclude=["cleo"])
    first = voted("ada", "yes", 5)
    assert question(quorum, first, vote) == question(quorum, first)
    assert conflicts(folded(quorum, first), vote)


def test_a_rejection_vetoes_only_where_that_is_declared() -> None:
    votes = [voted("ada", "yes", 1), voted("bob", "no", 2)]
    assert question(TWO, *votes).status == "open"
    vetoed = question(Quorum(number=2, veto=True, people=PEOPLE), *votes)
    assert (vetoed.status, vetoed.text, vetoed.by) == ("answered", "no", "bob")


def test_a_question_closes_at_once_when_its_number_cannot_be_reached() -> None:
    all_three = Quorum(number=3, people=PEOPLE)
    votes = [voted("ada", "yes", 1), voted("bob", "no", 2)]
    assert question(all_three, *votes[:1]).status == "open"
    assert question(all_three, *votes).status == "no_quorum"
    unknown = Quorum(number=3)
    assert question(unknown, *votes).status == "open", "anybody may still vote"


def test_one_of_each_group_must_agree() -> None:
    votes = [voted("ada", "yes", 1), voted("bob", "yes", 2), voted("dan", "yes", 3, role="legal")]
    assert question(EACH, *votes[:2]).status == "open"
    assert question(EACH, *votes).by == "ada, bob, dan"
    # Ada has voted for finance, so only Dan is left of legal.
    against = voted("dan", "no", 2, role="legal")
    assert question(EACH, votes[0], against).status == "open", "Bob and Cleo may agree with Dan"
    both = Quorum(number=2, groups={"finance": 1, "legal": 1}, people={**PEOPLE, "legal": ["ada"]})
    assert question(both, voted("ada", "yes", 1)).status == "no_quorum"


def test_somebody_in_two_groups_takes_one_seat() -> None:
    two = {"finance": ["ada"], "legal": ["ada", "dan"]}
    roles = ("finance", "legal")
    assert is_reachable(
        Quorum(number=2, groups={"finance": 1, "legal": 1}, people=two), roles, (), ()
    )
    one = {"finance": ["ada"], "legal": ["ada"]}
    assert not is_reachable(
        Quorum(number=2, groups={"finance": 1, "legal": 1}, people=one), roles, (), ()
    )
    assert not is_reachable(Quorum(number=3, people=two), roles, (), ())


@pytest.mark.parametrize(
    ("same", "other"),
    [
        (["approve", f"approve {DIGEST}", "yes", '{"approve": true}', '"Approved"'], "no"),
        (["reject", "no: too much", "rejected", '{"reject": "why"}'], "approve"),
        (['{"edit": {"a": 1, "b": 2}}', '{"edit": {"b": 2, "a": 1}}'], '{"edit": {"a": 1}}'),
        (["respond: done", '{"respond": "done"}'], "respond: not done"),
    ],
)
def test_answers_to_a_call_that_mean_the_same_count_together(same: list[str], other: str) -> None:
    asked = proposed(TWO, form=None, digest=DIGEST)
    chosen = {choice_of(asked, text) for text in same}
    assert len(chosen) == 1
    assert "" not in chosen
    assert choice_of(asked, other) not in chosen
    assert choice_of(asked, "approve ffffffffffff") == ""


@pytest.mark.parametrize(
    ("form", "closed"),
    [
        (None, False),
        ({"type": "string"}, False),
        ({"type": "boolean"}, True),
        ({"enum": ["a", "b"], "type": "string"}, True),
        ({"const": "a"}, True),
        ({"type": "object", "properties": {}}, False),
    ],
)
def test_only_choices_can_be_counted(form: dict[str, Any] | None, *, closed: bool) -> None:
    assert is_closed(proposed(TWO, form=form)) == closed


def test_a_choice_is_told_from_another_of_the_same_look() -> None:
    asked = proposed(TWO, form={"enum": ["a", 1, True]})
    assert [choice_of(asked, text) for text in ("a", '"a"', "1", "true", "b")] == [
        "a", "a", "1", "true", "",
    ]  # fmt: skip


def test_an_earlier_release_stops_at_what_several_people_decide() -> None:
    """It knows no record of this kind, and does not take the state that is parked."""
    assert b'"k":"proposed"' in encode(Envelope(op="1", at=1.0, records=[proposed(TWO)]))
    assert folded(TWO).form == FORM_WITH_VOTES


# -- any log -----------------------------------------------------------------------------------

NAMES = ["ada", "bob", "cleo", "dan", "eve", ""]
ANY_VOTE = st.builds(
    voted,
    st.sampled_from(NAMES),
    st.sampled_from(["yes", "no", "perhaps"]),
    st.integers(1, 12),
    role=st.sampled_from(["finance", "legal", "developer"]),
)
ANY_QUORUM = st.builds(
    Quorum,
    number=st.integers(1, 4),
    groups=st.sampled_from([{}, {"finance": 1, "legal": 1}, {"finance": 2, "legal": 1}]),
    veto=st.booleans(),
    exclude=st.sampled_from([[], ["ada"], ["bob", "dan"]]),
    people=st.sampled_from([{}, PEOPLE, {"finance": ["ada", "bob"]}]),
)


def expected(quorum: Quorum, votes: Sequence[Voted]) -> tuple[str, list[int]]:
    """The status and the sequences of the votes that count: the rules, as naive as possible."""
    counted: list[Voted] = []
    asked = list(quorum.groups) or ["finance"]
    asked += [] if "finance" in asked else ["finance"]
    for vote in votes:
        entitled = vote.by and vote.role in asked and vote.by not in quorum.exclude
        if vote.role in quorum.people:
            entitled = entitled and vote.by in quorum.people[vote.role]
        known = {each.by for each in counted}
        late = counted and vote.seq <= counted[-1].seq
        if not entitled or vote.by in known or late or vote.text not in {"yes", "no"}:
            continue
        counted.append(vote)
        if quorum.veto and vote.text == "no":
            return "answered", [each.seq for each in counted]
        if _enough(quorum, [each for each in counted if each.text == vote.text]):
            return "answered", [each.seq for each in counted]
        if not any(_may_agree(quorum, asked, counted, text) for text in ("yes", "no")):
            return "no_quorum", [each.seq for each in counted]
    return "open", [each.seq for each in counted]


def _enough(quorum: Quorum, votes: Sequence[Any]) -> bool:
    return len(votes) >= quorum.number and all(
        sum(each.role == role for each in votes) >= count for role, count in quorum.groups.items()
    )


def _may_agree(quorum: Quorum, asked: list[str], counted: list[Voted], text: str) -> bool:
    """Whether some way for everybody else to vote is enough: all of them are tried."""
    if any(role not in quorum.people for role in asked):
        strangers = {role: [f"new-{role}-{n}" for n in range(5)] for role in asked}
    else:
        strangers = {}
    voters: dict[str, list[str]] = {}
    for role in asked:
        for person in quorum.people.get(role, strangers.get(role, [])):
            if person not in quorum.exclude and person not in {each.by for each in counted}:
                voters.setdefault(person, []).append(role)
    have = [Cast(each.by, each.role) for each in counted if each.text == text]
    ways = itertools.product(
        *([Cast(who, role) for role in roles] for who, roles in voters.items())
    )
    return any(_enough(quorum, [*have, *way]) for way in ways)


@settings(max_examples=examples(300), deadline=None)
@given(ANY_QUORUM, st.lists(ANY_VOTE, max_size=10))
def test_the_fold_counts_as_the_rules_say(quorum: Quorum, votes: list[Voted]) -> None:
    found = question(quorum, *votes)
    assert (found.status, [each.seq for each in found.votes]) == expected(quorum, votes)
    names = [each.by for each in found.votes]
    assert len(names) == len(set(names))


@settings(max_examples=examples(200), deadline=None)
@given(ANY_QUORUM, st.lists(ANY_VOTE, max_size=8), st.data())
def test_the_log_says_the_same_whoever_appends_and_how_often(
    quorum: Quorum, votes: list[Voted], data: st.DataObject
) -> None:
    """Workers append only what does not conflict, from any prefix of the stream, repeatedly."""
    stream = [
        Voted(id="q1", role=each.role, text=each.text, by=each.by, at=1.0, seq=n, vouched="nats")
        for n, each in enumerate(votes, 1)
    ]
    wanted = question(quorum, *stream)
    state = folded(quorum)
    while True:
        upto = data.draw(st.integers(0, len(stream)))
        if data.draw(st.integers(0, 5)) == 0:
            upto = len(stream)
        for each in stream[:upto]:  # as the worker does that handles vote `upto`
            if not conflicts(state, each):
                envelope = Envelope(op="x", at=1.0, records=[each])
                fold(state, state.tail + 1, decode(encode(envelope)))
        if upto == len(stream):
            break
    assert state.questions["q1"].votes == wanted.votes
    assert state.questions["q1"].status == wanted.status
