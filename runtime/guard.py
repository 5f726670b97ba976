"""Between a mailbox and a handler: outages are waited for, what always fails is given up."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from ..bus.bounded import Bounded
from ..bus.dead import DeadLetters
from ..bus.errors import (
    CopyLags,
    Erased,
    KeyMissing,
    NoLeader,
    NoSubject,
    NotConnected,
    PermissionDenied,
    PublishUnconfirmed,
    StoreFull,
    StreamMissing,
    ValueLost,
)
from ..bus.mailbox import Delivery
from .errors import Interrupted, LaybyError
from .failure import told

log = structlog.get_logger("layby.host")

OUTAGES = (
    CopyLags,
    NoLeader,
    NotConnected,
    PermissionDenied,
    PublishUnconfirmed,
    StoreFull,
    StreamMissing,
    Interrupted,
)
"""What a message is kept for, however long it lasts."""
_GIVE_UP = 6
"""Failures of a message's handler after which its error counts as permanent."""
_TOLD_AGAIN = 30.0
"""Seconds after which it is said again that the store is full."""
_MAKE_ROOM = (
    "make room, and everything goes on: raise the limit that `layby doctor` names, remove old runs "
    "with `layby purge`, or give the server more disk"
)
_REMEMBERED = 10_000
"""Messages whose failures are counted; another worker may have handled them since."""
E = TypeVar("E", bound=BaseException)
_Key = tuple[str, str, int]
"""A mailbox, and the stream and sequence of a message in it."""


class Hopeless(LaybyError):
    """A message that no repetition can help: it goes to the dead-letter stream at once."""


class Guard:
    """Hands deliveries to their handlers, and decides what a failure means for the message."""

    def __init__(
        self, dead: DeadLetters, fail_run: Callable[[Delivery, str], Awaitable[None]]
    ) -> None:
        self._dead = dead
        self._fail_run = fail_run
        """Ends a run, with the reason, whose mail is given up."""
        self.on_erased: list[Callable[[str], Awaitable[None]]] = []
        """Told of a run, by its id, that turned out to be erased; repeatable."""
        self._failures: Bounded[_Key, int] = Bounded(_REMEMBERED)
        """How often handlers have failed for a message; crashes and outages do not count."""
        self._told_full = -_TOLD_AGAIN
        self._under_way: set[_Key] = set()
        """The messages in our hands: none is handled twice at once here."""

    async def take(
        self, mailbox: str, delivery: Delivery, handle: Callable[[Delivery], Awaitable[None]]
    ) -> None:
        """Handle a delivery; give it up with its reason when it fails again and again."""
        key = (mailbox, delivery.stream, delivery.seq)
        if key in self._under_way:
            # It is still being handled here: the server forgot, or we were silent for too long.
            await delivery.nak(1.0)
            return
        self._under_way.add(key)
        try:
            await self._try(key, delivery, handle)
        finally:
            self._under_way.discard(key)

    async def _try(
        self, key: _Key, delivery: Delivery, handle: Callable[[Delivery], Awaitable[None]]
    ) -> None:
        mailbox = key[0]
        try:
            await (handle if delivery.is_text else _refuse)(delivery)
            self._failures.pop(key)
        except Erased as error:
            # Nobody can go on with it: what it was about is gone with its key.
            log.warning("delivery.erased", mailbox=mailbox, run=error.run, why=str(error))
            for tidy in self.on_erased:
                await tidy(error.run)
            await delivery.ack()
        except KeyMissing as error:
            # Another worker may hold the key. It is no fault of the message, however often.
            log.warning("delivery.encrypted", mailbox=mailbox, run=delivery.run, why=str(error))
            await delivery.nak(min(30.0, 0.25 * 2 ** min(delivery.num_delivered, 7)))
        except OUTAGES as error:
            if lost := _cause(error, ValueLost):
                await self._count(key, delivery, lost)
            else:
                await self._postpone(mailbox, delivery, error)
        except Exception as error:  # noqa: BLE001  counted, told and, at last, given up
            await self._count(key, delivery, error)

    async def _count(self, key: _Key, delivery: Delivery, error: Exception) -> None:
        """Have a message that failed tried again, or give it up."""
        mailbox = key[0]
        log.warning(
            "delivery.failed",
            mailbox=mailbox,
            subject=delivery.subject,
            num_delivered=delivery.num_delivered,
            error=told(error),
            exc_info=None if isinstance(error, LaybyError) else error,
        )
        failures = (self._failures.get(key) or 0) + 1
        if failures < _GIVE_UP and not isinstance(error, Hopeless | NoSubject):
            self._failures.put(key, failures, 1)
            await delivery.nak(min(10.0, 0.1 * 2**failures))
            return
        try:
            await self._give_up(mailbox, delivery, error)
        except OUTAGES as outage:
            await self._postpone(mailbox, delivery, outage)
        else:
            self._failures.pop(key)

    async def _postpone(self, mailbox: str, delivery: Delivery, error: BaseException) -> None:
        if full := _cause(error, StoreFull):
            # It goes on when somebody has made room; asking often would not help.
            self._tell_full(full)
            await delivery.nak(min(10.0, 0.5 * 2 ** min(delivery.num_delivered, 5)))
        elif denied := _cause(error, PermissionDenied):
            # It goes on when somebody has changed the rights; until then not too often.
            log.warning("delivery.postponed", mailbox=mailbox, error=str(denied))
            await delivery.nak(min(30.0, 0.5 * 2 ** min(delivery.num_delivered, 6)))
        else:
            log.info("delivery.postponed", mailbox=mailbox, error=str(error))
            await delivery.nak(0.5)

    def _tell_full(self, error: StoreFull) -> None:
        """Log that nothing can be stored, once in a while and not for each message."""
        now = time.monotonic()
        if now >= self._told_full + _TOLD_AGAIN:
            self._told_full = now
            log.error("store.full", error=str(error), advice=_MAKE_ROOM)

    async def _give_up(self, mailbox: str, delivery: Delivery, error: Exception) -> None:
        of_whom = "" if isinstance(error, LaybyError) else f"{type(error).__name__}: "
        reason = f"{of_whom}{told(error)}"
        await self._dead.put(delivery, mailbox, reason)
        if delivery.run:
            await self._fail(delivery, reason)
        await delivery.term()

    async def _fail(self, delivery: Delivery, reason: str) -> None:
        """End the run of a delivery; what cannot be ended keeps no message coming back."""
        try:
            await self._fail_run(delivery, reason)
        except OUTAGES:
            raise
        except Exception as error:  # noqa: BLE001  the message is a dead letter already
            log.warning("run.not_ended", run=delivery.run, error=told(error))


async def _refuse(delivery: Delivery) -> None:
    raise Hopeless(f"its subject, {delivery.subject[:200]}, is no text: it is not UTF-8")


def _cause(error: BaseException, kind: type[E]) -> E | None:
    """The error itself, or what it was raised from, if it is of this kind."""
    found = error if isinstance(error, kind) else error.__cause__
    return found if isinstance(found, kind) else None
