"""A question as a Slack message. Pure.

What does not fit is left out, and the card says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from ....runtime.channel import Card
from .slack_actions import actions, may_answer, takes_words
from .slack_lines import asker, deadline, left_out, mentions, others, progress, title
from .slack_parts import Block, buttons, code, date, header, marked, said, section, small
from .slack_text import cut, literal

_OPEN: Final = "open"
_NOTICE: Final = 300
_COMMANDS: Final = 1_200
_HOW: Final = {
    "answered": "Answered",
    "expired": "Expired",
    "cancelled": "No longer needed",
    "no_quorum": "No agreement",
}


class Room(NamedTuple):
    """How many characters of each text a card has room for.

    Slack takes 3,000 in one place. It refuses a message whose texts have some 11,000 together.
    """

    text: int = 2_000
    arguments: int = 2_900
    context: int = 1_500


FULL: Final = Room()
LEAST: Final = Room(400, 400, 200)
"""For a card that Slack has refused as too long."""


class Message(NamedTuple):
    """A message to Slack."""

    blocks: list[Block]
    text: str
    """What a notification shows."""


class _Texts:
    """The texts of a card as blocks, and which parts of them did not fit."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.left_out: list[str] = []

    def add(self, what: str, text: str, most: int, *, as_code: bool = False) -> bool:
        """Add a text if there is one; returns whether there is one, and all of it fits."""
        if not text:
            return False
        found = cut(text, most)
        self.blocks.append(code(found.text) if as_code else said(found.text))
        if found.left_out:
            self.left_out.append(f"{found.left_out:,} characters of the {what}")
        return not found.left_out


def message_of(card: Card, users: Mapping[str, str], room: Room = FULL) -> Message:
    """The message that shows a card.

    Args:
        card: The card.
        users: The Slack ids of people, by name.
        room: How much of it may be shown.
    """
    blocks = _opened(card, users, room) if card.status == _OPEN else _closed(card, room)
    return Message(blocks, notice(f"{title(card)}: {card.text}"))


def reply_of(card: Card, users: Mapping[str, str]) -> Message:
    """The reply below the first card that reminds people of it, or asks others too."""
    why = f"Reminder {card.number}" if card.kind == "reminder" else "You are asked too"
    line = f"{why}: the question above is {'open' if card.status == _OPEN else 'closed'}."
    named = mentions(card, users)
    first = section(f"{named} {line}" if named else line)
    return Message([first, *others(card, users), deadline(card)], notice(f"{why}: {card.text}"))


def result_of(card: Card) -> Message:
    """The reply that says how the run ended."""
    texts = _Texts()
    texts.add("result", card.result, FULL.arguments)
    blocks = [small(f"The run has ended: {card.run_status}"), *texts.blocks]
    if texts.left_out:
        blocks.append(left_out(texts.left_out, card))
    return Message(blocks, notice(f"The run has ended: {card.run_status}"))


def notice(text: str) -> str:
    """A text for a notification, in which nothing is a mention or a link."""
    return literal(text, _NOTICE)


def _opened(card: Card, users: Mapping[str, str], room: Room) -> list[Block]:
    texts = _Texts()
    texts.add("question", card.text, room.text)
    whole_call = texts.add("arguments", card.arguments, room.arguments, as_code=True)
    if card.digest:
        texts.blocks.append(small(f"Digest of this call: {card.digest}"))
    whole_context = texts.add("context", card.context, room.context)
    all_shown = whole_call if card.arguments else whole_context
    named = mentions(card, users)
    return [
        header(title(card)),
        small(asker(card)),
        *([section(f"For {named}")] if named else []),
        *others(card, users),
        *texts.blocks,
        *([left_out(texts.left_out, card)] if texts.left_out else []),
        deadline(card),
        *progress(card),
        *_how_to_answer(card, all_shown=all_shown),
    ]


def _how_to_answer(card: Card, *, all_shown: bool) -> list[Block]:
    blocks = [buttons(actions(card, all_shown=all_shown))]
    if takes_words(card):
        blocks.append(small("Or reply in this thread: the reply is the answer."))
    if not may_answer(card):
        blocks.append(small("An answer given in Slack does not count for this question."))
    elif card.digest and not all_shown:
        blocks.append(small("It cannot be approved here, because not all of the call is shown."))
    if lines := _commands(card):
        blocks += [small("From a terminal:"), code("\n".join(lines))]
    return blocks


def _commands(card: Card) -> list[str]:
    """The commands that answer, as far as they fit: half a command is of no use."""
    lines: list[str] = []
    spent = 0
    for line in card.answer_with:
        found = cut(line, _COMMANDS - spent)
        if found.left_out or spent >= _COMMANDS:
            break
        lines.append(found.text)
        spent += len(found.text)
    return lines or ([f"layby show {card.run}"] if card.answer_with else [])


def _closed(card: Card, room: Room) -> list[Block]:
    how = _HOW.get(card.status, "Closed")
    texts = _Texts()
    texts.add("question", card.text, room.text)
    texts.add("arguments", card.arguments, room.arguments, as_code=True)
    texts.add("outcome", card.outcome or how, room.text)
    ended: list[str | Block] = [
        *([f"by {card.by}"] if card.by else []),
        *([marked(date(card.closed_at))] if card.closed_at else []),
    ]
    return [
        header(f"{how}: {title(card)}"),
        small(asker(card)),
        *texts.blocks,
        *([left_out(texts.left_out, card)] if texts.left_out else []),
        *([small(*ended)] if ended else []),
        *progress(card),
        *([small(f"The run has ended: {card.run_status}")] if card.run_status else []),
    ]
