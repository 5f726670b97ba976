"""Who may go on with a run: exactly one handler, from every point."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layby.runtime.strand import Position, Strand


def at(n: int) -> Position:
    position = Position()
    position.n = n
    return position


def test_a_new_strand_belongs_to_the_mail_that_opened_its_frame() -> None:
    strand = Strand(1, 1)
    assert strand.goes_on_with(1)
    assert not strand.goes_on_with(2)


def test_the_last_consumed_decides_whose_it_is() -> None:
    strand = Strand(1, 1)
    strand.consume(5, 5)
    assert strand.goes_on_with(5)
    assert not strand.goes_on_with(1)


def test_what_was_consumed_earlier_in_the_log_decides_nothing() -> None:
    strand = Strand(1, 1)
    strand.consume(9, 9)
    strand.consume(5, 5)
    assert strand.goes_on_with(9)


def test_a_step_recorded_by_another_mail_belongs_to_that_mail() -> None:
    strand = Strand(1, 1)
    strand.consume(6, 5)  # a step at 6, written while mail 5 was handled
    assert strand.goes_on_with(5)
    assert not strand.goes_on_with(6)


@pytest.mark.parametrize("n", [0, 7])
def test_a_strand_goes_on_from_what_it_wrote_itself(n: int) -> None:
    strand = Strand(1, 1)
    strand.consume(5, 5)
    strand.own = at(n)  # not appended yet, or later than what it consumed
    for cause in (1, 5, 99):
        assert strand.goes_on_with(cause)


def test_what_it_wrote_counts_no_more_when_something_later_was_consumed() -> None:
    strand = Strand(1, 1)
    strand.own = at(3)
    strand.consume(5, 5)
    assert strand.goes_on_with(5)
    assert not strand.goes_on_with(1)


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
        assert parent.goes_on_with(9)
        assert not parent.goes_on_with(6)


def test_a_joined_branch_that_wrote_last_lets_its_writer_go_on() -> None:
    parent = Strand(1, 1)
    left, right = parent.fork(), parent.fork()
    left.consume(5, 5)
    right.consume(4, 4)
    right.own = at(0)
    parent.join(left)
    parent.join(right)
    assert parent.goes_on_with(4)
    assert parent.goes_on_with(5)  # within one activation there is one cause, which wrote it


settled = st.lists(
    st.tuples(st.integers(2, 30), st.integers(1, 6)),
    min_size=1,
    max_size=8,
    unique_by=lambda s: s[0],
)


@settings(deadline=None, database=None, max_examples=200)
@given(settled, st.integers(1, 3), st.randoms())
def test_two_workers_that_read_one_log_agree_on_who_goes_on(
    log: list[tuple[int, int]], branches: int, chance: object
) -> None:
    """Whatever the order in which branches meet their records, one mail's handler goes on."""
    owners: set[int] = set()
    for _ in range(3):
        chance.shuffle(log)  # type: ignore[attr-defined]
        parent = Strand(1, 1)
        lines = [parent.fork() for _ in range(branches)]
        for place, (n, owner) in enumerate(log):
            lines[place % branches].consume(n, owner)
        for line in lines:
            parent.join(line)
        may = {cause for cause in range(1, 7) if parent.goes_on_with(cause)}
        assert len(may) == 1
        owners |= may
    last = max(log)
    assert owners == {last[1]}
