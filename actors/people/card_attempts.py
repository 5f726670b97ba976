"""When a card is tried again, and when it is given up.

A card that its channel fails is tried after a pause that grows with the time for which it has
failed. If the channel fails others too, the pause is the channel's: they all come back when it is
tried again.

The server only counts deliveries. A card that has waited for a resting channel was delivered too,
and did not fail: so failures are counted here, in memory. The count sets the pace, and nothing
else. Another worker starts counting at zero.
"""

from __future__ import annotations

import random
from typing import Final, NamedTuple, Protocol

from ...bus.bounded import Bounded
from ...runtime import clock
from ...runtime.channel import ChannelError
from .channel_pace import SHARE, SOONEST, Pace

GIVE_UP: Final = 600.0
"""Seconds after which a card that could not be sent is given up."""
_AT_LAST: Final = 86_400.0
"""The same if the channel only ever asks for time, or shows other cards."""
_DELIVERIES: Final = 6
"""The least number of them before that: the workers may have been down for most of the time."""
_FAILURES: Final = 3
"""The least number of failures that this worker has seen: others may have seen more."""
_SLOWEST: Final = 60.0
"""Seconds between two attempts, at most, unless the channel asks for more."""
_SPREAD: Final = (0.25, 0.75)
"""Seconds beyond a rest: no message comes back at the very moment at which it ends."""
_REMEMBERED: Final = 5_000
"""As many as a mailbox delivers before they are acknowledged."""


class Message(Protocol):
    """What matters about the delivery of a card's message."""

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


class _Failures(NamedTuple):
    times: int = 0
    since: float = 0.0
    """When the first of them was seen, by the clock of the channel's pace."""


class CardAttempts:
    """What one worker knows of the messages that one channel failed to show."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._failures: Bounded[int, _Failures] = Bounded(_REMEMBERED)

    def pause(self, message: Message, error: ChannelError) -> float:
        """Seconds until the next attempt; a failure counts, a rest does not."""
        if error.retry_after is not None:
            return error.retry_after + random.uniform(*_SPREAD)  # noqa: S311  not a secret
        seen = self._seen(message)
        failures = _Failures(seen.times + 1, seen.since if seen.times else self._pace.now)
        self._failures.put(message.seq, failures, size=1)
        if self._pace.fails:
            return self._pace.rest + random.uniform(*_SPREAD)  # noqa: S311
        # A quarter of the time, so that nothing comes much later than it could have come. But one
        # that has waited long for other reasons, and fails again, has not failed all the time.
        doubled = SOONEST * 2.0 ** min(seen.times, 10)
        pause = min(doubled, (self._pace.now - failures.since) / SHARE, _SLOWEST)
        spread = random.uniform(0.75, 1.25)  # noqa: S311  so that workers spread out
        return max(SOONEST, pause) * spread

    def is_hopeless(self, message: Message, error: ChannelError) -> bool:
        """Whether a message is given up."""
        age = clock.now() - message.at
        if message.num_delivered < _DELIVERIES or age < GIVE_UP:
            return False
        if error.retry_after is not None:  # a slow channel makes progress
            return self._pace.stuck_for >= GIVE_UP or age >= _AT_LAST
        return self._seen(message).times >= _FAILURES

    def forget(self, message: Message) -> None:
        """Forget a message that is finished."""
        self._failures.pop(message.seq)

    def _seen(self, message: Message) -> _Failures:
        return self._failures.get(message.seq) or _Failures()
