"""The connection on which Slack sends what people say: Socket Mode, without a public address.

Slack gives each message to one of an app's connections, whichever channel it is about. So all
channels of a process that have the same token share one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

import structlog
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler

from ....runtime.channel import ChannelError, Desk, Undeliverable
from .slack_api import APP_TOKEN, SlackApi
from .slack_desk import Reception
from .slack_events import Events
from .slack_people import People

log = structlog.get_logger("layby.slack")

_PING: Final = 5.0
_LOOK: Final = 0.25
_OPEN: Final = 15.0
"""Seconds that connecting may take."""
_DOWN: Final = 15.0
"""Seconds after which a connection that the SDK does not bring back is replaced by a new one."""
_FIRST: Final = 0.5
_LONGEST: Final = 60.0


class Socket:
    """One connection, and the channels that share it."""

    def __init__(self, api: SlackApi, token: str, unused: Callable[[], None]) -> None:
        self._api = api
        self._token = token
        self._unused = unused
        self._events = Events()
        self._task: asyncio.Task[None] | None = None

    async def serve(self, member: Reception) -> None:
        """Take what people of a channel say, until cancelled. Raises Undeliverable."""
        self._events.members.append(member)
        try:
            if self._task is None:
                self._task = asyncio.create_task(self._run())
            await asyncio.wait({self._task})
            await self._task
        finally:
            self._events.members.remove(member)
            if not self._events.members and self._task is not None:
                self._unused()
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        pause = _FIRST
        try:
            while True:
                try:
                    async with self._connected() as handler:
                        log.info("slack.connected")
                        pause = _FIRST
                        await _until_down(handler)
                    why = "the connection is lost"
                except Undeliverable:
                    raise
                except ChannelError as error:
                    why = str(error)
                    pause = max(pause, error.retry_after or 0.0)
                except (OSError, TimeoutError) as error:
                    why = type(error).__name__
                log.warning("slack.disconnected", again_in=pause, error=why)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST)
        finally:
            await self._events.finish()

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncGenerator[AsyncSocketModeHandler]:
        """A new connection. Raises ChannelError, Undeliverable, TimeoutError."""
        app = self._events.app(self._api)
        url = await self._api.socket_url(self._token)
        handler = AsyncSocketModeHandler(app, self._token, ping_interval=_PING)
        client: Any = handler.client  # its methods have no types
        client.wss_uri = url
        try:
            async with asyncio.timeout(_OPEN):
                await client.connect()
            yield handler
        finally:
            await client.close()


async def _until_down(handler: AsyncSocketModeHandler) -> None:
    """Return when the connection has been down for so long that the SDK will not bring it back."""
    loop = asyncio.get_running_loop()
    seen = loop.time()
    while loop.time() - seen < _DOWN:
        if await handler.client.is_connected():
            seen = loop.time()
        await asyncio.sleep(_LOOK)


_SOCKETS: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], Socket]] = (
    WeakKeyDictionary()
)
"""The connections of each event loop, by address and token."""


async def serve(api: SlackApi, channel: str, people: People, desk: Desk) -> None:
    """Hand in what people of a channel say, until cancelled.

    Args:
        api: The app.
        channel: The channel's name or id.
        people: Who is who.
        desk: Where it is handed in.

    Raises:
        Undeliverable: a token is missing or refused, or there is no such channel.
    """
    token = os.environ.get(APP_TOKEN, "")
    if not token:
        raise Undeliverable(
            f"Slack needs {APP_TOKEN} to take answers: set it to an app-level token with the scope "
            "connections:write"
        )
    conversation = await _patiently(api, channel)
    sockets = _SOCKETS.setdefault(asyncio.get_running_loop(), {})
    key = api.base_url, token
    if key not in sockets:
        sockets[key] = Socket(api, token, unused=lambda: sockets.__delitem__(key))
    await sockets[key].serve(Reception(conversation, people, desk, api))


async def _patiently(api: SlackApi, channel: str) -> str:
    """The id of a channel, as soon as Slack can be asked. Raises Undeliverable."""
    pause = _FIRST
    while True:
        try:
            await api.identity()
            return await api.conversation(channel)
        except Undeliverable:
            raise
        except ChannelError as error:
            pause = max(pause, error.retry_after or 0.0)
            log.warning("slack.disconnected", again_in=pause, error=str(error))
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST)
