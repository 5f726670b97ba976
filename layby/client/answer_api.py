"""The part of a client that lists and answers questions."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import msgspec

from ..actors.people.answer import Receipt
from ..actors.people.answer_subject import via_subject
from ..bus.connection import Connection
from ..bus.errors import LaybyError, PublishUnconfirmed
from ..bus.outbox import Outbox
from ..bus.requests import PubAck, Requests
from ..bus.token import encode, is_word
from ..runtime.signature import HEADER, Signature
from ..runtime.vouched import VIA, Via
from ..views.open_questions import asked_on, open_questions
from ..views.rows import QuestionRow


class NoReceipt(LaybyError):
    """An answer is stored, but no worker has issued its receipt yet; `seq` is its number."""

    def __init__(self, message: str = "", seq: int = 0) -> None:
        super().__init__(message)
        self.seq = seq

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.seq)


class AnswerApi:
    """Lists questions to people, and answers them."""

    def __init__(self, connection: Connection, requests: Requests) -> None:
        self._connection = connection
        self._requests = requests
        self._names = requests.names
        self._outbox = Outbox(requests)

    async def answer(
        self,
        ticket: str,
        text: Any,
        *,
        role: str = "developer",
        question_id: str | None = None,
        by: str | None = None,
        responder: str | None = None,
        via: Via | None = None,
        signature: Signature | str | None = None,
        timeout: float = 5.0,  # noqa: ASYNC109
    ) -> Receipt:
        """Answer a question and return the receipt.

        Args:
            ticket: The ticket that the question is about.
            text: The answer: text, or the JSON value that the question's form asks for.
            role: The role that was asked.
            question_id: The question's id; None: the role's only open question on the ticket.
            by: Who answers, by their own claim.
            responder: Who answers, as a word of the subject: a server with permissions holds its
                user to it, so it counts more than `by`.
            via: For a bridge, which takes in answers from elsewhere: what vouches for `responder`.
                The answer then records that, and needs a login that may publish it.
            signature: If the answer must be signed: what
                `layby.client.signing.sign_answer` made for this answer.
            timeout: Seconds to wait for the receipt.

        Raises:
            InvalidTicket: no ticket can have that id.
            NoLeader: the stream has had no leader for 15 seconds; nothing was stored.
            NoReceipt: it is stored, but no worker issued a receipt within `timeout` seconds.
            NotConnected: the server does not answer, and nothing was sent.
            PermissionDenied: the server lets this user answer under another name, or not at all.
            ValueError: `responder` is not a word of letters, digits, `_` and `-`; or `via` comes
                without one, or is unknown.
        """
        token = encode(ticket)
        if responder is not None and not is_word(responder):
            raise ValueError(f"responder {responder!r}: use letters, digits, _ and -")
        if via is not None and (responder is None or via not in VIA):
            raise ValueError(f"via={via!r} with responder={responder!r}: see docs/people.md")
        body = {"answer": text, "questionId": question_id, "by": by}
        data = msgspec.json.encode({key: value for key, value in body.items() if value is not None})
        place = _place(f"{role}.response.{token}", responder, via)
        headers = {HEADER: str(signature)} if signature is not None else None
        return await self._say(place, data, headers, timeout=timeout)

    async def _say(
        self,
        place: str,
        data: bytes,
        headers: dict[str, str] | None = None,
        *,
        timeout: float,  # noqa: ASYNC109
        further: float = 0.0,
    ) -> Receipt:
        """Store what somebody says to a question, and wait for its receipt.

        Args:
            place: The subject, without the app's prefix: `developer.response.T125`.
            data: What is said.
            headers: Its headers.
            timeout: Seconds to wait for the receipt.
            further: Seconds to wait for a second receipt, that of the reply to a question back.
        """
        receipts: asyncio.Queue[Receipt] = asyncio.Queue()

        async def receive(msg: Any) -> None:
            receipts.put_nowait(_receipt(msg.data))

        nc = self._connection.nc
        stored = 0
        role, _, token, *_ = place.split(".")
        sub = await nc.subscribe(self._names.subject(f"{role}.receipt.{token}"), cb=receive)
        try:
            await self._connection.nc.settle()
            ack = await self._ask(self._stored(place, data, headers), self._names.subject(place))
            stored = ack.seq
            return await _final_receipt(receipts, stored, timeout, further)
        except TimeoutError:
            raise NoReceipt(
                f"no receipt on {role}.receipt.{token} within {timeout:g} s; what was sent is "
                "stored and will be applied when a worker runs",
                stored,
            ) from None
        finally:
            await sub.unsubscribe()

    async def _stored(
        self, place: str, data: bytes, headers: dict[str, str] | None = None
    ) -> PubAck:
        """Store what somebody says; a role's messages of one kind are all in one stream."""
        role, noun, _ = place.split(".", 2)
        family = self._names.subject(f"{role}.{noun}.>")
        return await self._outbox.store(self._names.subject(place), data, headers, family=family)

    async def questions(
        self,
        role: str | None = None,
        *,
        ticket: str | None = None,
        since: float | None = None,
        text: str | None = None,
    ) -> list[QuestionRow]:
        """The open questions, the earliest deadline first.

        A question is listed within a second. The cost grows with the number of open questions, and
        not with the number of runs.

        Args:
            role: Only questions to this role.
            ticket: Only questions on this ticket.
            since: Only questions asked in the last `since` seconds.
            text: Only questions with this text in ticket, question or context, in any case.

        Raises:
            OldIndex: an earlier release wrote the list, and it has not been migrated.
        """
        return await open_questions(self._requests, role, ticket, since, text)

    async def asked(self, ticket: str) -> list[QuestionRow]:
        """The open questions on a ticket; if there is none, those that were closed last.

        Args:
            ticket: The ticket, as the help desk spells it.

        Raises:
            InvalidTicket: no ticket can have that id.
            OldIndex: an earlier release wrote the list, and it has not been migrated.
        """
        return await asked_on(self._requests, ticket)

    async def _ask(self, call: Any, subject: str) -> Any:
        """Await a request; raise PermissionDenied if the server refused it for that."""
        try:
            return await call
        except PublishUnconfirmed:
            denied = self._connection.last_permission_error(subject)
            if denied is None:
                raise
            raise denied from None


def _place(plain: str, responder: str | None, via: Via | None) -> str:
    if responder is None:
        return plain
    return f"{plain}.{responder}" if via is None else via_subject(plain, responder, via)


async def _final_receipt(
    receipts: asyncio.Queue[Receipt], seq: int, within: float, further: float
) -> Receipt:
    """The receipt for what was stored; for a question back, that of its reply if it comes in time.

    Raises:
        TimeoutError: there is none within `within` seconds.
    """
    receipt = await _receipt_for(receipts, seq, within)
    if further and receipt.outcome == "recorded":
        with suppress(TimeoutError):
            return await _receipt_for(receipts, seq, further)
    return receipt


async def _receipt_for(receipts: asyncio.Queue[Receipt], seq: int, within: float) -> Receipt:
    """The next receipt for what was stored at a sequence. Raises TimeoutError."""
    async with asyncio.timeout(within):
        while True:
            receipt = await receipts.get()
            if receipt.seq == seq:
                return receipt


def _receipt(data: bytes) -> Receipt:
    return msgspec.json.decode(data, type=Receipt)
