"""Calls of a channel: whatever it does, the caller gets an answer or a ChannelError in time."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from layby.actors.people import channel_calls
from layby.actors.people.channel_calls import ChannelCalls, Resting, Turn
from layby.channels import Card, ChannelError, Undeliverable
from layby.testing import MemoryChannel, check_channel, example_card


class Odd(MemoryChannel):
    """Returns or raises what it is told."""

    def __init__(self, outcome: Any) -> None:
        super().__init__()
        self.outcome = outcome

    async def send(self, card: Card) -> Any:
        del card
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


class Stubborn(MemoryChannel):
    """Does not end when it is cancelled for the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.called = 0
        self.began = asyncio.Event()

    async def send(self, card: Card) -> str:
        self.called += 1
        self.began.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()
        return card.key


async def sent(calls: ChannelCalls, seq: int = 1) -> str:
    """What the channel returns for a card, as soon as there is a turn."""
    async with calls.turn(seq) as turn:
        return await turn.send(example_card())


async def test_what_a_channel_returns_is_kept() -> None:
    channel = MemoryChannel()
    card = example_card()
    async with ChannelCalls(channel).turn(1) as turn:
        assert await turn.send(card) == card.key
        await turn.refresh(card.key, card)
    assert [what for what, _, _ in channel.calls] == ["send", "update"]


@pytest.mark.parametrize(
    ("outcome", "kept"), [("x" * 900, "x" * 500), (None, ""), (7, ""), ("a\ud800", "a?")]
)
async def test_a_reference_that_cannot_be_recorded_does_no_harm(outcome: Any, kept: str) -> None:
    assert await sent(ChannelCalls(Odd(outcome))) == kept


@pytest.mark.parametrize(
    "error", [RuntimeError("a bug"), asyncio.CancelledError(), TimeoutError(), RecursionError()]
)
async def test_whatever_a_channel_raises_is_tried_again(error: BaseException) -> None:
    with pytest.raises(ChannelError) as raised:
        await sent(ChannelCalls(Odd(error)))
    assert type(raised.value) is ChannelError
    assert type(error).__name__ in str(raised.value)


async def test_what_never_works_stays_that() -> None:
    with pytest.raises(Undeliverable, match="no such room"):
        await sent(ChannelCalls(Odd(Undeliverable("no such room"))))


async def test_a_call_that_takes_too_long_is_left_behind() -> None:
    channel = Stubborn()
    with pytest.raises(ChannelError, match=r"did not answer within 0\.01 s"):
        await sent(ChannelCalls(channel, 0.01))
    assert channel.called == 1


async def test_a_channel_whose_calls_never_end_is_called_no_more() -> None:
    channel = Stubborn()
    calls = ChannelCalls(channel, 0.001)
    for _ in range(40):
        with pytest.raises(ChannelError):
            await sent(calls)
    assert channel.called == 32
    with pytest.raises(ChannelError, match="have not ended"):
        await sent(calls)


async def test_cancelling_the_wait_cancels_the_call() -> None:
    channel = Stubborn()
    calls = ChannelCalls(channel)
    task = asyncio.ensure_future(sent(calls))
    await channel.began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_channel_that_asks_for_rest_is_not_called_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(channel_calls, "PATIENCE", 0.01)
    channel = Odd(ChannelError("slow down", retry_after=60.0))
    calls = ChannelCalls(channel)
    with pytest.raises(ChannelError, match="slow down"):
        await sent(calls)
    channel.outcome = "C1"
    with pytest.raises(ChannelError, match="later") as raised:
        await sent(calls)
    assert 55.0 < (raised.value.retry_after or 0.0) <= 60.0


@pytest.mark.parametrize("nonsense", [0.0, -1.0, float("nan"), "soon"])
async def test_a_channel_that_asks_for_nonsense_gets_no_rest(nonsense: Any) -> None:
    channel = Odd(ChannelError("slow down", retry_after=nonsense))
    calls = ChannelCalls(channel)
    with pytest.raises(ChannelError, match="slow down") as raised:
        await sent(calls)
    assert raised.value.retry_after is None
    channel.outcome = "C1"
    assert await sent(calls) == "C1"


async def test_nobody_calls_a_channel_without_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_calls, "PATIENCE", 0.01)
    channel = Odd(ChannelError("slow down", retry_after=float("inf")))
    calls = ChannelCalls(channel)
    async with calls.turn(1) as turn:
        with pytest.raises(ChannelError, match="slow down"):
            await turn.send(example_card())
    async with calls.turn(1) as turn:
        for call in (turn.send(example_card()), turn.refresh("C1", example_card())):
            with pytest.raises(Resting) as raised:
                await call
            assert 3_500.0 < (raised.value.retry_after or 0.0) <= 3_600.0
        assert await turn.find(example_card()) == "", "a channel that cannot look anything up"
    assert channel.calls == []


@pytest.mark.parametrize("failure", ["no answer", "an error of the channel", "another error"])
async def test_a_channel_that_fails_after_a_rest_is_not_called_by_one_at_a_time(
    failure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_calls, "PATIENCE", 0.01)
    errors = {"an error of the channel": ChannelError("down"), "another error": ValueError("down")}
    channel = Odd(ChannelError("slow down", retry_after=0.001))
    calls = ChannelCalls(channel, limit=0.01)
    with pytest.raises(ChannelError, match="slow down"):
        await sent(calls)
    channel.outcome = errors.get(failure)
    if failure == "no answer":
        calls.channel = Stubborn()
    async with asyncio.timeout(30):
        async with calls.turn(1) as turn:
            while isinstance(await failed(turn), Resting):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
    async with calls.turn(1) as one, calls.turn(2) as other:
        for turn in (one, other):
            assert not isinstance(await failed(turn), Resting)


async def failed(turn: Turn) -> ChannelError:
    with pytest.raises(ChannelError) as raised:
        await turn.send(example_card())
    return raised.value


async def test_a_channel_that_fails_one_card_after_another_is_called_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    channel = Odd(ChannelError("down"))
    calls = ChannelCalls(channel)
    for seq in range(1, 5):
        with pytest.raises(ChannelError, match="down"):
            await sent(calls, seq)
    assert 0.9 < calls.pace.rest <= 1.0
    monkeypatch.setattr(channel_calls, "PATIENCE", 0.01)
    with pytest.raises(Resting, match="it fails one card after another: down") as raised:
        await sent(calls, 5)
    assert 0.0 < (raised.value.retry_after or 0.0) <= 1.0


async def test_a_card_that_is_refused_for_ever_says_nothing_of_its_channel() -> None:
    calls = ChannelCalls(Odd(Undeliverable("no such room")))
    for seq in range(1, 20):
        with pytest.raises(Undeliverable):
            await sent(calls, seq)
    assert not calls.pace.fails
    assert calls.pace.rest == 0.0


class Sync(MemoryChannel):
    """Breaks its rules before there is anything to await."""

    def send(self, card: Card) -> Any:
        raise ValueError(card.key)


async def test_a_channel_that_raises_at_once_is_called_again() -> None:
    with pytest.raises(ChannelError, match="ValueError"):
        await sent(ChannelCalls(Sync()))


async def test_a_channel_in_memory_keeps_the_rules() -> None:
    await check_channel(MemoryChannel())


class Forgets(MemoryChannel):
    """Breaks a rule: it refuses to update what it has closed."""

    async def update(self, ref: str, card: Card) -> None:
        if any(what == "close" and each == ref for what, each, _ in self.calls):
            raise Undeliverable("it is closed")
        await super().update(ref, card)


class Tells(MemoryChannel):
    """Breaks a rule: its error has a token in it."""

    async def close(self, ref: str, card: Card) -> None:
        del ref, card
        raise ChannelError("refused: Bearer abc.def")


@pytest.mark.parametrize(
    ("channel", "rule"),
    [
        (Forgets(), "update after close failed"),
        (Tells(), "has a secret in its error"),
        (Odd(""), "return 1 to 500 characters"),
        (Odd("always the same"), "for two different cards"),
        (Odd(ValueError("no")), "raise ChannelError or Undeliverable"),
        (MemoryChannel(lacks="a token"), r"missing\(\) says: a token"),
    ],
)
async def test_a_channel_that_breaks_a_rule_is_found_out(channel: Any, rule: str) -> None:
    with pytest.raises(AssertionError, match=rule):
        await check_channel(channel)


async def test_a_channel_that_takes_too_long_is_found_out() -> None:
    with pytest.raises(AssertionError, match="took longer"):
        await check_channel(Stubborn(), within=0.01)
