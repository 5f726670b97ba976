"""The part of a worker that shows questions on channels."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog

from ..actors.people.channel_calls import ChannelCalls
from ..actors.people.human import Human
from ..actors.people.notices import Notices
from ..actors.people.notifier import Notifier
from ..actors.people.open_questions import OpenQuestions
from ..actors.people.undelivered import GivingUp
from ..actors.people.unserved import UNSERVED, Unserved
from ..bus.dead import DeadLetters
from ..bus.mailbox import Delivery
from ..bus.requests import Requests
from ..bus.timers import Timers
from ..mailboxes import Duty, cards_of
from ..runtime.channel import Channel
from ..runtime.host import Host
from ..runtime.ports import Due
from ..runtime.role import Role
from ..runtime.worker import Handle

log = structlog.get_logger("layby.channel")


class Notifiers:
    """The notifiers of an app's channels, as far as they can work in this process."""

    def __init__(
        self, host: Host, requests: Requests, timers: Timers, listed: OpenQuestions
    ) -> None:
        self._host = host
        self._requests = requests
        self._timers = timers
        self._listed = listed
        self._dead = DeadLetters(requests)
        self._calls: dict[int, ChannelCalls] = {}
        """By the identity of the channel: roles that share one share its turns and its rests."""

    def handlers(self, roles: Iterable[Role], human: Callable[[str], Human]) -> dict[Duty, Handle]:
        """A handler for each channel of each role; none for one that lacks something here."""
        return {
            cards_of(role.name, channel.name): self._notifier(role, channel, human).take
            for role in roles
            for channel in role.channels
            if _is_complete(role, channel)
        }

    def _notifier(self, role: Role, channel: Channel, human: Callable[[str], Human]) -> Notifier:
        names = [each.name for each in role.channels]
        giving_up = GivingUp(role.name, names, human(role.name).rungs, self._listed, self._dead)
        calls = self._calls.setdefault(id(channel), ChannelCalls(channel))
        return Notifier(
            role,
            calls,
            self._host,
            names=self._requests.names,
            timers=self._timers,
            listed=self._listed,
            giving_up=giving_up,
        )


def _is_complete(role: Role, channel: Channel) -> bool:
    lacks = channel.missing()
    if lacks:
        log.warning("channel.unavailable", role=role.name, channel=channel.name, lacks=lacks)
    return not lacks


def on_held(notices: Notices, unserved: Unserved, due_in: Callable[[Delivery], Due]) -> Handle:
    """A handler of cards that should be sent, or have been, of any app in the account."""

    async def handle(delivery: Delivery) -> None:
        due = due_in(delivery)
        if (early := due.at - delivery.at) > 0:
            await delivery.nak(early)  # the server's clock was changed
            return
        if due.kind == UNSERVED:
            await unserved.due(due, delivery)
            return
        await notices.wake(due)
        await delivery.ack()

    return handle
