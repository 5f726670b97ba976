"""What people are told about what they said in Slack. Pure."""

from __future__ import annotations

from typing import Final

from ....runtime.channel import Card, Outcome, Said
from .slack_text import literal

_LONGEST: Final = 1_500
_SAID: Final[dict[Said, str]] = {
    "answer": "Your answer counts.",
    "claim": "You are on it: the others can see that.",
    "decline": "Noted: it is not yours.",
    "pass": "Passed on.",
    "ask-back": "It is asked: the reply comes on the card.",
}
_DONE: Final = frozenset({"accepted", "recorded"})
_OTHERS: Final = {
    "already_claimed": ("Somebody else is on it", "they were faster"),
    "counted": ("Your vote counts", "more are needed"),
    "already_voted": ("You have voted already", "your first vote counts"),
    "too_late": ("Too late", "the question is closed"),
    "stored": ("Stored", "no worker has handled it yet; the card changes when one has"),
}
_INVALID: Final = ("That does not count", "")
UNKNOWN: Final = "There is no such question any more. Nothing was recorded."
FORGED: Final = "This button does not belong to this question. Nothing was recorded."
NOT_NOW: Final = (
    "That may not have been stored. Look at the card, and try again if it is still open."
)
UNREADABLE: Final = "The question cannot be read right now. Nothing was recorded: try again."
ELSEWHERE: Final = "This card belongs to another app. Nothing was recorded."
NOT_HERE: Final = (
    "An answer given in Slack does not count for this question. Nothing was recorded; the card "
    "shows the command that answers it."
)


def receipt_text(said: Said, outcome: Outcome, person: str) -> str:
    """What became of what a person said, escaped for Slack."""
    return literal(_receipt_text(said, outcome, person), _LONGEST)


def _receipt_text(said: Said, outcome: Outcome, person: str) -> str:
    if outcome.outcome in _DONE:
        because = f" ({outcome.reason})" if outcome.reason else ""
        return f"{_SAID.get(said, 'That is recorded.')}{because}"
    if outcome.outcome == "already_answered":
        return _lost(outcome, person)
    begin, otherwise = _OTHERS.get(outcome.outcome, _INVALID)
    return f"{begin}: {(outcome.reason or otherwise or outcome.outcome).rstrip('.')}."


def _lost(outcome: Outcome, person: str) -> str:
    if outcome.by and outcome.by == person:
        return "You have answered already: your first answer counts."
    who = f"{outcome.by} was faster" if outcome.by else "The question is closed"
    return f"{who}. {outcome.reason}".strip()


def closed_text(card: Card, person: str) -> str:
    """What somebody who replies to a closed question is told, escaped for Slack."""
    lost = card.by and card.by != person
    who = f"{card.by} was faster. " if lost and card.status == "answered" else ""
    return literal(f"{who}The question is closed: {card.outcome or card.status}", _LONGEST)


def unknown_person_text(user: str) -> str:
    """What somebody whom the app does not know is told, escaped for Slack."""
    return literal(
        "Nothing was recorded: I do not know who you are. Ask for your Slack id to be added to the "
        f'app, in slack(..., people={{"{user}": "your name"}}).',
        _LONGEST,
    )
