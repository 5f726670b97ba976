"""The caller: opens tickets, sees them parked, answers them and sees their runs end.

It knows nothing of a run but what anybody can subscribe to: questions, and the log's `ended`.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from layby.bus.connection import ConnectionSettings
from layby.bus.keyring import Keyring
from layby.bus.log import Log
from layby.bus.log_subject import NOBODY, mail, parse
from layby.bus.opened import opened
from layby.bus.outbox import Outbox
from layby.bus.requests import Requests

from . import desk
from .disk import delay
from .drive import WITHIN, Board

_ANSWERS = "developer.response.>"


class _Question(msgspec.Struct):
    ticket: str


class _Result(msgspec.Struct):
    ticket: str = ""


class _Record(msgspec.Struct):
    k: str
    status: str = ""
    result: msgspec.Raw = msgspec.Raw(b"{}")


class _Entry(msgspec.Struct):
    records: list[_Record]


_question = msgspec.json.Decoder(_Question).decode
_entry = msgspec.json.Decoder(_Entry).decode
_result = msgspec.json.Decoder(_Result).decode


class _Receipt(msgspec.Struct):
    outcome: str
    ticket: str = ""


_receipt = msgspec.json.Decoder(_Receipt).decode


class Failed(RuntimeError):
    """A run under test did not complete."""


class Caller:
    """One caller on a connection of its own."""

    def __init__(self, requests: Requests, trigger: str = desk.TICKET) -> None:
        self._outbox = Outbox(requests)
        requests.confirm_within = WITHIN
        self._log = Log(requests, 1)
        self._trigger = trigger
        self._parked = Board()
        self._ended = Board()

    @classmethod
    @contextlib.asynccontextmanager
    async def at(
        cls, url: str, trigger: str = desk.TICKET, keyring: Keyring | None = None
    ) -> AsyncGenerator[Caller]:
        """A caller at the server of that URL whose tickets are events on `trigger`."""
        settings = ConnectionSettings(servers=tuple(url.split(",")))
        async with opened(settings, patient=True, keyring=keyring) as (connection, requests):
            caller = cls(requests, trigger)
            await connection.nc.subscribe("developer.question.*", cb=caller.see_question)
            await connection.nc.subscribe(mail(NOBODY), cb=caller.see_entry)
            if delay() or len(settings.servers) > 1:
                await connection.nc.subscribe("developer.receipt.*", cb=caller.see_receipt)
            await connection.nc.flush()
            yield caller

    async def open(self, ticket: str) -> None:
        """Open a ticket; return when the server has stored the event."""
        await self.send(self._trigger, ticket=ticket)

    async def send(self, subject: str, **event: Any) -> None:
        """Send an event; return when the server has stored it."""
        await self._outbox.store(subject, msgspec.json.encode(event))

    async def parked(self, ticket: str) -> None:
        """Wait until the ticket's question is there."""
        await self._parked.come(ticket)

    async def answer(self, ticket: str) -> None:
        """Answer it; return when the server has stored the answer."""
        await self._outbox.store(f"developer.response.{ticket}", b"do it", family=_ANSWERS)

    async def ended(self, ticket: str) -> None:
        """Wait until its run is completed. Raises Failed when it ends otherwise."""
        await self._ended.come(ticket)

    async def see_question(self, msg: Any) -> None:
        """Take note of a question."""
        self._parked.note(_question(msg.data).ticket)

    async def see_receipt(self, msg: Any) -> None:
        """Answer again if that came too early.

        The caller sees a question when it is published. It may be stored much later, on a slow disk
        or by several servers, and an answer from before that means another question.
        """
        receipt = _receipt(msg.data)
        if receipt.outcome == "unknown_ticket":
            await self.answer(receipt.ticket)

    async def see_entry(self, msg: Any) -> None:
        """Take note of the end of a run."""
        _, run, n = parse(msg.subject)
        data = await self._log.opened(run, n, msg.data, msg.subject)
        last = _entry(data).records[-1]
        if last.k != "ended":
            return
        if last.status != "completed":
            raise Failed(f"{msg.subject}: {msg.data!r}")
        self._ended.note(_result(last.result).ticket)
