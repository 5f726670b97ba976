"""A least-recently-used cache, bounded in bytes. Never a source of truth."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Bounded(Generic[K, V]):
    """Holds values of up to `size` bytes in total, and evicts the least recently used."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.held = 0
        """Bytes held, as given to `put`."""
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def __contains__(self, key: K) -> bool:
        return key in self._values

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        """The value of `key` if it is still held."""
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def peek(self, key: K) -> V | None:
        """The same, but it does not count as a use."""
        found = self._values.get(key)
        return None if found is None else found[0]

    def put(self, key: K, value: V, size: int) -> None:
        """Hold `value`, which takes `size` bytes; one larger than the whole cache is not held."""
        self.pop(key)
        if size > self.size:
            return
        self._values[key] = (value, size)
        self.held += size
        while self.held > self.size:
            _, (_, freed) = self._values.popitem(last=False)
            self.held -= freed

    def pop(self, key: K) -> None:
        """Remove `key`."""
        found = self._values.pop(key, None)
        if found is not None:
            self.held -= found[1]

    def clear(self) -> None:
        """Remove everything."""
        self._values.clear()
        self.held = 0
