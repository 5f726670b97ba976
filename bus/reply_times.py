"""How long replies take here, and how long to wait before a request is sent again."""

from __future__ import annotations

_SOONEST, _LATEST = 0.1, 0.5
"""The least and the most seconds of silence before a read is first sent again."""
_GAIN, _GAIN_OF_SPREAD = 0.125, 0.25
_SPREADS = 4


class ReplyTimes:
    """A smoothed time of replies and its spread, estimated as TCP does (RFC 6298).

    So a server that is far away or slow does not get every request twice, and nothing waits for
    one that hangs while others are quick.
    """

    def __init__(self) -> None:
        self._usual = 0.0
        self._spread = 0.0
        self._known = False

    def note(self, seconds: float) -> None:
        """Note how long a reply took."""
        if not self._known:
            self._usual, self._spread, self._known = seconds, seconds / 2, True
            return
        self._spread += _GAIN_OF_SPREAD * (abs(seconds - self._usual) - self._spread)
        self._usual += _GAIN * (seconds - self._usual)

    @property
    def patience(self) -> float:
        """Seconds of silence after which to send a read again."""
        if not self._known:
            return _LATEST
        return min(_LATEST, max(_SOONEST, self._usual + _SPREADS * self._spread))
