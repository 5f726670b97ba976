"""A client's side of commands: store one in the audit trail, and wait for its outcome."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any, TypeVar

import msgspec

from ..actors.people.rota_book import StandInCircle
from ..bus.connection import Connection
from ..bus.dead import CannotRetry, NoSuchLetter
from ..bus.errors import (
    BusError,
    InvalidTicket,
    LaybyError,
    PermissionDenied,
    PublishUnconfirmed,
    StreamMissing,
)
from ..bus.leader_wait import when_led
from ..bus.reading import newest
from ..bus.requests import PubAck, Requests
from ..commands import (
    CONSUMER,
    STREAM,
    Command,
    CommandOutcome,
    CommandRefused,
    Heartbeat,
    NotDoneYet,
    NotRetryable,
    RunOver,
    command_subject,
    heartbeat_subject,
    outcome_subject,
)
from ..login import login
from ..runtime.envelope import UNREADABLE
from ..runtime.errors import InvalidSetup
from ..runtime.times import iso
from ..views.listing import Progress
from ..views.lookup import NoSuchRun

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds without a heartbeat after which a client stops waiting."""
_LOOKS = 0.7
"""Seconds after which it checks for a running worker, and for an outcome that it missed."""
_ERRORS: dict[str, type[LaybyError]] = {
    kind.__name__: kind
    for kind in (
        NoSuchRun,
        RunOver,
        NotRetryable,
        NoSuchLetter,
        CannotRetry,
        InvalidSetup,
        InvalidTicket,
        StandInCircle,
    )
}
"""What a client raises for a refusal of that name."""


def default_by(connection: Connection) -> str:
    """Who asks: the NATS user if there is one, else the login of this machine if it has one."""
    return connection.settings.owner or login() or "somebody"


class CommandSender:
    """Sends commands, and waits for their outcomes."""

    def __init__(self, connection: Connection, requests: Requests) -> None:
        self._connection = connection
        self._requests = requests
        self._names = requests.names

    async def command(
        self,
        verb: str,
        command: Command,
        *,
        by: str | None,
        patience: float = PATIENCE,
        progress: Progress | None = None,
    ) -> CommandOutcome:
        """Have a worker do something, and return once it has.

        Args:
            verb: What.
            command: To what, and why.
            by: Who asks; None: the NATS user, or else the login of this machine.
            patience: Seconds without a heartbeat after which it stops waiting.
            progress: Called now and then with how many runs were handled.

        Raises:
            NotDoneYet: it is stored, and is done once a worker starts.
            InvalidTicket: `by` cannot be a name.
            CommandRefused: a worker refused it; known reasons have their own error, as `RunOver`.
            PermissionDenied: this user may not command that, or not in this name.
        """
        who = by or default_by(self._connection)
        entry = msgspec.structs.replace(command, asked_at=iso(time.time()))
        subject = command_subject(self._names, verb, who)
        async with self._subscribed(who) as messages:
            ack = await self._stored(subject, verb, who, entry)
            outcome = await self._outcome(who, ack.seq, messages, patience, progress)
        if outcome.outcome != "done":
            raise _ERRORS.get(outcome.error, CommandRefused)(outcome.reason)
        return outcome

    @contextlib.asynccontextmanager
    async def _subscribed(self, who: str) -> AsyncGenerator[asyncio.Queue[Any]]:
        """The messages about this person's commands; none if the server denies the subscription."""
        messages: asyncio.Queue[Any] = asyncio.Queue()

        async def receive(message: Any) -> None:
            messages.put_nowait(message)

        nc = self._connection.nc
        subjects = (
            heartbeat_subject(self._names, who, "*"),
            outcome_subject(self._names, who, "*"),
        )
        subs = [await nc.subscribe(subject, cb=receive) for subject in subjects]
        try:
            await nc.settle()
            yield messages
        finally:
            for sub in subs:
                await sub.unsubscribe()

    async def _stored(self, subject: str, verb: str, who: str, command: Command) -> PubAck:
        try:
            store = partial(self._requests.store, subject, msgspec.json.encode(command))
            return await when_led(self._requests, subject, store)
        except StreamMissing:
            raise StreamMissing(
                f"no stream {self._names.stream(STREAM)} takes commands here: run "
                "`layby provision APP` with this release, or start a worker of it"
            ) from None
        except PermissionDenied as error:
            raise _refused(error, verb, who) from None
        except PublishUnconfirmed:
            denied = self._connection.last_permission_error(subject)
            if denied is None:
                raise
            raise _refused(denied, verb, who) from None

    async def _outcome(
        self,
        who: str,
        seq: int,
        messages: asyncio.Queue[Any],
        patience: float,
        progress: Progress | None,
    ) -> CommandOutcome:
        now, subject = asyncio.get_running_loop().time, outcome_subject(self._names, who, seq)
        until = now() + patience
        look = now() + min(_LOOKS, patience)
        while True:
            message = await _next(messages, look - now())
            overdue = now() >= look  # even if messages keep coming
            # A message is only a hint: the stream alone has the outcome.
            hinted = overdue or message is None or message.subject == subject
            if hinted and (outcome := await self._stored_outcome(who, seq)):
                return outcome
            if overdue:
                idle = await self._nobody_is_up(seq)
                if idle or now() >= until:
                    raise self._not_done(seq, idle=idle)
                look = min(now() + _LOOKS, until)
            if message is not None and message.subject == heartbeat_subject(self._names, who, seq):
                until = now() + max(patience, PATIENCE)
                if progress is not None and (sign := _read(message.data, Heartbeat)) is not None:
                    progress(sign.done)

    async def _stored_outcome(self, who: str, seq: int) -> CommandOutcome | None:
        """The stored outcome, in case its message was lost or denied."""
        subject = outcome_subject(self._names, who, seq)
        try:
            found = await newest(self._requests, self._names.stream(STREAM), [subject])
        except BusError:
            return None
        return _read(found[0].data, CommandOutcome) if found else None

    async def _nobody_is_up(self, seq: int) -> bool:
        """Whether no worker takes commands, as far as this user can see."""
        try:
            info = await self._requests.api(
                f"CONSUMER.INFO.{self._names.stream(STREAM)}.{CONSUMER}"
            )
        except BusError:
            return False
        busy = info.get("num_waiting") or info.get("num_ack_pending")
        return not busy and info["delivered"]["stream_seq"] < seq

    @staticmethod
    def _not_done(seq: int, *, idle: bool) -> NotDoneYet:
        when = "no worker is up: it" if idle else "no worker has reported its outcome yet; it"
        return NotDoneYet(
            f"the command is stored as number {seq}, and {when} will be done when one "
            f"{'starts' if idle else 'gets to it'}. Do not send it again; `layby audit` shows it",
            seq,
        )


async def _next(messages: asyncio.Queue[Any], within: float) -> Any:
    """The next message; None if none arrives in so many seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(0.0, within)):
            return await messages.get()
    return None


def _read(data: bytes, kind: type[T]) -> T | None:
    """A message's body; None if it is malformed."""
    try:
        return msgspec.json.decode(data, type=kind)
    except UNREADABLE:
        return None


def _refused(error: PermissionDenied, verb: str, who: str) -> PermissionDenied:
    """Why the server does not accept this command from this user."""
    return PermissionDenied(
        f"this user may not command `{verb}` in the name of {who!r}: log in as somebody who may, "
        f"or give the name that the server allows you with --as ({error.subject})",
        subject=error.subject,
    )
