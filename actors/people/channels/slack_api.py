"""Slack's Web API, as far as cards need it."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ....bus.install import installing
from ....runtime.channel import ChannelError, Undeliverable
from .slack_errors import SOCKET, explained, unreachable
from .slack_json import as_object, object_of, objects_of, text_of
from .slack_parts import Block

if TYPE_CHECKING:  # loading the package takes a third of a second
    from slack_sdk.web.async_client import AsyncWebClient

BOT_TOKEN: Final = "SLACK_BOT_TOKEN"  # noqa: S105  the name of a variable
APP_TOKEN: Final = "SLACK_APP_TOKEN"  # noqa: S105  the name of a variable
CARD: Final = "layby_card"
"""In a message's metadata: it is a card."""
RESULT: Final = "layby_result"
"""In a message's metadata: it says how a run ended."""
_PACKAGES: Final = ("slack_sdk", "slack_bolt", "aiohttp")
_ID: Final = re.compile(r"[CDG][A-Z0-9]{5,}")
_SECONDS: Final = 8
_PAGE: Final = 200
_PAGES: Final = 20

quiet: Final = logging.getLogger("layby.slack.packages")
"""The logger of Slack's packages: silent, as they log what people write, and secret addresses.
What matters is raised, or logged by us."""
quiet.setLevel(logging.CRITICAL + 1)
quiet.propagate = False


class Identity(NamedTuple):
    """Who the app is in its workspace."""

    team: str
    user: str
    bot: str


class Mark(NamedTuple):
    """Identifies a message of ours: a kind, and a text that no other of this kind has."""

    kind: str
    key: str
    target: str = ""
    """What the message is about, for replies to it."""

    def metadata(self) -> Block:
        """As the metadata of a message: without characters that Slack might escape."""
        payload = {"key": self.digest, **({"target": self.target} if self.target else {})}
        return {"event_type": self.kind, "event_payload": payload}

    @property
    def digest(self) -> str:
        """The key in letters and digits."""
        return hashlib.sha256(self.key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class SlackApi:
    """One app in one workspace. Its tokens are read when they are needed, and shown nowhere."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self._identity: dict[str, Identity] = {}
        """By token."""
        self._conversations: dict[str, str] = {}
        """Ids of channels by name."""

    @staticmethod
    def missing() -> str:
        """What this process lacks to send; empty: nothing."""
        if any(importlib.util.find_spec(name) is None for name in _PACKAGES):
            return f"Slack's packages: {installing('slack')}"
        return "" if os.environ.get(BOT_TOKEN) else f"{BOT_TOKEN}: set it to the app's bot token"

    def client(self, token: str = "") -> AsyncWebClient:
        """The SDK's client. Raises ChannelError if something is missing.

        `token`: a token other than the bot's.
        """
        if lacks := self.missing():
            raise ChannelError(f"Slack needs {lacks}")
        from slack_sdk.web.async_client import AsyncWebClient  # noqa: PLC0415

        return AsyncWebClient(
            token or os.environ[BOT_TOKEN],
            base_url=self.base_url,
            timeout=_SECONDS,
            logger=quiet,
            retry_handlers=[],  # a message that was sent, but not confirmed, would be sent twice
        )

    async def call(self, method: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Call a method that changes something. Raises ChannelError, Undeliverable."""
        given = {key: value for key, value in fields.items() if value is not None}
        return await self._called(self.client(), method, json=given)

    async def read(self, method: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Call a method that reads. Raises ChannelError, Undeliverable."""
        params = {key: value for key, value in fields.items() if value is not None}
        return await self._called(self.client(), method, http_verb="GET", params=params)

    async def socket_url(self, token: str) -> str:
        """Where to connect to for what people say; the address is a secret, and works once."""
        found = await self._called(self.client(token), SOCKET)
        return text_of(found, "url")

    @staticmethod
    async def _called(client: AsyncWebClient, method: str, **options: Any) -> dict[str, Any]:
        import aiohttp  # noqa: PLC0415  comes with the SDK
        from slack_sdk.errors import SlackApiError, SlackClientError  # noqa: PLC0415

        try:
            response = await client.api_call(method, **options)
        except SlackApiError as error:
            found: Any = error.response
            raise explained(
                method,
                _number(getattr(found, "status_code", getattr(found, "status", 0))),
                getattr(found, "headers", None) or {},
                getattr(found, "data", None),
            ) from None
        except (
            SlackClientError,
            aiohttp.ClientError,
            OSError,
            ValueError,
            AttributeError,
        ) as error:
            raise unreachable(method, error) from None  # without the request, which has the token
        return as_object(response.data)

    async def identity(self) -> Identity:
        """Who the app is."""
        token = os.environ.get(BOT_TOKEN, "")
        if token not in self._identity:
            found = await self.call("auth.test", {})
            self._identity = {
                token: Identity(
                    text_of(found, "team_id"), text_of(found, "user_id"), text_of(found, "bot_id")
                )
            }
        return self._identity[token]

    async def conversation(self, channel: str) -> str:
        """The id of a channel. Raises Undeliverable if the app sees no channel of this name."""
        if _ID.fullmatch(channel):
            return channel
        if channel not in self._conversations:
            self._conversations[channel] = await self._id_of(channel.removeprefix("#"))
        return self._conversations[channel]

    async def _id_of(self, name: str) -> str:
        fields = {
            "types": "public_channel,private_channel",
            "exclude_archived": "true",
            "limit": 1_000,
        }
        async with aclosing(self._pages("conversations.list", fields, "channels")) as found:
            async for each in found:
                if each.get("name") == name and text_of(each, "id"):
                    return text_of(each, "id")
        raise Undeliverable(
            f"Slack has no channel #{name} that the app can see: check its name, invite the app "
            "there (/invite @layby), or give the channel's id instead"
        )

    async def find(self, conversation: str, mark: Mark, *, since: float, thread: str = "") -> str:
        """The time stamp of a message of ours; empty: there is none.

        Args:
            conversation: The id of the channel.
            mark: What it is marked with.
            since: Earlier messages, by Unix seconds, are not looked at.
            thread: The message below which to look; empty: in the channel.
        """
        fields = {
            "channel": conversation,
            "include_all_metadata": "true",
            "limit": _PAGE,
            "oldest": f"{max(since, 0.0):.6f}",
            **({"ts": thread} if thread else {}),
        }
        method = "conversations.replies" if thread else "conversations.history"
        ours = await self.identity()
        async with aclosing(self._pages(method, fields, "messages")) as found:
            async for each in found:
                if is_ours(each, ours) and payload_of(each, mark.kind).get("key") == mark.digest:
                    return text_of(each, "ts")
        return ""

    async def message(self, conversation: str, ts: str) -> dict[str, Any]:
        """The first message of a thread, with its metadata; empty: it is not ours, or gone."""
        fields = {"channel": conversation, "ts": ts, "include_all_metadata": "true", "limit": 1}
        ours = await self.identity()
        for each in objects_of(await self.read("conversations.replies", fields), "messages"):
            if each.get("ts") == ts and is_ours(each, ours):
                return each
        return {}

    async def _pages(
        self, method: str, fields: Mapping[str, Any], key: str
    ) -> AsyncGenerator[dict[str, Any]]:
        cursor = ""
        for _ in range(_PAGES):
            found = await self.read(method, {**fields, **({"cursor": cursor} if cursor else {})})
            for each in objects_of(found, key):
                yield each
            cursor = text_of(object_of(found, "response_metadata"), "next_cursor")
            if not cursor:
                return

    async def whisper(self, conversation: str, user: str, text: str, thread: str = "") -> None:
        """Tell one person something that others do not see. `text` is escaped already."""
        block = {"type": "section", "text": {"type": "plain_text", "text": text, "emoji": False}}
        fields = {
            "channel": conversation,
            "user": user,
            "text": text,
            "blocks": [block],
            "thread_ts": thread or None,
        }
        await self.call("chat.postEphemeral", fields)


def is_ours(message: Mapping[str, Any], ours: Identity) -> bool:
    """Whether the app itself has sent a message: others can use the same metadata."""
    bot, user = message.get("bot_id"), message.get("user")
    return bool((bot and bot == ours.bot) or (user and user == ours.user))


def payload_of(message: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """What a message's metadata says, if it is of this kind."""
    metadata = object_of(message, "metadata")
    return object_of(metadata, "event_payload") if metadata.get("event_type") == kind else {}


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0
