"""The buttons of an open card. Pure."""

from __future__ import annotations

from typing import Final

from ....runtime.channel import Card
from .slack_button import Act, Pressed
from .slack_parts import Block, button, confirm, fits_label

SLACK: Final = "slack"
"""What vouches for people who answer here."""
_NOBODY: Final = "none"
_BUTTONS: Final = 5
"""More choices than this are in a form."""


def may_answer(card: Card) -> bool:
    """Whether an answer that Slack vouches for counts."""
    return not card.accept or SLACK in card.accept or _NOBODY in card.accept


def takes_words(card: Card) -> bool:
    """Whether any text is an answer, so that a reply in the thread is one."""
    return may_answer(card) and not card.digest and card.form is None and not card.choices


def actions(card: Card, *, all_shown: bool) -> list[Block]:
    """The buttons of an open card.

    Args:
        card: The question.
        all_shown: Whether the card shows the whole call; nobody approves what they cannot read.
    """
    answers = _answers(card, all_shown=all_shown) if may_answer(card) else []
    about = [
        button("I'm on it", _pressed(card, "claim")),
        button("Not mine", _pressed(card, "decline")),
        button("Pass on…", _pressed(card, "pass")),
        button("Ask back…", _pressed(card, "ask-back")),
    ]
    return [*answers, *about]


def _answers(card: Card, *, all_shown: bool) -> list[Block]:
    if card.digest:
        return [*([_approve(card)] if all_shown else []), *_refusals(card)]
    if 0 < len(card.choices) <= _BUTTONS and all(map(fits_label, card.choices)):
        return [
            button(choice, _pressed(card, "choose", choice=place))
            for place, choice in enumerate(card.choices)
        ]
    return [button("Answer…", _pressed(card, "open"), style="primary")]


def _approve(card: Card) -> Block:
    what = f"{card.tool or 'The call'} runs with exactly the arguments shown. Digest: {card.digest}"
    sure = confirm("Approve this call?", what, "Approve")
    pressed = _pressed(card, "approve", digest=card.digest)
    return button("Approve", pressed, style="primary", confirm=sure)


def _refusals(card: Card) -> list[Block]:
    return [
        button("Reject", _pressed(card, "reject"), style="danger"),
        button("Reject with a reason…", _pressed(card, "explain")),
    ]


def _pressed(card: Card, act: Act, *, choice: int = -1, digest: str = "") -> Pressed:
    return Pressed(act, card.ticket, card.question, card.role, choice, digest)
