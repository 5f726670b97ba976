"""Mail as it is delivered: a position of a run's log, and the record that wakes an actor."""

from __future__ import annotations

from typing import NamedTuple

from ..bus.errors import Tampered
from ..bus.log import Log, LogMessage
from ..bus.log_subject import NoPosition, parse
from ..bus.mailbox import Delivery
from .delivery_policy import PoisonMessage
from .entry import Record, Unblocked
from .envelope import is_newer, read
from .errors import Interrupted, Undeclared
from .state import RunState

_RELEASES = 20
"""Deliveries, about ten seconds, in which a worker of a later release may take its own mail."""
_ADOPTION = 60
"""Deliveries, about two minutes, in which the worker that adopted a blocked run may get it."""


class Mail(NamedTuple):
    """One delivery of an entry of a log."""

    run: str
    message: LogMessage
    record: Record
    """The last record of the entry, which is for its addressee."""
    delivery: Delivery
    again: bool = False
    """Whether it may have been handled before, whatever the delivery says."""


async def mail_of(log: Log, delivery: Delivery) -> Mail:
    """The mail in a delivery; also notes its run on the delivery.

    Raises:
        PoisonMessage: it is not a valid entry.
        Interrupted: a later release wrote it, and may have a worker that can read it.
    """
    try:
        to, run, n = parse(delivery.subject)
        data = await log.opened(run, n, delivery.data, delivery.subject)
    except (Tampered, NoPosition) as error:
        raise PoisonMessage(str(error)) from None
    envelope = read(data)
    if envelope is None and is_newer(data) and delivery.num_delivered < _RELEASES:
        raise Interrupted("a later release wrote this mail: a worker of that release must take it")
    if envelope is None or not envelope.records:
        raise PoisonMessage("it is not an entry that Layby wrote")
    delivery.run = run
    return Mail(run, LogMessage(n, to, data), envelope.records[-1], delivery)


async def is_in(log: Log, tail: int, delivery: Delivery) -> bool:
    """Whether the run's log, which ends at `tail`, holds a delivery; true for what is not mail."""
    try:
        _, run, n = parse(delivery.subject)
    except NoPosition:
        return True  # an event, or a wake-up
    return n <= tail and await log.first(run, n) == delivery.data


def check_adopter(mail: Mail, fingerprint: str) -> None:
    """Leave a run to the worker that adopted it; after two minutes any worker may try.

    Raises Undeclared.
    """
    adopter = mail.record.fingerprint if isinstance(mail.record, Unblocked) else ""
    if adopter not in {"", fingerprint} and mail.delivery.num_delivered < _ADOPTION:
        raise Undeclared("another worker has adopted it")


def check_readable(state: RunState) -> None:
    """Leave a run to other workers if this release cannot read its log. Raises Undeclared."""
    if state.newer:
        raise Undeclared(
            f"a later release wrote position {state.newer} of its log, which this worker cannot "
            "read"
        )


def check_unstarted(state: RunState) -> None:
    """Refuse to begin a run in a log that begins with something else. Raises PoisonMessage."""
    if state.tail and not state.frames:
        raise PoisonMessage(
            f"the log of run {state.id} does not begin with an entry that Layby wrote"
        )
