"""Several sorted streams as one: the order, what is held, and what happens when one breaks off."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.bus.merging import merged


class Stream:
    """Numbers, one after the other; it counts what it has given, and knows whether it is closed."""

    def __init__(self, numbers: list[int], *, fails: bool = False) -> None:
        self.given = 0
        self.closed = False
        self._numbers = numbers
        self._fails = fails

    async def __call__(self) -> AsyncGenerator[int]:
        try:
            for number in self._numbers:
                self.given += 1
                yield number
            if self._fails:
                raise LookupError
        finally:
            self.closed = True


@given(st.lists(st.lists(st.integers()).map(sorted), max_size=5))
async def test_all_come_once_and_in_order(lists: list[list[int]]) -> None:
    streams = [Stream(numbers)() for numbers in lists]
    found = [number async for number in merged(streams, lambda number: number)]
    assert found == sorted(number for numbers in lists for number in numbers)


async def test_no_more_than_the_next_of_each_is_read() -> None:
    streams = [Stream(list(range(begin, 1_000, 2))) for begin in (0, 1)]
    async with aclosing(merged([each() for each in streams], lambda number: number)) as found:
        assert [await anext(found) for _ in range(10)] == list(range(10))
        assert sum(each.given for each in streams) <= 11
    assert all(each.closed for each in streams)


@pytest.mark.parametrize("numbers", [[], [1]])
async def test_one_that_fails_closes_all(numbers: list[int]) -> None:
    streams = [Stream([1, 2, 3]), Stream(numbers, fails=True), Stream([0])]
    with pytest.raises(LookupError):
        _ = [each async for each in merged([each() for each in streams], int)]
    assert all(each.closed for each in streams)
