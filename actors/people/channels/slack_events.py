"""What comes from Slack, given to those who handle it.

Each message is acknowledged within three seconds, before it is handled: Slack shows people an error
otherwise, and sends it again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Mapping
from typing import Any, Final

import structlog
from slack_bolt.app.async_app import AsyncApp

from ....bus.errors import BusError
from ....runtime.channel import ChannelError
from .slack_api import SlackApi, quiet
from .slack_button import PREFIX
from .slack_desk import Reception, Speaker, Submitted, origin_of, speaker_of
from .slack_json import text_of
from .slack_modal import CALLBACK, block_id
from .slack_receipt import ELSEWHERE
from .slack_replies import Replies

log = structlog.get_logger("layby.slack")

Ack = Any
"""Bolt's way to acknowledge."""

_OURS: Final = re.compile(f"^{re.escape(PREFIX)}")
_AT_ONCE: Final = 32
_FINISH: Final = 4.0
"""Seconds that replies to people may still take at the end."""
_AGAIN: Final = Submitted({block_id(0): "Slack cannot be asked who you are. Try again."})


class Events:
    """Handles what comes from Slack for the channels that listen."""

    def __init__(self) -> None:
        self.members: list[Reception] = []
        """The channels that listen."""
        self._replies = Replies()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._working: set[asyncio.Task[Any]] = set()

    def app(self, api: SlackApi) -> AsyncApp:
        """A Bolt app that gives everything to this. Raises ChannelError."""
        # Bolt gives the logger of the app's name the level of `logger`: not to all of ours.
        app = AsyncApp(client=api.client(), logger=quiet, name=quiet.name)

        async def press(ack: Ack, body: dict[str, Any]) -> None:
            await ack()
            await self._handle(self._pressed(body), "press")

        async def submit(ack: Ack, body: dict[str, Any]) -> None:
            await self._submitted(ack, body)

        async def reply(event: dict[str, Any], body: dict[str, Any]) -> None:
            await self._handle(self._replied(event, body), "reply")

        async def fail(error: Exception) -> None:
            log.warning("slack.failed", doing="handle", error=type(error).__name__)

        app.action(_OURS)(press)
        app.view(CALLBACK)(submit)
        app.event("message")(reply)
        app.error(fail)
        return app

    async def finish(self) -> None:
        """Let what is being handled end, for some seconds."""
        if self._working:
            await asyncio.wait(self._working, timeout=_FINISH)

    async def _pressed(self, body: Mapping[str, Any]) -> None:
        speaker = speaker_of(body)
        if (at := self._at(speaker)) is not None:
            await at.pressed(body)
        elif self.members:
            await self.members[0].whisper(speaker, ELSEWHERE)

    async def _submitted(self, ack: Ack, body: Mapping[str, Any]) -> None:
        origin = origin_of(body)
        speaker = speaker_of(body)._replace(conversation=origin.conversation if origin else "")
        at = self._at(speaker)
        if origin is None or at is None:
            await ack()
            return
        try:
            form = await at.submitted(body, origin)
        except ChannelError:
            form = _AGAIN
        if form.errors:
            await ack(response_action="errors", errors=form.errors)
            return
        await ack()
        await self._handle(at.hand_in(form), "submit")

    async def _replied(self, event: Mapping[str, Any], body: Mapping[str, Any]) -> None:
        speaker = Speaker(speaker_of(event).user, text_of(event, "channel"))
        if (at := self._at(speaker)) is not None:
            await self._replies.take(event, text_of(body, "team_id"), at)

    async def _handle(self, work: Awaitable[None], doing: str) -> None:
        """Handle something that was acknowledged; nothing that goes wrong stops anything else."""
        task = asyncio.current_task()
        if task is not None:
            self._working.add(task)
            task.add_done_callback(self._working.discard)
        try:
            async with self._slots:
                await work
        except (ChannelError, BusError) as error:
            log.warning("slack.failed", doing=doing, error=str(error))

    def _at(self, speaker: Speaker) -> Reception | None:
        """The member that takes what is said in a channel: one that knows the person, if any."""
        here = [each for each in self.members if each.conversation == speaker.conversation]
        known = (each for each in here if speaker.user.id in each.people.by_id)
        return next(known, here[0] if here else None)
