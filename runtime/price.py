"""The cost of tokens. Pure; users supply the prices, because these change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

import msgspec

_MILLION = 1_000_000
_DATED = re.compile(r"[-@]\d{4}-?\d{2}-?\d{2}$")
"""The date that providers add to a model's name."""


class Counted(Protocol):
    """Counts of tokens: a `Usage`, or the `usage` event of a run."""

    @property
    def input_tokens(self) -> int:
        """Input tokens that were neither read from the provider's cache nor written to it."""
        ...

    @property
    def output_tokens(self) -> int:
        """Tokens that the model generated."""
        ...

    @property
    def cache_read_tokens(self) -> int:
        """Input tokens that were read from the cache."""
        ...

    @property
    def cache_write_tokens(self) -> int:
        """Input tokens that were written to the cache."""
        ...


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """A model's price per million tokens, in the currency of your choice."""

    input: float
    output: float
    cache_read: float | None = None
    """The price of input read from the provider's cache; None: `input`."""
    cache_write: float | None = None
    """The price of input written to the cache; None: `input`."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"Price: {name}={value} is negative")


def cost(usage: Counted, price: Price) -> float:
    """The cost of the tokens in `usage` at `price`, in the price's currency."""
    read = price.input if price.cache_read is None else price.cache_read
    write = price.input if price.cache_write is None else price.cache_write
    total = (
        usage.input_tokens * price.input
        + usage.output_tokens * price.output
        + usage.cache_read_tokens * read
        + usage.cache_write_tokens * write
    )
    return total / _MILLION


def price_of(model: str, prices: Mapping[str, Price]) -> Price | None:
    """The price of a model as its provider calls it, with or without a date; None: unknown."""
    return prices.get(model) or prices.get(undated(model))


def undated(model: str) -> str:
    """A model's name without the date that its provider adds."""
    return _DATED.sub("", model)
