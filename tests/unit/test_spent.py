"""What a run's models have used, and what that costs."""

from __future__ import annotations

import pytest

from layby.actors.models.model import Message, ModelResponse, Usage
from layby.actors.models.prompt_recording import spent
from layby.runtime.price import Price, price_of
from layby.runtime.spent import NOTHING, Spent

PRICE = Price(input=1.0, output=5.0, cache_read=0.1, cache_write=1.25)


def response(model: str, **usage: int) -> ModelResponse:
    message = Message(role="assistant", parts=[])
    return ModelResponse(message=message, stop_reason="end", model=model, usage=Usage(**usage))


def test_sums_keep_a_cost_while_each_is_known() -> None:
    one, two = Spent(input_tokens=10, output_tokens=1, cost=0.5), Spent(output_tokens=2, cost=0.25)

    assert one + two == Spent(input_tokens=10, output_tokens=3, cost=0.75)
    assert one + Spent(output_tokens=2) == Spent(input_tokens=10, output_tokens=3)
    assert NOTHING + one == one + NOTHING == one


def test_tokens_from_a_cache_were_read_too_and_cost_less() -> None:
    found = spent(
        response("small", input_tokens=10, output_tokens=20, cache_read_tokens=30), {"small": PRICE}
    )

    assert found is not None
    assert (found.input_tokens, found.output_tokens) == (40, 20)
    assert found.cost == pytest.approx((10 * 1.0 + 20 * 5.0 + 30 * 0.1) / 1_000_000)


def test_a_model_without_a_price_has_tokens_and_no_cost() -> None:
    assert spent(response("big", input_tokens=1), {"small": PRICE}) == Spent(input_tokens=1)


def test_a_provider_that_counts_nothing_is_told_from_one_that_is_free() -> None:
    assert spent(response("small"), {"small": PRICE}) is None


@pytest.mark.parametrize(
    "name", ["claude-haiku-4-5", "claude-haiku-4-5-20251001", "claude-haiku-4-5@20251001"]
)
def test_the_date_in_a_name_does_not_hide_its_price(name: str) -> None:
    assert price_of(name, {"claude-haiku-4-5": PRICE}) is PRICE


def test_a_price_is_never_taken_from_a_model_with_a_longer_name() -> None:
    assert price_of("gpt-5-mini-2025-08-07", {"gpt-5": PRICE}) is None
