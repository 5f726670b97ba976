"""Who has looked at a question, as people see it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ...bus.token import check_words, is_word
from ...runtime.openings import Opening
from ...runtime.times import check_times, iso


class ShownOpening(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Who has looked at a question.

    Attributes:
        by: Their name.
        at: When they did first.
        channel: Where: `console`, `slack`; empty: not known.
    """

    by: str
    at: str
    channel: str = ""

    def __post_init__(self) -> None:
        """Check the words and the time. Raises ValueError."""
        check_words(self.by, self.channel)
        check_times(self.at)


def shown_openings(found: Iterable[Opening]) -> tuple[ShownOpening, ...]:
    """The people whose names can be shown, in the order of time."""
    return tuple(
        ShownOpening(by=each.by, at=iso(each.at), channel=each.channel)
        for each in found
        if is_word(each.by)
    )
