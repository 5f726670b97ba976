"""Between a mailbox and a handler: waits out outages, and gives up messages that always fail."""

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
    SecretMissing,
    StoreFull,
    StreamMissing,
    ValueLost,
)
from ..bus.mailbox import Delivery
from .errors import Gone, Interrupted, LaybyError
from .failure import message_of
from .log_throttle import LogThrottle
from .observing import UNOBSERVED, Observer

log = structlog.get_logger("layby.host")

OUTAGES = (
    CopyLags,
    Gone,
    NoLeader,
    NotConnected,
    PermissionDenied,
    PublishUnconfirmed,
    StoreFull,
    StreamMissing,
    Interrupted,
)
"""Errors after which a message is tried again, however long they last. Where a run was removed
meanwhile, the next try finds that out."""
_GIVE_UP = 6
"""Failures of a message's handler after which its error counts as permanent."""
_FULL_INTERVAL = 30.0
"""Seconds between two log lines that say that the store is full."""
_MAKE_ROOM = (
    "make room, and work continues: raise the limit that `layby doctor` names, remove old runs "
    "with `layby purge`, or give the server more disk"
)
_DEAD_LETTERS = "messages that are given up become dead letters: `layby dead list`"
_REMEMBERED = 10_000
"""Messages whose failures are counted; other workers may have handled some of them since."""
E = TypeVar("E", bound=BaseException)
_Key = tuple[str, str, int]
"""A mailbox, and the stream and sequence of a message in it."""


class PoisonMessage(LaybyError):
    """A message that can never be handled: it goes to the dead-letter stream at once."""


class DeliveryPolicy:
    """Hands deliveries to their handlers, and decides what a failure means for the message."""

    def __init__(
        self,
        dead: DeadLetters,
        fail_run: Callable[[Delivery, str], Awaitable[None]],
        observer: Observer = UNOBSERVED,
    ) -> None:
        self._dead = dead
        self._fail_run = fail_run
        """Ends the run of a message that is given up, with the reason."""
        self._observer = observer
        self.on_erased: list[Callable[[str], Awaitable[None]]] = []
        """Called with the id of a run that turned out to be erased; may be called again."""
        self._failures: Bounded[_Key, int] = Bounded(_REMEMBERED)
        """How often handlers have failed for a message; crashes and outages do not count."""
        self._throttle = LogThrottle(_log_suppressed)
        self._full_logged_at = -_FULL_INTERVAL
        self._in_progress: set[_Key] = set()
        """The messages being handled: none is handled twice at the same time here."""

    async def take(
        self, mailbox: str, delivery: Delivery, handle: Callable[[Delivery], Awaitable[None]]
    ) -> None:
        """Handle a delivery; give it up, with the reason, after repeated failures."""
        key = (mailbox, delivery.stream, delivery.seq)
        if key in self._in_progress:
            # It is still being handled here: the server forgot, or the acknowledgement is late.
            # Its handler keeps it; handing it back would give it to a second worker.
            delivery.let_go()
            return
        self._in_progress.add(key)
        try:
            await self._try(key, delivery, handle)
        finally:
            self._in_progress.discard(key)

    async def _try(
        self, key: _Key, delivery: Delivery, handle: Callable[[Delivery], Awaitable[None]]
    ) -> None:
        mailbox = key[0]
        try:
            await (handle if delivery.is_text else _reject)(delivery)
            self._failures.pop(key)
        except Erased as error:
            # Nobody can handle it: its data is gone with the key.
            log.warning("delivery.erased", mailbox=mailbox, run=error.run, why=str(error))
            for clear in self.on_erased:
                await clear(error.run)
            await delivery.ack()
        except SecretMissing as error:
            # Nobody has it, and anybody may have written what names it.
            await self._count(key, delivery, error)
        except KeyMissing as error:
            # Another worker may have the key. This does not count as a failure of the message.
            log.warning("delivery.encrypted", mailbox=mailbox, run=delivery.run, why=str(error))
            await delivery.nak(min(30.0, 0.25 * 2 ** min(delivery.num_delivered, 7)))
        except OUTAGES as error:
            if lost := _cause(error, ValueLost):
                await self._count(key, delivery, lost)
            else:
                await self._postpone(mailbox, delivery, error)
        except Exception as error:  # noqa: BLE001  counted, logged and eventually given up
            await self._count(key, delivery, error)

    async def _count(self, key: _Key, delivery: Delivery, error: Exception) -> None:
        """Retry a message that failed, or give it up."""
        mailbox = key[0]
        if self._throttle.allows(mailbox):
            log.warning(
                "delivery.failed",
                mailbox=mailbox,
                subject=delivery.subject,
                num_delivered=delivery.num_delivered,
                error=message_of(error),
                exc_info=None if isinstance(error, LaybyError) else error,
            )
        failures = (self._failures.get(key) or 0) + 1
        if failures < _GIVE_UP and not isinstance(error, PoisonMessage | NoSubject):
            self._failures.put(key, failures, 1)
            self._observer.undone(mailbox, "failed")
            await delivery.nak(min(10.0, 0.1 * 2**failures))
            return
        try:
            await self._give_up(mailbox, delivery, error)
        except OUTAGES as outage:
            await self._postpone(mailbox, delivery, outage)
        else:
            self._failures.pop(key)
            self._observer.undone(mailbox, "dead")

    async def _postpone(self, mailbox: str, delivery: Delivery, error: BaseException) -> None:
        self._observer.undone(mailbox, "postponed")
        if full := _cause(error, StoreFull):
            # It works once somebody has made room; trying more often would not help.
            self._log_full(full)
            await delivery.nak(min(10.0, 0.5 * 2 ** min(delivery.num_delivered, 5)))
        elif denied := _cause(error, PermissionDenied):
            # It works once somebody has changed the permissions; until then, try rarely.
            log.warning("delivery.postponed", mailbox=mailbox, error=str(denied))
            await delivery.nak(min(30.0, 0.5 * 2 ** min(delivery.num_delivered, 6)))
        else:
            log.info("delivery.postponed", mailbox=mailbox, error=str(error))
            await delivery.nak(0.5)

    def _log_full(self, error: StoreFull) -> None:
        """Log that nothing can be stored, at most every 30 seconds."""
        now = time.monotonic()
        if now >= self._full_logged_at + _FULL_INTERVAL:
            self._full_logged_at = now
            log.error("store.full", error=str(error), advice=_MAKE_ROOM)

    async def _give_up(self, mailbox: str, delivery: Delivery, error: Exception) -> None:
        kind = "" if isinstance(error, LaybyError) else f"{type(error).__name__}: "
        reason = f"{kind}{message_of(error)}"
        await self._dead.put(delivery, mailbox, reason)
        if delivery.run:
            await self._fail(delivery, reason)
        await delivery.term()

    async def _fail(self, delivery: Delivery, reason: str) -> None:
        """End the run of a delivery; if that fails, the message is still not delivered again."""
        try:
            await self._fail_run(delivery, reason)
        except OUTAGES:
            raise
        except Exception as error:  # noqa: BLE001  the message is a dead letter already
            log.warning("run.not_ended", run=delivery.run, error=message_of(error))


def _log_suppressed(mailbox: str, count: int) -> None:
    log.warning("delivery.failed_more", mailbox=mailbox, count=count, advice=_DEAD_LETTERS)


async def _reject(delivery: Delivery) -> None:
    raise PoisonMessage(f"its subject, {delivery.subject[:200]}, is not UTF-8 text")


def _cause(error: BaseException, kind: type[E]) -> E | None:
    """The error itself, or what it was raised from, if it is of this kind."""
    found = error if isinstance(error, kind) else error.__cause__
    return found if isinstance(found, kind) else None
