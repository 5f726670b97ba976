"""The lines of a card that are made of its fields. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ....runtime.channel import Card
from .reply_words import CONFIDENTIAL, reply_words
from .slack_parts import Block, date, marked, small

_VOTES: Final = 20
_ASKED_BACK: Final = 2
"""More of it is in the console."""
_PERSON: Final = "person:"


def title(card: Card) -> str:
    """What it is, and who it is for."""
    ticket = f" · {card.ticket}"
    if card.digest:
        return f"Approval for {card.role}: {card.tool or 'a call'}{ticket}"
    return f"Question for {card.role}{ticket}"


def asker(card: Card) -> str:
    """Who asks, and where that comes from."""
    who = card.agent or card.workflow or "A workflow"
    first = f" · first asked of {card.asked_of}" if card.asked_of else ""
    return f"{who} asks · ticket {card.ticket} · run {card.run}{first}"


def silence(card: Card) -> str:
    """What happens if nobody answers."""
    return f"If nobody answers: {card.silence}"


def deadline(card: Card) -> Block:
    """Until when it can be answered, and what silence means."""
    return small(marked(f"Deadline: {date(card.deadline)}"), silence(card))


def meant_for(card: Card) -> list[str]:
    """The names of the people that a card is for; empty: everybody with the role."""
    to = [card.to.removeprefix(_PERSON)] if card.to.startswith(_PERSON) else []
    return list(dict.fromkeys([*to, *card.told]))


def mentions(card: Card, users: Mapping[str, str]) -> str:
    """The people that a card is for, if they are known here, as mentions."""
    return " ".join(f"<@{users[name]}>" for name in meant_for(card) if name in users)


def others(card: Card, users: Mapping[str, str]) -> list[Block]:
    """A line that names the people that a card is for, if they are not known here."""
    unknown = [name for name in meant_for(card) if name not in users]
    return [small(f"For {', '.join(unknown)}")] if unknown else []


def progress(card: Card) -> list[Block]:
    """What it takes, who has voted, who is on it, and what was asked back."""
    lines: list[Block] = []
    if card.needed:
        lines.append(small(f"It takes: {card.needed}"))
    if card.votes:
        lines.append(small(_votes(card)))
    if card.claimed_by and card.status == "open":
        lines.append(small(f"{card.claimed_by} is on it", *_until(card.claimed_until)))
    return [*lines, *_asked_back(card)]


def _asked_back(card: Card) -> list[Block]:
    """What was asked back last, and the replies."""
    lines: list[Block] = []
    for each in card.asked_back[-_ASKED_BACK:]:
        lines.append(small(f"{each.by} asks back: {each.text or CONFIDENTIAL}"))
        lines.append(small(reply_words(each, "Reply")))
    return lines


def _votes(card: Card) -> str:
    shown = [f"{vote.by} ({vote.role}): {vote.choice or 'voted'}" for vote in card.votes[:_VOTES]]
    more = len(card.votes) - len(shown)
    return "Votes: " + "; ".join([*shown, *([f"and {more} more"] if more else [])])


def _until(at: float) -> list[Block]:
    return [marked(f"until {date(at)}")] if at else []


def left_out(parts: Sequence[str], card: Card) -> Block:
    """A line that says what does not fit, and where to read it."""
    return small(f"Left out here: {', '.join(parts)}. Read all of it: layby show {card.run}")
