"""Who may continue a run: exactly one handler, from every point."""

from __future__ import annotations

import itertools
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layby.runtime.errors import Parked
from layby.runtime.strand import Bound, Position, Strand, entering, strand, within
from tests.examples import examples


def at(n: int) -> Position:
    position = Position()
    position.n = n
    return position


def test_a_new_strand_belongs_to_the_mail_that_opened_its_frame() -> None:
    strand = Strand(1, 1)
    assert strand.may_continue(1)
    assert not strand.may_continue(2)


def test_the_last_consumed_thing_decides_the_owner() -> None:
    strand = Strand(1, 1)
    strand.consume(5, 5)
    assert strand.may_continue(5)
    assert not strand.may_continue(1)


def test_an_earlier_position_does_not_change_the_owner() -> None:
    strand = Strand(1, 1)
    strand.consume(9, 9)
    strand.consume(5, 5)
    assert strand.may_continue(9)


def test_a_step_recorded_by_another_mail_belongs_to_that_mail() -> None:
    strand = Strand(1, 1)
    strand.consume(6, 5)  # a step at 6, written while mail 5 was handled
    assert strand.may_continue(5)
    assert not strand.may_continue(6)


@pytest.mark.parametrize("n", [0, 7])
def test_a_strand_may_continue_from_its_own_record(n: int) -> None:
    strand = Strand(1, 1)
    strand.consume(5, 5)
    strand.own = at(n)  # not appended yet, or later than what it consumed
    for cause in (1, 5, 99):
        assert strand.may_continue(cause)


def test_its_own_record_no_longer_counts_after_something_later() -> None:
    strand = Strand(1, 1)
    strand.own = at(3)
    strand.consume(5, 5)
    assert strand.may_continue(5)
    assert not strand.may_continue(1)


def test_a_branch_begins_where_its_parent_is_and_leaves_it_alone() -> None:
    parent = Strand(1, 1)
    parent.own = at(2)
    child = parent.fork()
    child.consume(8, 8)
    child.own = at(9)
    assert (parent.n, parent.owner) == (1, 1)
    assert parent.own is not None
    assert parent.own.n == 2


def test_joined_branches_belong_to_the_owner_of_the_last_of_all() -> None:
    for order in itertools.permutations([(4, 4), (9, 9), (6, 6)]):
        parent = Strand(1, 1)
        branches = [parent.fork() for _ in order]
        for branch, (n, owner) in zip(branches, order, strict=True):
            branch.consume(n, owner)
        for branch in branches:
            parent.join(branch)
        assert parent.may_continue(9)
        assert not parent.may_continue(6)


def test_a_joined_branch_that_wrote_last_lets_its_writer_continue() -> None:
    parent = Strand(1, 1)
    left, right = parent.fork(), parent.fork()
    left.consume(5, 5)
    right.consume(4, 4)
    right.own = at(0)
    parent.join(left)
    parent.join(right)
    assert parent.may_continue(4)
    assert parent.may_continue(5)  # within one activation there is one cause, which wrote it


settled = st.lists(
    st.tuples(st.integers(2, 30), st.integers(1, 6)),
    min_size=1,
    max_size=8,
    unique_by=lambda s: s[0],
)


@settings(deadline=None, database=None, max_examples=examples(200))
@given(settled, st.integers(1, 3), st.randoms())
def test_two_workers_with_one_log_agree_on_who_may_continue(
    log: list[tuple[int, int]], branches: int, chance: object
) -> None:
    """In whatever order branches reach their records, one mail's handler continues."""
    owners: set[int] = set()
    for _ in range(3):
        chance.shuffle(log)  # type: ignore[attr-defined]
        parent = Strand(1, 1)
        lines = [parent.fork() for _ in range(branches)]
        for place, (n, owner) in enumerate(log):
            lines[place % branches].consume(n, owner)
        for line in lines:
            parent.join(line)
        may = {cause for cause in range(1, 7) if parent.may_continue(cause)}
        assert len(may) == 1
        owners |= may
    last = max(log)
    assert owners == {last[1]}


# -- branches that must leave ------------------------------------------------------------------


def test_a_branch_leaves_where_the_handler_of_another_mail_goes_on() -> None:
    line = Strand(1, 1)
    line.bound = Bound(7, cause=3)
    line.consume(6, 4)
    line.consume(9, 3)
    with pytest.raises(Parked):
        line.consume(7, 4)
    assert (line.n, line.owner) == (9, 3)


def test_a_fork_is_bound_and_frozen_like_its_parent_and_touches_for_itself() -> None:
    parent = Strand(1, 1)
    parent.bound, parent.frozen, parent.own = Bound(7, cause=3), True, at(2)
    parent.touched.append("a")
    child = parent.fork()
    assert (child.bound, child.frozen, child.own, child.touched) == (
        parent.bound,
        True,
        parent.own,
        [],
    )
    child.touched.append("b")
    parent.bound = None
    parent.join(child)
    assert parent.touched == ["a", "b"]


def test_the_last_of_two_settled_at_one_position_owns_it() -> None:
    line = Strand(1, 1)
    line.consume(5, 5)
    line.consume(5, 6)
    assert line.owner == 6


@pytest.mark.parametrize(
    ("own", "position"),
    [(None, 5.0), (2, 5.0), (9, 9.0), (0, float("inf"))],
)
def test_a_strand_is_as_far_as_the_last_of_what_it_consumed_and_wrote(
    own: int | None, position: float
) -> None:
    line = Strand(1, 1)
    line.consume(5, 5)
    line.own = None if own is None else at(own)
    assert line.position == position


@pytest.mark.parametrize(
    ("mine", "other", "later"), [(2, 3, 3), (3, 2, 3), (0, 9, 0), (9, 0, 0), (None, 4, 4)]
)
def test_the_later_of_two_records_counts_after_a_join_and_one_not_appended_is_last(
    mine: int | None, other: int, later: int
) -> None:
    parent = Strand(1, 1)
    child = parent.fork()
    parent.own = None if mine is None else at(mine)
    child.own = at(other)
    parent.join(child)
    assert parent.own is not None
    assert parent.own.n == later


def test_a_body_has_a_strand_of_its_own_until_it_is_left() -> None:
    outer = Strand(1, 1)
    token, inside = strand.set(outer), within.set("tool#1")
    try:
        with suppress(OSError), entering(4, 2):
            assert (strand.get().n, strand.get().owner, within.get()) == (4, 2, "")
            raise OSError("down")
        assert strand.get() is outer
        assert within.get() == "tool#1"
    finally:
        strand.reset(token)
        within.reset(inside)
