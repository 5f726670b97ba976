"""A client's end of commands: store one in the trail, and wait for what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from typing import Any, TypeVar

import msgspec

from .bus.connection import Connection
from .bus.dead import CannotRetry, NoSuchLetter
from .bus.errors import (
    BusError,
    InvalidTicket,
    LaybyError,
    PermissionDenied,
    PublishUnconfirmed,
    StreamMissing,
)
from .bus.reading import newest
from .bus.requests import PubAck, Requests
from .commands import (
    CONSUMER,
    STREAM,
    Command,
    CommandRefused,
    NotDoneYet,
    NotRetryable,
    Outcome,
    RunOver,
    Sign,
    command_subject,
    outcome_subject,
    sign_subject,
)
from .listing import Progress
from .login import login
from .lookup import NoSuchRun
from .runtime.errors import InvalidSetup
from .runtime.times import iso

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds without a sign of work after which a client waits no longer."""
_LOOKS = 0.7
"""Seconds after which it looks whether a worker is up, and whether it has missed the outcome."""
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
    )
}
"""What a client raises for a refusal of that name."""


def default_by(connection: Connection) -> str:
    """Who asks: the NATS user if there is one, else the login of the machine if it has one."""
    return connection.settings.owner or login() or "somebody"


class CommandDesk:
    """Sends commands, and waits for what came of them."""

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
    ) -> Outcome:
        """Have a worker do something, and return once it has.

        Args:
            verb: What.
            command: To what, and why.
            by: Who asks; None: the NATS user, or else the machine's login.
            patience: Seconds without a sign of work after which this waits no longer.
            progress: Is told now and then how many runs were dealt with.

        Raises:
            NotDoneYet: it is stored, and will be done when a worker starts.
            InvalidTicket: `by` can be nobody's name.
            CommandRefused: it was not done; or what it was refused for, `RunOver` for instance.
            PermissionDenied: this user may not command that, or not in this name.
        """
        who = by or default_by(self._connection)
        entry = msgspec.structs.replace(command, asked_at=iso(time.time()))
        subject = command_subject(self._names, verb, who)
        async with self._hearing(who) as heard:
            ack = await self._stored(subject, verb, who, entry)
            outcome = await self._outcome(who, ack.seq, heard, patience, progress)
        if outcome.outcome != "done":
            raise _ERRORS.get(outcome.error, CommandRefused)(outcome.reason)
        return outcome

    @contextlib.asynccontextmanager
    async def _hearing(self, who: str) -> AsyncGenerator[asyncio.Queue[Any]]:
        """Hear of this person's commands while the block is open; deaf where that is denied."""
        heard: asyncio.Queue[Any] = asyncio.Queue()

        async def receive(message: Any) -> None:
            heard.put_nowait(message)

        nc = self._connection.nc
        subjects = (sign_subject(self._names, who, "*"), outcome_subject(self._names, who, "*"))
        subs = [await nc.subscribe(subject, cb=receive) for subject in subjects]
        try:
            await nc.flush(2)
            yield heard
        finally:
            for sub in subs:
                await sub.unsubscribe()

    async def _stored(self, subject: str, verb: str, who: str, command: Command) -> PubAck:
        try:
            return await self._requests.store(subject, msgspec.json.encode(command))
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
        heard: asyncio.Queue[Any],
        patience: float,
        progress: Progress | None,
    ) -> Outcome:
        now = asyncio.get_running_loop().time
        until = now() + patience
        while True:
            try:
                async with asyncio.timeout(min(_LOOKS, max(0.0, until - now()))):
                    message = await heard.get()
            except TimeoutError:
                if outcome := await self._looked_up(who, seq):
                    return outcome
                idle = await self._nobody_is_up(seq)
                if idle or now() >= until:
                    raise self._not_done(seq, idle=idle) from None
                continue
            if message.subject == outcome_subject(self._names, who, seq):
                # What is heard is a hint: only the stream says what came of it.
                if outcome := await self._looked_up(who, seq):
                    return outcome
            elif message.subject == sign_subject(self._names, who, seq):
                until = now() + max(patience, PATIENCE)
                if progress is not None and (sign := _read(message.data, Sign)) is not None:
                    progress(sign.done)

    async def _looked_up(self, who: str, seq: int) -> Outcome | None:
        """The outcome that is stored, where its message was lost or may not be heard."""
        subject = outcome_subject(self._names, who, seq)
        try:
            found = await newest(self._requests, self._names.stream(STREAM), [subject])
        except BusError:
            return None
        return _read(found[0].data, Outcome) if found else None

    async def _nobody_is_up(self, seq: int) -> bool:
        """Whether no worker asks for commands, as far as this user may see."""
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
        when = "no worker is up: it" if idle else "no worker has said yet what came of it; it"
        return NotDoneYet(
            f"the command is stored as number {seq}, and {when} will be done when one "
            f"{'starts' if idle else 'gets to it'}. Do not send it again; `layby audit` shows it"
        )


def _read(data: bytes, kind: type[T]) -> T | None:
    """A message's body; None where somebody else wrote it."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _refused(error: PermissionDenied, verb: str, who: str) -> PermissionDenied:
    """Why the server takes no such command of this user."""
    return PermissionDenied(
        f"this user may not command `{verb}` in the name of {who!r}: log in as somebody who may, "
        f"or give the name that the server allows you with --as ({error.subject})",
        subject=error.subject,
    )
