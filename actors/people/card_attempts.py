"""When a card is tried again, and when it is given up.

The server only counts deliveries. A card that has waited for a channel which rests was delivered,
too, and did not fail: so failures are counted here, in memory. That paces, and decides nothing
else. Another worker starts counting at zero, and knows only how old the card is.
"""

from __future__ import annotations

import random
from typing import Final, Protocol

from ...bus.bounded import Bounded
from ...runtime import clock
from ...runtime.channel import ChannelError

GIVE_UP: Final = 600.0
"""Seconds after which a card is given up that could not be sent."""
_AT_LAST: Final = 86_400.0
"""Seconds after which it is even if the channel only ever asks for time, and shows others."""
_DELIVERIES: Final = 6
"""The least number of them before that: the workers may have been down for most of the time."""
_FAILURES: Final = 3
"""The least number of failures that this worker has seen: others may have seen more."""
_FIRST: Final = 1.0
"""Seconds from a card's first failure to the next attempt."""
_SLOWEST: Final = 60.0
"""Seconds between two attempts, at most, unless the channel asks for more."""
_SHARE: Final = 4.0
"""A failure that others may have seen costs no more than this part of the card's age."""
_SPREAD: Final = (0.25, 0.75)
"""Seconds beyond a rest: nobody comes back at the very moment at which it ends."""
_REMEMBERED: Final = 5_000
"""As many as a mailbox delivers without their acknowledgement."""


class Message(Protocol):
    """What counts of the delivery of a card's message."""

    @property
    def seq(self) -> int:
        """Its sequence in the stream."""
        ...

    @property
    def num_delivered(self) -> int:
        """How often it was delivered, this time included."""
        ...

    @property
    def at(self) -> float:
        """When it was stored, Unix seconds."""
        ...


class CardAttempts:
    """What one worker knows of the messages that one channel failed to show."""

    def __init__(self) -> None:
        self._failures: Bounded[int, int] = Bounded(_REMEMBERED)

    def pause(self, message: Message, error: ChannelError) -> float:
        """Seconds until the next attempt; a failure counts, a rest does not."""
        if error.retry_after is not None:
            return error.retry_after + random.uniform(*_SPREAD)  # noqa: S311  not a secret
        here = self._seen(message) + 1
        self._failures.put(message.seq, here, size=1)
        age = max(0.0, clock.now() - message.at)
        elsewhere = min(_doubled(message.num_delivered), age / _SHARE)
        spread = random.uniform(0.75, 1.25)  # noqa: S311  so that workers spread out
        return min(_SLOWEST, max(_doubled(here), elsewhere)) * spread

    def is_hopeless(self, message: Message, error: ChannelError, stuck_for: float) -> bool:
        """Whether a message is given up; `stuck_for`: seconds since the channel did anything."""
        age = clock.now() - message.at
        if message.num_delivered < _DELIVERIES or age < GIVE_UP:
            return False
        if error.retry_after is not None:
            return stuck_for >= GIVE_UP or age >= _AT_LAST  # a channel that is slow gets on
        return self._seen(message) >= _FAILURES

    def forget(self, message: Message) -> None:
        """Keep nothing of a message that is done with."""
        self._failures.pop(message.seq)

    def _seen(self, message: Message) -> int:
        return self._failures.get(message.seq) or 0


def _doubled(times: int) -> float:
    return _FIRST * 2.0 ** min(max(0, times - 1), 10)
