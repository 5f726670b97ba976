"""The dead-letter stream: what could not be handled, with its reason and where it came from."""

from __future__ import annotations

from typing import Any

import msgspec

from .mailbox import Delivery
from .requests import Requests

STREAM = "DEAD"
_SHOWN = 64 * 1024


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message that was given up."""

    reason: str
    subject: str
    mailbox: str
    seq: int
    """Its sequence in the stream it came from, which keeps it whole."""
    at: float
    size: int
    body: str
    """The payload as text, cut after 64 KiB; bytes that are no UTF-8 are replaced."""
    num_delivered: int = 1


class DeadLetters:
    """Gives messages up."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def put(self, delivery: Delivery, mailbox: str, reason: str) -> None:
        """Store `delivery` with `reason`; the same delivery is stored once."""
        letter = DeadLetter(
            reason=reason,
            subject=delivery.subject,
            mailbox=mailbox,
            seq=delivery.seq,
            at=delivery.at,
            size=len(delivery.data),
            body=delivery.data[:_SHOWN].decode("utf-8", "replace"),
            num_delivered=delivery.num_delivered,
        )
        headers: dict[str, Any] = {"Nats-Msg-Id": f"{mailbox}.{delivery.seq}"}
        await self._requests.store(f"dead.{mailbox}", msgspec.json.encode(letter), headers)
