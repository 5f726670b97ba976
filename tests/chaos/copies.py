"""Messages and mails that real channels have sent, against what the log says of them. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from .violation import Violation

SOON = 20.0
"""Seconds within which a card is sent and that is recorded, whatever fails meanwhile."""
TAKEN_OVER = 4.0
"""Seconds after something was sent in which its sender may die, or be held up, unrecorded."""


class Copy(NamedTuple):
    """Something that people can see."""

    mark: str
    """The same for each copy of one thing."""
    at: float
    ref: str = ""
    """What finds it again, as a log has it; empty: nothing does."""
    is_open: bool = False
    """Whether it has buttons."""


class Card(NamedTuple):
    """What the log says of a card that was sent."""

    channel: str
    ref: str
    first: bool
    """Whether it is rewritten: a reminder is not."""


class Fronted(NamedTuple):
    """Everything that was shown of one question in Slack and by mail."""

    question: str
    asked: float
    """When it was published."""
    cards: Sequence[Card]
    """The cards that were sent, by the log."""
    given_up: Sequence[str]
    """The channels of which the log says that they could not show it."""
    messages: Sequence[Copy]
    """In Slack."""
    mails: Sequence[Copy]
    people: int
    """How many get a mail."""
    closed_at: float
    """Unix seconds; while it is open: now."""
    is_over: bool
    """Whether its run has ended."""


def wrongs(
    one: Fronted, died: Sequence[float], was_delayed: Callable[[float, float], bool]
) -> Iterator[Violation]:
    """What is wrong with them.

    `died`: when somebody died, or was not told what became of a call about this question.
    """
    name = f"question {one.question}"

    def is_excused(copy: Copy) -> bool:
        until = copy.at + TAKEN_OVER
        return any(copy.at - 0.5 <= at <= until for at in died) or was_delayed(copy.at, until)

    refs = {card.ref for card in one.cards}
    for copies in (*_together(one.messages), *_together(one.mails)):
        alone = [copy for copy in copies if copy.ref not in refs and not is_excused(copy)]
        if len(alone) > (not any(copy.ref in refs for copy in copies)):
            text = ", ".join(f"{copy.ref or copy.mark} at {copy.at:.3f}" for copy in copies)
            yield Violation("card sent twice", f"{name}: {text}")
    yield from _agrees(one, name)
    for channel in ("slack", "email"):
        yield from _lost(one, channel, name)
        if channel in one.given_up and not died:
            text = f"{name}: {channel} never failed, and is given up"
            yield Violation("card disagrees with the log", text)


def _agrees(one: Fronted, name: str) -> Iterator[Violation]:
    """Whether all that the log says was sent is there, and says in the end that it is closed."""
    there = {copy.ref: copy for copy in one.messages}
    for card in one.cards:
        if card.channel == "slack" and card.ref not in there:
            yield Violation("card disagrees with the log", f"{name}: no message {card.ref}")
        elif card.channel == "slack" and card.first and one.is_over and there[card.ref].is_open:
            yield Violation("card left open", f"{name}: {card.ref}")
    mailed = sum(card.channel == "email" for card in one.cards)
    marks = {copy.mark for copy in one.mails}
    if len(marks) < mailed * one.people:
        text = f"{name}: {len(marks)} mails for {mailed} cards"
        yield Violation("card disagrees with the log", text)


def _lost(one: Fronted, channel: str, name: str) -> Iterator[Violation]:
    """Whether a card has become known long before its question was closed."""
    known = {*one.given_up, *(card.channel for card in one.cards)}
    if channel not in known and one.closed_at - one.asked > SOON:
        yield Violation("card lost", f"{name}: on {channel}")


def _together(copies: Sequence[Copy]) -> list[list[Copy]]:
    found: defaultdict[str, list[Copy]] = defaultdict(list)
    for copy in sorted(copies, key=lambda copy: copy.at):
        found[copy.mark].append(copy)
    return list(found.values())
