"""The desk: where channels hand in what people say, and look up what they were asked."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ..actors.people.answer_subject import via_subject
from ..actors.people.card import Place, card_of
from ..actors.people.tickets import decode
from ..bus.bucket import Bucket
from ..bus.connection import Connection
from ..bus.errors import InvalidTicket
from ..bus.log import Log
from ..bus.requests import Requests
from ..bus.token import encode, is_word
from ..runtime.ask_back_records import ASK_BACK
from ..runtime.channel import Card, Inbound, Outcome, Said
from ..runtime.first_stored import entries
from ..runtime.opened_records import OPENED
from ..runtime.run import LiveRun
from ..runtime.state import RunState
from ..runtime.vouched import VIA, Via
from ..runtime.vouching import Signers
from .answer_api import AnswerApi, NoReceipt

_LARGEST: Final = 60 * 1024
"""Bytes of what a person says: the stream refuses messages of more than 64 KiB."""
_PATIENCE: Final = 5.0
"""Seconds to wait for a receipt, unless told otherwise."""


_NOUNS: Final[dict[Said, str]] = {
    "answer": "response",
    "claim": "claim",
    "pass": "pass",
    "decline": "decline",
    "ask-back": ASK_BACK,
    "opened": OPENED,
}
"""The second word of the subject on which each is said."""


class AnswerDesk(AnswerApi):
    """Publishes in the names of people a channel vouches for, and reads their questions."""

    def __init__(
        self,
        connection: Connection,
        requests: Requests,
        signers: Signers | None = None,
        *,
        patience: float = _PATIENCE,
    ) -> None:
        super().__init__(connection, requests)
        self._log = Log(requests)
        self._parked = Bucket(requests, "parked")
        self._signers = signers
        self._patience = patience

    async def say(self, said: Inbound, *, via: Via) -> Outcome:
        """Store what a person said, and wait for its receipt.

        Args:
            said: What, and who.
            via: What vouches for the person.

        Raises:
            InvalidTicket: the ticket, the role or the person cannot be part of a subject.
            BusError: it may not have been stored.
            ValueError: nobody can vouch by `via`.
        """
        if via not in VIA:
            raise ValueError(f"via={via!r}: give one of {', '.join(VIA)}")
        _check_words(said)
        data = _body(said)
        if isinstance(data, str):
            return Outcome(outcome="invalid", reason=data)
        plain = f"{said.role}.{_NOUNS[said.says]}.{encode(said.ticket)}"
        place = via_subject(plain, said.person, via)
        if said.says == OPENED:
            await self._stored(place, data)
            return Outcome(outcome="stored", by=said.person)
        try:
            receipt = await self._say(place, data, timeout=self._patience)
        except NoReceipt as error:
            return Outcome(outcome="stored", reason=str(error), by=said.person)
        return Outcome(outcome=receipt.outcome, reason=receipt.reason or "", by=receipt.by or "")

    async def card(self, ticket: str, question: str, role: str) -> Card | None:
        """A question as it is now; None: there is no such question, or it is not this role's.

        Raises:
            InvalidTicket: no ticket can have that id.
            BusError: it could not be read.
            KeyMissing: the run is encrypted, and no keyring here has its key.
        """
        run = await self._run_of(ticket, question)
        if run is None:
            return None
        live = LiveRun(self._log, RunState(id=run), signers=self._signers)
        for message in await entries(self._log, run):
            live.learn(message)
        asked = live.state.questions.get(question)
        if asked is None or role not in live.state.roles_of(asked):
            return None
        vault = self._requests.vault
        secret = vault is not None and await vault.of_run(run) is not None
        return card_of(live.state, asked, Place(role), self._requests.names, secret=secret)

    async def _run_of(self, ticket: str, question: str) -> str | None:
        item = await self._parked.get_raw(encode(ticket))
        record = item.read(decode) if item is not None else None
        asked = record.questions if record is not None else ()
        return next((each.run for each in asked if each.id == question), None)


def _check_words(said: Inbound) -> None:
    """Check what becomes part of a subject. Raises InvalidTicket."""
    encode(said.ticket)
    for name, word in (("role", said.role), ("person", said.person)):
        loose: Any = word
        if not isinstance(loose, str) or not is_word(loose):
            raise InvalidTicket(f"{name} {str(loose)[:200]!r}: use letters, digits, _ and -")


def _body(said: Inbound) -> bytes | str:
    """The bytes to send; or, as text, the reason why it cannot be sent."""
    if said.says not in _NOUNS:
        return f"{said.says!r} cannot be said through a channel: give one of {', '.join(_NOUNS)}"
    if not said.question or (said.says == "answer" and said.answer is None):
        return "the answer is empty, or names no question: silence is never a yes"
    texts = {"pass": {"to": said.text}, "ask-back": {"text": said.text}}
    fields = {"answer": {"answer": said.answer}, **texts}.get(said.says, {})
    try:
        data = msgspec.json.encode({"questionId": said.question, **fields})
    except (TypeError, ValueError, RecursionError):
        return "it is not text that UTF-8 can encode, and not a JSON value"
    if len(data) > _LARGEST:
        return f"it has {len(data)} bytes, more than {_LARGEST}: shorten it"
    return data
