"""What tokens cost. Pure; prices change, so the user says them."""

from __future__ import annotations

from typing import Protocol

import msgspec

_MILLION = 1_000_000


class Counted(Protocol):
    """What has a price: a `Usage`, or the `usage` event of a run."""

    @property
    def input_tokens(self) -> int:
        """Tokens of input that the provider's cache had no part in."""
        ...

    @property
    def output_tokens(self) -> int:
        """Tokens that the model wrote."""
        ...

    @property
    def cache_read_tokens(self) -> int:
        """Tokens of input that came from the cache."""
        ...

    @property
    def cache_write_tokens(self) -> int:
        """Tokens of input that went into the cache."""
        ...


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """A model's price per million tokens, in the currency of your choice."""

    input: float
    output: float
    cache_read: float | None = None
    """For input read from the provider's cache; None: the price of other input."""
    cache_write: float | None = None
    """For input written to the cache; None: the price of other input."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"Price: {name}={value} is negative")


def cost(usage: Counted, price: Price) -> float:
    """What the tokens of `usage` cost at `price`, in the price's currency."""
    read = price.input if price.cache_read is None else price.cache_read
    write = price.input if price.cache_write is None else price.cache_write
    total = (
        usage.input_tokens * price.input
        + usage.output_tokens * price.output
        + usage.cache_read_tokens * read
        + usage.cache_write_tokens * write
    )
    return total / _MILLION
