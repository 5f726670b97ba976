"""What people say in Slack: checked against the question, and handed in in their names.

Slack says who has pressed a button; the app's own list says who that is. What comes with it, ids
and choices, is believed only as far as the question itself has it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import structlog

from ....bus.errors import BusError, InvalidTicket
from ....runtime.channel import Card, ChannelError, Desk, Inbound, Said
from .slack_actions import SLACK, may_answer
from .slack_api import SlackApi
from .slack_button import Pressed, pressed_in
from .slack_form import WRONG, entered
from .slack_json import object_of, objects_of, text_of
from .slack_modal import Origin, block_id, fields_for, origin_in, typed_in, view_of
from .slack_people import People, User
from .slack_receipt import (
    FORGED,
    NOT_HERE,
    NOT_NOW,
    UNKNOWN,
    UNREADABLE,
    closed_text,
    receipt_text,
    unknown_person_text,
)
from .slack_text import literal

log = structlog.get_logger("layby.slack")

_LOOK: Final = 2.0
"""Seconds to look up a question while Slack waits for the reply to a form, which may take three."""
_SHOWN: Final = 1_500
_SAYING: Final = frozenset({"pass", "ask-back"})
"""Acts that have a form and are not answers."""
_FORMS: Final = _SAYING | {"open", "explain"}


class Speaker(NamedTuple):
    """Who said something, and where."""

    user: User
    conversation: str
    thread: str = ""
    """The message below which it was said; empty: in the channel."""
    person: str = ""
    """Their name in subjects; empty: not known."""


class Submitted(NamedTuple):
    """A form that was sent."""

    errors: dict[str, str]
    """What is wrong, by the id of the field; the form then stays open."""
    said: Inbound | None = None
    """What it says."""
    speaker: Speaker | None = None
    refusal: str = ""
    """Why it says nothing, escaped for Slack; the form is closed."""


class Reception:
    """Takes what people of one channel say."""

    def __init__(self, conversation: str, people: People, desk: Desk, api: SlackApi) -> None:
        self.conversation = conversation
        """The channel's id in Slack."""
        self.people = people
        self.desk = desk
        self.api = api

    async def pressed(self, body: Mapping[str, Any]) -> None:
        """Somebody has pressed a button of a card. Ends in a receipt, a form, or a refusal."""
        speaker = await self.known(speaker_of(body))
        button = pressed_in(_first_value(body))
        if not speaker.person:
            await self.refuse(speaker)
        elif button is None:
            await self.whisper(speaker, FORGED)
        else:
            try:
                await self._act(speaker, button, text_of(body, "trigger_id"))
            except (BusError, ChannelError) as error:
                log.warning("slack.failed", doing="press", error=str(error))
                await self.whisper(speaker, UNREADABLE)

    async def _act(self, speaker: Speaker, button: Pressed, trigger: str) -> None:
        card = await self.card(button)
        if card is None:
            await self.whisper(speaker, UNKNOWN)
        elif button.act in {"claim", "decline"}:
            says: Said = "claim" if button.act == "claim" else "decline"
            await self.say(speaker, _inbound(button, speaker, says=says))
        elif button.act not in _SAYING and not may_answer(card):
            await self.whisper(speaker, NOT_HERE)
        elif button.act in _FORMS:
            await self._open(speaker, button, card, trigger)
        elif (answer := _answer(button, card)) is None:
            await self.whisper(speaker, FORGED)
        else:
            await self.say(speaker, _inbound(button, speaker, answer=answer))

    async def _open(self, speaker: Speaker, button: Pressed, card: Card, trigger: str) -> None:
        if card.status != "open":
            await self.whisper(speaker, closed_text(card, speaker.person))
            return
        view = view_of(button, card, speaker.conversation, [*self.people.users])
        await self.api.call("views.open", {"trigger_id": trigger, "view": view})
        try:
            await self.desk.say(_inbound(button, speaker, says="opened"), via=SLACK)
        except BusError as error:  # the form is open all the same
            log.warning("slack.failed", doing="opened", error=str(error))

    async def submitted(self, body: Mapping[str, Any], origin: Origin) -> Submitted:
        """Check a form that was sent, while Slack waits: it says something, or what is wrong."""
        view = object_of(body, "view")
        speaker = await self.known(speaker_of(body)._replace(conversation=origin.conversation))
        button = origin.pressed
        if not speaker.person:
            return Submitted({}, speaker=speaker)
        if button is None:
            return Submitted({}, speaker=speaker, refusal=FORGED)
        try:
            async with asyncio.timeout(_LOOK):
                card = await self.card(button)
        except (TimeoutError, BusError):
            return Submitted({block_id(0): "The question cannot be read right now. Try again."})
        if card is None:
            return Submitted({}, speaker=speaker, refusal=UNKNOWN)
        if button.act in _SAYING:
            return _said(view, button, card, speaker, [*self.people.users])
        return _read(view, button, card, speaker)

    async def hand_in(self, form: Submitted) -> None:
        """Hand in what a form says, and tell its sender what became of it."""
        if form.speaker is None:
            return
        if form.said is not None:
            await self.say(form.speaker, form.said)
        elif form.refusal:
            await self.whisper(form.speaker, form.refusal)
        else:
            await self.refuse(form.speaker)

    async def say(self, speaker: Speaker, said: Inbound) -> None:
        """Hand in what somebody says, and tell them what became of it."""
        try:
            outcome = await self.desk.say(said, via=SLACK)
        except BusError as error:
            log.warning("slack.failed", doing="say", error=str(error))
            await self.whisper(speaker, NOT_NOW)
            return
        log.info(
            "slack.said",
            ticket=said.ticket,
            question=said.question,
            says=said.says,
            by=said.person,
            outcome=outcome.outcome,
        )
        await self.whisper(speaker, receipt_text(said.says, outcome, said.person))

    async def refuse(self, speaker: Speaker) -> None:
        """Tell somebody whom the app does not know how to change that."""
        ours = await self.api.identity()
        user = speaker.user
        log.info("slack.stranger", user=user.id, team=user.team)
        shown = user.id if user.team == ours.team else f"{user.team}/{user.id}"
        await self.whisper(speaker, unknown_person_text(shown))

    async def whisper(self, speaker: Speaker, text: str) -> None:
        """Tell somebody something that only they see. `text` is escaped already."""
        try:
            await self.api.whisper(speaker.conversation, speaker.user.id, text, speaker.thread)
        except ChannelError as error:  # what they said is handled: only telling them failed
            log.warning("slack.failed", doing="tell", error=str(error))

    async def known(self, speaker: Speaker) -> Speaker:
        """Somebody with their name, if they have one. Raises ChannelError."""
        ours = await self.api.identity()
        return speaker._replace(person=self.people.name_of(speaker.user, ours.team))

    async def card(self, button: Pressed) -> Card | None:
        """The question of a button as it is now. Raises BusError."""
        try:
            return await self.desk.card(button.ticket, button.question, button.role)
        except InvalidTicket:  # nobody has such a ticket
            return None


def speaker_of(body: Mapping[str, Any]) -> Speaker:
    """Who has pressed a button or sent a form, and where."""
    user = object_of(body, "user")
    team = text_of(user, "team_id") or text_of(object_of(body, "team"), "id")
    conversation = text_of(object_of(body, "channel"), "id")
    return Speaker(User(team, text_of(user, "id")), conversation)


def origin_of(body: Mapping[str, Any]) -> Origin | None:
    """Where a form was opened; None: it is not one of ours."""
    return origin_in(object_of(body, "view").get("private_metadata"))


def _first_value(body: Mapping[str, Any]) -> object:
    actions = objects_of(body, "actions")
    return actions[0].get("value") if actions else None


def _answer(button: Pressed, card: Card) -> str | None:
    """What a button answers; None: the question has no such answer."""
    if button.act == "approve":
        is_same = bool(card.digest) and button.digest == card.digest
        return f"approve {card.digest}" if is_same else None
    if button.act == "reject":
        return "reject" if card.digest else None
    is_choice = button.act == "choose" and 0 <= button.choice < len(card.choices)
    return card.choices[button.choice] if is_choice else None


def _read(view: Mapping[str, Any], button: Pressed, card: Card, speaker: Speaker) -> Submitted:
    """What a form says about a question."""
    if not may_answer(card):
        return Submitted({}, speaker=speaker, refusal=NOT_HERE)
    if button.act not in {"open", "explain"} or (button.act == "explain") != bool(card.digest):
        return Submitted({}, speaker=speaker, refusal=FORGED)
    try:
        fields = fields_for(button, card)
        form = None if button.act == "explain" else card.form
        found = entered(form, fields, typed_in(view, fields))
    except (RecursionError, ValueError, TypeError):
        return Submitted({block_id(0): WRONG})
    if found.errors:
        wrong = {block_id(n): literal(why, _SHOWN) for n, why in found.errors.items()}
        return Submitted(wrong)
    answer = {"reject": found.answer} if button.act == "explain" else found.answer
    return Submitted({}, _inbound(button, speaker, answer=answer), speaker)


def _said(
    view: Mapping[str, Any], button: Pressed, card: Card, speaker: Speaker, people: Sequence[str]
) -> Submitted:
    """What a form says besides an answer: who it is passed to, or what is asked back."""
    fields = fields_for(button, card, people)
    found = entered(None, fields, typed_in(view, fields))
    if found.errors:
        return Submitted({block_id(n): literal(why, _SHOWN) for n, why in found.errors.items()})
    if button.act == "ask-back":
        return Submitted({}, _inbound(button, speaker, says="ask-back", text=found.answer), speaker)
    person, role = found.answer.get("person", ""), found.answer.get("role", "").strip()
    if bool(person) == bool(role):
        return Submitted({block_id(len(fields) - 1): "Choose a person, or write a role."})
    to = f"person:{person}" if person else f"role:{role.removeprefix('role:')}"
    return Submitted({}, _inbound(button, speaker, says="pass", text=to), speaker)


def _inbound(
    button: Pressed,
    speaker: Speaker,
    *,
    says: Said = "answer",
    answer: Any = None,
    text: str = "",
) -> Inbound:
    return Inbound(
        says=says,
        ticket=button.ticket,
        question=button.question,
        role=button.role,
        person=speaker.person,
        answer=answer,
        text=text,
    )
