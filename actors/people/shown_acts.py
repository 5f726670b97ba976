"""What people said to a question besides answering it, as others see it."""

from __future__ import annotations

import msgspec

from ...bus.token import check_words
from ...runtime.acts import Act, claim_at
from ...runtime.times import check_times, iso


class ShownClaim(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Who has said that they will answer a question.

    Attributes:
        by: Their name.
        until: When the claim expires; until then nobody else is reminded.
    """

    by: str
    until: str

    def __post_init__(self) -> None:
        """Check both. Raises ValueError."""
        check_words(self.by)
        check_times(self.until)

    def holds(self, at: float) -> bool:
        """Whether it has not expired at a time, in Unix seconds."""
        return iso(at) < self.until


def shown_claim(acts: list[Act]) -> ShownClaim | None:
    """The last claim that was not given up, even if it has expired; None: there is none."""
    held = claim_at(acts, float("-inf"))
    return ShownClaim(by=held.by, until=iso(held.until)) if held is not None else None
