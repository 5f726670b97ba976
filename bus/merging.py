"""Several sorted streams as one, of which only the next item of each is held."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import TypeVar

T = TypeVar("T")


async def merged(
    streams: Sequence[AsyncGenerator[T]], place: Callable[[T], int]
) -> AsyncGenerator[T]:
    """The items of all streams by their places, where each stream is in that order.

    The streams are closed at the end. Raises what they raise.
    """
    async with AsyncExitStack() as stack:
        for stream in streams:
            await stack.enter_async_context(aclosing(stream))
        # Exceptions are returned, so that no stream is still running when one of them is raised.
        heads = await asyncio.gather(*(_next(each) for each in streams), return_exceptions=True)
        heap: list[tuple[int, int, T]] = []
        for number, head in enumerate(heads):
            if isinstance(head, BaseException):
                raise head
            heap += [(place(item), number, item) for item in head]
        heapq.heapify(heap)
        while heap:
            _, number, item = heap[0]
            yield item
            following = await _next(streams[number])
            if following:
                heapq.heapreplace(heap, (place(following[0]), number, following[0]))
            else:
                heapq.heappop(heap)


async def _next(stream: AsyncGenerator[T]) -> list[T]:
    """The next item, or nothing at the end."""
    try:
        return [await anext(stream)]
    except StopAsyncIteration:
        return []
