from __future__ import annotations

from typing import Any

import pytest

from examples.support_agent.agents import customer_support, technical_support
from examples.support_agent.supervisor import (
    critical_first,
    finish_your_turn,
    replied,
    supervisor,
)
from layby import CallRecord, Done, Route, TurnResult


def route(*turns: TurnResult, **state: Any) -> Route:
    agents = {agent.name: agent for agent in (customer_support, technical_support)}
    return Route(input="", turns=list(turns), agents=agents, state=state)


def turn(text: str = "", *, agent: str = "Customer Support", **options: Any) -> TurnResult:
    return TurnResult(agent=agent, text=text, **options)


def reply(*, is_error: bool = False) -> TurnResult:
    call = CallRecord(name="reply_to_customer", is_error=is_error)
    return turn(calls=[call], stop="stopped")


def decided(given: Route) -> Any:
    choices = [rule(given) for rule in supervisor.rules]
    return next((choice for choice in choices if choice is not None), None)


def test_a_reply_ends_it() -> None:
    assert isinstance(replied(route(reply())), Done)
    assert isinstance(decided(route(reply(), turn("Afterwards"))), Done)


def test_a_reply_that_was_not_sent_does_not() -> None:
    assert replied(route(reply(is_error=True))) is None


def test_a_critical_ticket_goes_to_technical_support_at_once() -> None:
    assert critical_first(route(priority="critical")) is technical_support
    assert critical_first(route(turn(), priority="critical")) is None
    assert critical_first(route(priority="low")) is None
    assert critical_first(route()) is None


def test_an_agent_that_only_talked_gets_one_more_turn() -> None:
    assert finish_your_turn(route(turn("Clear your cookies."))) == "Customer Support"
    assert finish_your_turn(route(turn("Clear."), turn("Clear!"))) is None


def test_each_agent_has_its_own_second_chance() -> None:
    turns = (turn("a"), turn("b"), turn("c", agent="Technical Support"))
    assert finish_your_turn(route(*turns)) == "Technical Support"


@pytest.mark.parametrize("stop", ["max_steps", "refusal", "max_tokens", "stopped"])
def test_an_agent_that_could_not_finish_gets_no_third_turn(stop: str) -> None:
    assert finish_your_turn(route(turn("Hm", stop=stop))) is None


def test_the_model_decides_at_the_start_and_on_a_handover() -> None:
    assert decided(route(priority="medium")) is None
    assert decided(route(turn("HANDOVER to Technical Support: a crash"))) is None
