"""Replies below a card, which answer a question that takes any text."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from ....runtime.channel import Inbound
from .slack_actions import takes_words
from .slack_api import CARD, payload_of
from .slack_button import Pressed, pressed_in
from .slack_desk import Reception, Speaker
from .slack_json import text_of
from .slack_people import User
from .slack_receipt import closed_text
from .slack_text import written

_THREADS: Final = 1_000
_PLAIN: Final = ("", "thread_broadcast")
"""Kinds of messages that people write; edits and the like are of another kind."""


class Replies:
    """Takes replies. Threads that are not about a card of ours are ignored."""

    def __init__(self) -> None:
        self._threads: OrderedDict[tuple[str, str], Pressed | None] = OrderedDict()
        """The question of each thread that was looked up; None: it is not one of ours."""

    async def take(self, event: Mapping[str, Any], team: str, at: Reception) -> None:
        """Somebody has written a message.

        Args:
            event: The message.
            team: The workspace that it is from, if it does not say so.
            at: Finds the member that takes what people of its channel say.

        Raises:
            ChannelError: Slack could not be asked which question the thread is about.
        """
        ours = await at.api.identity()
        parent = text_of(event, "parent_user_id")
        if not _may_be_answer(event) or (parent and parent != ours.user):
            return
        speaker = await at.known(_speaker(event, team))
        question = await self._question(speaker, at)
        card = await at.card(question) if question is not None else None
        text = written(text_of(event, "text"), at.people.by_id)
        if question is None or card is None or not text or not takes_words(card):
            return
        if card.status != "open":
            await at.whisper(speaker, closed_text(card, speaker.person))
        elif not speaker.person:
            await at.refuse(speaker)
        else:
            await at.say(speaker, _answer(question, speaker, text))

    async def _question(self, speaker: Speaker, at: Reception) -> Pressed | None:
        """The question that a thread is about, by the metadata of our message above it."""
        key = speaker.conversation, speaker.thread
        if key not in self._threads:
            message = await at.api.message(*key)
            self._threads[key] = pressed_in(payload_of(message, CARD).get("target"))
            if len(self._threads) > _THREADS:
                self._threads.popitem(last=False)
        return self._threads[key]


def _may_be_answer(event: Mapping[str, Any]) -> bool:
    """Whether a person wrote it below another message."""
    thread = text_of(event, "thread_ts")
    by_person = not event.get("bot_id") and text_of(event, "subtype") in _PLAIN
    return by_person and bool(thread) and thread != text_of(event, "ts") and bool(event.get("user"))


def _speaker(event: Mapping[str, Any], team: str) -> Speaker:
    home = text_of(event, "user_team") or text_of(event, "source_team") or text_of(event, "team")
    user = User(home or team, text_of(event, "user"))
    return Speaker(user, text_of(event, "channel"), text_of(event, "thread_ts"))


def _answer(question: Pressed, speaker: Speaker, text: str) -> Inbound:
    return Inbound(
        ticket=question.ticket,
        question=question.question,
        role=question.role,
        person=speaker.person,
        answer=text,
    )
