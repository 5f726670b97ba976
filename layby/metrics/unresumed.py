"""Finds answers that are recorded but have had no effect, before a person has to notice."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing
from typing import Final

from ..bus.errors import Erased, KeyMissing, Tampered
from ..bus.log import Log
from ..bus.log_subject import NoPosition, parse, shares
from ..bus.reading import every, stored_at
from ..bus.requests import Requests
from ..bus.wire import Message
from ..health.traffic import MailboxRow
from ..runtime import clock
from ..runtime.entry import Answered, Voted
from ..runtime.envelope import read

_AGE: Final = 10.0
"""Seconds after which a run should have gone on."""
_PAGE: Final = 256
_MOST: Final = 1_000
"""Messages of one mailbox that are looked at."""


async def unresumed(requests: Requests, mailboxes: Iterable[MailboxRow], *, idle: bool) -> int:
    """How many answers that were recorded ten seconds ago or earlier have had no effect.

    They are mail that no worker has taken. If no worker runs (`idle`), mail that one had taken and
    not finished counts too. What is encrypted with a key that is not here is left out.

    Raises BusError.
    """
    log = Log(requests)
    logs = {requests.names.stream(name) for name in shares(await log.streams())}
    found = 0
    for box in mailboxes:
        if box.stream in logs and box.subjects and (box.lag or (idle and box.in_flight)):
            first = box.acked if idle else box.delivered
            found += await _in(requests, log, box, first + 1)
    return found


async def _in(requests: Requests, log: Log, box: MailboxRow, first: int) -> int:
    found = looked_at = 0
    mail = every(requests, box.stream, box.subjects[0], _PAGE, first=first)
    async with aclosing(mail) as messages:
        async for message in messages:
            looked_at += 1
            if looked_at > _MOST or stored_at(message) > clock.now() - _AGE:
                return found
            found += await _is_unresumed(log, message)
    return found


async def _is_unresumed(log: Log, message: Message) -> bool:
    """Whether it is an answer after which nothing has happened in its run."""
    subject = message.headers["Nats-Subject"]
    try:
        _, run, n = parse(subject)
        envelope = read(await log.opened(run, n, message.data, subject))
    except (NoPosition, Erased, KeyMissing, Tampered):
        return False
    if envelope is None or not envelope.records:
        return False
    is_answer = isinstance(envelope.records[-1], Answered | Voted)
    return is_answer and not await log.exists(run, n + 1)
