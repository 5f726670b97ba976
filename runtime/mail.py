"""Mail as it is delivered: a position of a run's log, and the record that wakes somebody."""

from __future__ import annotations

from typing import NamedTuple

from ..bus.errors import Tampered
from ..bus.log import Log, LogMessage, NoPosition, parse
from ..bus.mailbox import Delivery
from .entry import Record, Unblocked, is_newer, read
from .errors import Interrupted, Undeclared
from .guard import Hopeless
from .state import RunState

_RELEASES = 20
"""Deliveries, some ten seconds, in which a worker of a later release may take its own mail."""

_TAKERS = 60
"""Deliveries, some two minutes, in which the worker that has taken a blocked run up may get it."""


class Mail(NamedTuple):
    """One delivery of an entry of a log."""

    run: str
    message: LogMessage
    record: Record
    """The last of the entry: what its addressee is told."""
    delivery: Delivery


async def mail_of(log: Log, delivery: Delivery) -> Mail:
    """The mail in a delivery, whose run is noted with it.

    Raises:
        Hopeless: it is none, whoever sent it.
        Interrupted: a later release wrote it, and may have a worker.
    """
    try:
        to, run, n = parse(delivery.subject)
        data = await log.opened(run, n, delivery.data, delivery.subject)
    except (Tampered, NoPosition) as error:
        raise Hopeless(str(error)) from None
    envelope = read(data)
    if envelope is None and is_newer(data) and delivery.num_delivered < _RELEASES:
        raise Interrupted("a later release wrote this mail: a worker of that one must take it")
    if envelope is None or not envelope.records:
        raise Hopeless("it is no entry of a log that Layby has written")
    delivery.run = run
    return Mail(run, LogMessage(n, to, data), envelope.records[-1], delivery)


async def is_in(log: Log, tail: int, delivery: Delivery) -> bool:
    """Whether a delivery is no mail, or mail that its run's log holds, which ends at `tail`."""
    try:
        _, run, n = parse(delivery.subject)
    except NoPosition:
        return True  # an event, or what is due
    return n <= tail and await log.first(run, n) == delivery.data


def must_be_taker(mail: Mail, fingerprint: str) -> None:
    """Leave a run to the worker that took it up; for minutes, then anybody may try.

    Raises Undeclared.
    """
    taker = mail.record.fingerprint if isinstance(mail.record, Unblocked) else ""
    if taker not in {"", fingerprint} and mail.delivery.num_delivered < _TAKERS:
        raise Undeclared("another worker took it up, which may fit it")


def must_be_known(state: RunState) -> None:
    """Leave a run to others whose log holds what this release cannot read. Raises Undeclared."""
    if state.newer:
        raise Undeclared(
            f"a later release wrote position {state.newer} of its log, which this worker cannot "
            "read"
        )


def must_be_free(state: RunState) -> None:
    """Refuse to begin a run in a log that begins with something else. Raises Hopeless."""
    if state.tail and not state.frames:
        raise Hopeless(f"the log of its run, {state.id}, begins with what Layby did not write")
