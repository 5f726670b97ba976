"""How long a stream takes to store a message, and how many messages make a batch quicker.

Pure: the times come from the caller. The time of one acknowledgement says little, because most of
it is the network's. The time between two is the disk's, as long as the server has more to do.
"""

from __future__ import annotations

from typing import Final

SLOW: Final = 0.001
"""Seconds for each message above which a disk is slow. A quicker one stores a few messages one by
one before it has made the files of a batch."""
_BUSY: Final = 3
"""Unacknowledged messages with which the server is not waiting for the client."""
_FIRST: Final = 8
"""The least number of messages for a batch, until one has been timed."""
_FEWEST: Final = 4
"""The same, at least: a batch waits for the disk four times on nats-server 2.15 (counted)."""
_OUTAGE: Final = 0.5
"""Seconds: anything longer says nothing about the disk."""
_EXPIRES: Final = 5.0
"""Seconds after which single messages are timed again."""
_SINGLES: Final = 1 / 32
_BATCHES: Final = 1 / 4
_OPTIMISM: Final = 0.995
"""The factor for the time of a batch with each message that is stored without one: a batch that
was slow for another reason must not be the last one."""


class DiskPace:
    """The averages of one stream, in seconds."""

    def __init__(self) -> None:
        self.single = 0.0
        """From one acknowledgement to the next, for messages stored one by one."""
        self.batch = 0.0
        """From sending a batch to its acknowledgement; 0: not known."""
        self.is_slow = False
        """Whether batches can be worth it."""
        self.is_burst = False
        """Whether the server has been busy since the last acknowledgement."""
        self._count = 0
        self._last = 0.0
        self._taken = 0.0

    @property
    def worth(self) -> int:
        """The least number of messages that are quicker as a batch than one after another."""
        if not self.batch or not self.single:
            return _FIRST
        return max(_FEWEST, int(self.batch / self.single) + 1)

    def is_stale(self, now: float) -> bool:
        """Whether no single message has been timed for a while: the disk may be quick by now."""
        return now - self._taken > _EXPIRES

    def note_single(self, sent: float, now: float, behind: int) -> None:
        """A message sent at `sent` was acknowledged at `now`, and `behind` others are not yet.

        The sum of the times is right even if a busy client reads many acknowledgements at once.
        """
        self.is_burst = behind >= _BUSY or (self.is_burst and behind > 0)
        if self.is_burst:
            self._count += 1
            took = now - max(sent, self._last)
            share = max(_SINGLES, 1 / self._count)
            self.single += (min(took, _OUTAGE) - self.single) * share
            self.batch *= _OPTIMISM
            self._taken = now
            self.is_slow = self.single > SLOW
        self._last = now

    def note_batch(self, sent: float, now: float) -> None:
        """A batch sent at `sent` was acknowledged at `now`."""
        took = min(now - sent, _OUTAGE)
        self.batch += (took - self.batch) * (_BATCHES if self.batch else 1.0)
        self._last = now
