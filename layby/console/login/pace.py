"""How often one peer may try to sign in."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

_BURST: Final = 5.0
_A_SECOND: Final = 2.0
_PEERS: Final = 1_000


class Pace:
    """A few at once, then two a second, for each peer."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """By peer: what is left, and when that was so."""

    def take(self, peer: str) -> bool:
        """Whether this peer may try now."""
        now = self._clock()
        left, then = self._left.pop(peer, (_BURST, now))
        left = min(_BURST, left + (now - then) * _A_SECOND)
        self._left[peer] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > _PEERS:
            self._left.popitem(last=False)
        return left >= 1
