"""What a run's models have used: tokens, and what these cost.

Nothing ever depends on it; budgets count what the steps' results say.
"""

from __future__ import annotations

import msgspec


class Spent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Tokens of one or more responses."""

    input_tokens: int = 0
    """All that was read, from a provider's cache too."""
    output_tokens: int = 0
    cost: float | None = None
    """US dollars; None: a price is not known."""

    def __add__(self, other: Spent) -> Spent:
        """Both together; their cost is known if that of each is."""
        if self == NOTHING:
            return other
        if other == NOTHING:
            return self
        unknown = self.cost is None or other.cost is None
        return Spent(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost=None if unknown else (self.cost or 0.0) + (other.cost or 0.0),
        )


NOTHING = Spent()
