"""Slack as a channel: `Role("developer", channels=[slack("#oncall", people={"U1": "ada"})])`.

Needs the extra `layby[slack]`. docs/slack.md says how to set it up.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

from ....runtime.channel import Card, ChannelError, Desk, Undeliverable
from ....runtime.errors import InvalidSetup
from .slack_api import CARD, RESULT, Mark, SlackApi
from .slack_button import Pressed, value_of
from .slack_card import FULL, LEAST, Message, Room, message_of, reply_of, result_of
from .slack_errors import TooLong
from .slack_json import text_of
from .slack_lines import mentions
from .slack_people import People

URL: Final = "https://slack.com/api/"
_CHANNEL: Final = re.compile(r"#[^\s#@<>|]{1,80}|[CDG][A-Z0-9]{5,}")
_REF: Final = re.compile(r"([CDG][A-Z0-9]+)/(\d+\.\d+)(?:/(\d+\.\d+))?")
_EARLIER: Final = 600.0
"""Seconds by which Slack's clock may be behind ours."""


class Ref(NamedTuple):
    """Where a card is."""

    conversation: str
    ts: str
    """The message."""
    thread: str = ""
    """For a reply: the card that it is below."""

    def __str__(self) -> str:
        """As it is recorded."""
        return "/".join(filter(None, self))


def ref_of(text: str) -> Ref:
    """Where a card is that `send` has returned. Raises Undeliverable."""
    found = _REF.fullmatch(text)
    if found is None:
        raise Undeliverable(f"{text[:80]!r} names no message in Slack")
    return Ref(found[1], found[2], found[3] or "")


def slack(
    channel: str,
    *,
    people: Mapping[str, str] | None = None,
    name: str = "slack",
    base_url: str = URL,
) -> SlackChannel:
    """A channel in Slack, in which a role is asked and answers.

    The tokens are read from the environment: SLACK_BOT_TOKEN wherever cards are sent, and
    SLACK_APP_TOKEN where `layby notify` runs, which takes the answers.

    Args:
        channel: The channel's name or its id: `#oncall` or `C0123456789`.
        people: Who is who: a name in subjects for each Slack user id, `{"U0123456789": "ada"}`.
            A user of another workspace in a shared channel is written `T0123456789/U0123456789`.
            Other users can read the cards, but cannot answer them here.
        name: The channel's name in logs and subjects. Two of one role need two names.
        base_url: Where Slack's Web API is.

    Raises:
        InvalidSetup: the channel, a user id or a name is not valid.
    """
    if not _CHANNEL.fullmatch(channel):
        raise InvalidSetup(f"slack({channel!r}): write a channel's name, `#oncall`, or its id")
    return SlackChannel(channel, People.of(people or {}, f"slack({channel!r})"), name, base_url)


class SlackChannel:
    """A channel in Slack: made by `slack()`."""

    def __init__(self, channel: str, people: People, name: str, base_url: str) -> None:
        self.channel = channel
        self.people = people
        self.api = SlackApi(base_url)
        self._name = name
        self._locks: WeakValueDictionary[Ref, asyncio.Lock] = WeakValueDictionary()

    def __repr__(self) -> str:
        return f"slack({self.channel!r})"

    @property
    def name(self) -> str:
        """Its name in logs and subjects."""
        return self._name

    def missing(self) -> str:
        """What this process lacks to send cards; empty: nothing."""
        return self.api.missing()

    async def send(self, card: Card) -> str:
        """Post a card, or find it if an earlier attempt got through; return where it is.

        Raises:
            ChannelError: not now.
            Undeliverable: never; it says what to do.
        """
        conversation = await self.api.conversation(self.channel)
        thread = _thread_of(card, conversation)
        mark = Mark(
            CARD, card.key, value_of(Pressed("open", card.ticket, card.question, card.role))
        )
        since = card.asked_at - _EARLIER
        found = await self.api.find(conversation, mark, since=since, thread=thread)
        return str(
            Ref(conversation, found or await self._posted(conversation, card, mark, thread), thread)
        )

    async def find(self, card: Card) -> str:
        """Where a card is that an earlier attempt has posted; empty: none has.

        Raises:
            ChannelError: not now.
            Undeliverable: never; it says what to do.
        """
        conversation = await self.api.conversation(self.channel)
        thread = _thread_of(card, conversation)
        since = card.asked_at - _EARLIER
        ts = await self.api.find(conversation, Mark(CARD, card.key), since=since, thread=thread)
        return str(Ref(conversation, ts, thread)) if ts else ""

    async def update(self, ref: str, card: Card) -> None:
        """Show the current state of an open card. Raises ChannelError, Undeliverable."""
        at = ref_of(ref)
        if not at.thread:  # a reply shows what was true when it was sent
            await self._rewrite(at, card)

    async def close(self, ref: str, card: Card) -> None:
        """Show how it ended, without buttons; then, once, what became of the run.

        Raises ChannelError, Undeliverable.
        """
        at = ref_of(ref)
        if at.thread:
            return
        await self._rewrite(at, card)
        if card.run_status:
            await self._tell_result(at, card)

    async def listen(self, desk: Desk) -> None:
        """Hand in what people say in Slack, until cancelled.

        Raises:
            Undeliverable: a token or a package is missing, or Slack refuses it.
        """
        if lacks := self.missing():
            raise Undeliverable(f"Slack needs {lacks}")
        from .slack_socket import serve  # noqa: PLC0415  loads Slack's packages

        await serve(self.api, self.channel, self.people, desk)

    async def _posted(self, conversation: str, card: Card, mark: Mark, thread: str) -> str:
        users = self.people.users
        if thread:
            seen = bool(mentions(card, users))
            ts = await self._post(
                conversation, reply_of(card, users), mark, thread, everybody=not seen
            )
        else:
            try:
                ts = await self._post(conversation, message_of(card, users), mark)
            except TooLong:
                ts = await self._post(conversation, message_of(card, users, LEAST), mark)
        return ts

    async def _post(
        self,
        conversation: str,
        message: Message,
        mark: Mark,
        thread: str = "",
        *,
        everybody: bool = False,
    ) -> str:
        """Post a message; returns its time stamp.

        `everybody`: whether a reply in a thread is shown in the channel, too.
        """
        fields = {
            "channel": conversation,
            "text": message.text,
            "blocks": message.blocks,
            "metadata": mark.metadata(),
            "thread_ts": thread or None,
            "reply_broadcast": True if thread and everybody else None,
            "unfurl_links": False,
            "unfurl_media": False,
        }
        ts = text_of(await self.api.call("chat.postMessage", fields), "ts")
        if not ts:
            raise ChannelError("Slack did not say where it has posted the message")
        return ts

    async def _rewrite(self, at: Ref, card: Card) -> None:
        try:
            await self._update(at, card, FULL)
        except TooLong:
            await self._update(at, card, LEAST)

    async def _update(self, at: Ref, card: Card, room: Room) -> None:
        message = message_of(card, self.people.users, room)
        fields = {
            "channel": at.conversation,
            "ts": at.ts,
            "text": message.text,
            "blocks": message.blocks,
        }
        await self.api.call("chat.update", fields)

    async def _tell_result(self, at: Ref, card: Card) -> None:
        """Say once in the thread how the run ended, even if others are about to."""
        key = f"{card.run}\x1f{card.question}\x1f{card.run_status}\x1f{card.result}"
        mark = Mark(RESULT, key)
        since = card.asked_at - _EARLIER
        async with self._locks.setdefault(at, asyncio.Lock()):
            if await self.api.find(at.conversation, mark, since=since, thread=at.ts):
                return
            ours = await self._post(at.conversation, result_of(card), mark, at.ts)
            first = await self.api.find(at.conversation, mark, since=since, thread=at.ts)
        if first and first != ours:  # another worker has posted it at the same time
            await self.api.call("chat.delete", {"channel": at.conversation, "ts": ours})


def _thread_of(card: Card, conversation: str) -> str:
    """The first card on the question, below which a later one goes; empty: there is none here."""
    try:
        first = ref_of(card.first)
    except Undeliverable:
        return ""
    return (first.thread or first.ts) if first.conversation == conversation else ""
