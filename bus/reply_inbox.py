"""Requests and their replies on one inbox, without a task or a timer per message."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from .api_subject import mapped
from .errors import BusError, PermissionDenied, PublishUnconfirmed
from .reply_times import ReplyTimes
from .waiter import Accept, Waiter
from .wire import Message, Wire

_SWEEP = 0.1
_LONGEST_SILENCE = 1.0
"""Seconds of silence after which a read is sent again at the latest; see `ReplyTimes`.
While a stream has no leader, nobody replies to what only leaders answer; and a server that hangs
may be chosen to answer other reads, several times in a row."""


def _single(future: asyncio.Future[Any], msg: Message) -> bool:
    if not future.done():
        future.set_result(msg)
    return True


class ReplyInbox:
    """Sends requests and waits for their replies on one shared subscription.

    A lost connection immediately fails every open request with `PublishUnconfirmed`: whether a
    message was stored is then unknown, and the caller reads the stream to find out.
    """

    def __init__(self, nc: Wire) -> None:
        self.nc = nc
        """The connection."""
        self._inbox = ""
        self._inbox_denied: PermissionDenied | None = None
        """Why no reply can come; None: replies can come."""
        self._tokens = itertools.count()
        self._reply_times = ReplyTimes()
        self._open: dict[int, Waiter] = {}
        self._sweeper: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    async def start(self) -> None:
        """Subscribe to the inbox."""
        inbox = await self.nc.open_inbox(self._on_reply, below=".*")
        self._inbox = inbox.subject.removesuffix("*")
        self._sweeper = self._loop.create_task(self._sweep(), name="requests.sweep")

    async def stop(self) -> None:
        """Fail open requests and stop the sweeper."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            # A plain `await` could not tell its cancellation from ours.
            await asyncio.wait({self._sweeper})
        self.fail_all("the connection is closing")

    def fail_all(self, why: str) -> None:
        """Fail every open request, because the connection is gone."""
        waiters, self._open = list(self._open.values()), {}
        for waiter in waiters:
            waiter.fail(PublishUnconfirmed(f"no reply from {waiter.subject!r}: {why}"))
        self._inbox_denied = None  # the next connection may have other permissions

    def fail_denied(self, error: PermissionDenied) -> None:
        """Fail open requests on a refused subject: the server does not reply to them.

        If the refused subject is our inbox, no request can get a reply.
        """
        if self._inbox and error.subject.lower().startswith(self._inbox.lower()):
            self._inbox_denied = error
            for waiter in list(self._open.values()):
                waiter.fail(error)
            return
        for waiter in list(self._open.values()):
            subject = waiter.subject
            # The client reports the subject in lower case, and after any mapping of the account.
            if error.subject.lower() in {subject.lower(), mapped(subject).lower()}:
                words = str(error).replace(error.subject, subject)
                waiter.fail(PermissionDenied(words, subject=subject))

    async def request(
        self,
        subject: str,
        data: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float = 5.0,  # noqa: ASYNC109
    ) -> Message:
        """Send one request and return the reply.

        Raises:
            NotConnected: nothing was sent.
            PublishUnconfirmed: sent, but no reply came in time.
            PermissionDenied: this user may not use the subject.
            PayloadTooLarge: the server's limit is below the size of `data`.
        """
        if self._inbox_denied is not None:
            raise self._inbox_denied
        token = next(self._tokens)
        future: asyncio.Future[Message] = self._loop.create_future()
        self._open[token] = Waiter(subject, future, self._loop.time() + timeout, _single)
        try:
            self.nc.send(subject, data, f"{self._inbox}{token}", headers)
            return await future
        finally:
            self._open.pop(token, None)

    async def read(
        self,
        subject: str,
        data: bytes = b"",
        *,
        timeout: float = 5.0,  # noqa: ASYNC109
        accept: Callable[[], Accept] = lambda: _single,
    ) -> Any:
        """Send a request that changes nothing, and send it again while nothing comes.

        Each attempt has its own replies, and `accept` makes what handles them; the first attempt
        that is complete counts. Raises what `request` raises.
        """
        if self._inbox_denied is not None:
            raise self._inbox_denied
        future: asyncio.Future[Any] = self._loop.create_future()
        deadline = self._loop.time() + timeout
        tokens: list[int] = []

        def send() -> None:
            token = next(self._tokens)
            tokens.append(token)
            waiter = self._open[token] = Waiter(subject, future, deadline, accept())
            pause = min(_LONGEST_SILENCE, self._reply_times.patience * 2 ** len(tokens) / 2)
            waiter.sent_at = self._loop.time()
            waiter.again, waiter.ask_at = send, waiter.sent_at + pause
            self.nc.send(subject, data, f"{self._inbox}{token}")

        try:
            send()
            return await future
        finally:
            for token in tokens:
                self._open.pop(token, None)

    async def publish(
        self,
        subject: str,
        data: bytes = b"",
        headers: Mapping[str, str] | None = None,
        reply: str = "",
    ) -> None:
        """Publish without waiting for a reply. Raises NotConnected, PayloadTooLarge."""
        self.nc.send(subject, data, reply, headers)

    def _on_reply(self, msg: Message) -> None:
        digits = msg.subject[len(self._inbox) :]
        token = int(digits) if digits.isdecimal() else -1
        waiter = self._open.get(token)
        if waiter is None:
            return
        if waiter.sent_at:
            self._reply_times.note(self._loop.time() - waiter.sent_at)
            waiter.sent_at = 0.0
        if waiter.accept(waiter.future, msg):
            self._open.pop(token, None)
            return
        now = self._loop.time()
        waiter.go_on(now)
        if waiter.again is not None:
            waiter.ask_at = now + _LONGEST_SILENCE

    def _give_up(self, late: list[int]) -> None:
        """Fail requests whose replies are late, unless another attempt gets some."""
        waiters = [self._open.pop(token) for token in late]
        going_on = {each.future for each in self._open.values()}
        for waiter in waiters:
            if waiter.future not in going_on:
                waiter.fail(PublishUnconfirmed(f"no reply from {waiter.subject!r} in time"))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            now = self._loop.time()
            if late := [token for token, each in self._open.items() if each.deadline < now]:
                self._give_up(late)
            self._ask_again(now)

    def _ask_again(self, now: float) -> None:
        for waiter in list(self._open.values()):
            if waiter.again is not None and waiter.ask_at < now and not waiter.future.done():
                again, waiter.again = waiter.again, None
                with suppress(BusError):
                    again()
