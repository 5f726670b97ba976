"""Takes messages that somebody has looked at an open question: each person's first one counts.

It is an entry of the run's log and nothing else follows from it, so there is no receipt, and what
cannot be recorded is dropped: a page that is opened a thousand times costs one entry.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec

from ...bus.bounded import Bounded
from ...bus.errors import BusError, Erased, InvalidTicket
from ...bus.mailbox import Delivery
from ...bus.requests import Requests
from ...bus.token import decode as decode_token
from ...bus.token import is_word
from ...runtime import crash
from ...runtime.errors import Fenced
from ...runtime.host import Host
from ...runtime.mail import check_readable
from ...runtime.opened_records import OpenedQuestion
from ...runtime.openings import is_news
from ...runtime.run import LiveRun
from ...runtime.state import OPEN, RunState
from ...runtime.vouched import NATS
from .answer_subject import sender_of
from .open_questions import OpenQuestions
from .parked_question import ParkedQuestion
from .question_closing import QuestionCloser
from .tickets import ParkedRecord

_CHANNEL: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_TRIES: Final = 20
_REMEMBERED: Final = 10_000


class Look(NamedTuple):
    """A message that somebody has looked at a question."""

    ticket: str
    person: str
    vouched: str
    channel: str
    question: str = ""
    """The question's id; empty: the only open one of the role on the ticket."""


def look_in(subject: str, data: bytes) -> Look | None:
    """What a message says: its subject, without an app's prefix, and its body; None: nothing."""
    words = subject.split(".", 3)
    if len(words) < 4:  # noqa: PLR2004  role, verb, ticket, person
        return None
    person, via = sender_of(words[3])
    try:
        ticket = decode_token(words[2])
        fields = msgspec.json.decode(data or b"{}", type=dict[str, Any])
    except (InvalidTicket, msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if not is_word(person):
        return None
    channel, question = via or fields.get("channel") or "", fields.get("questionId") or ""
    if not isinstance(channel, str) or not isinstance(question, str):
        return None
    known = channel if _CHANNEL.fullmatch(channel) else ""
    return Look(ticket, person, via or NATS, known, question[:200])


class Openings:
    """Records who has looked at the questions to one role."""

    def __init__(
        self,
        role: str,
        host: Host,
        requests: Requests,
        *,
        closer: QuestionCloser,
        listed: OpenQuestions,
    ) -> None:
        self._role = role
        self._host = host
        self._names = requests.names
        self._closer = closer
        self._listed = listed
        self._known: Bounded[tuple[str, str], bool] = Bounded(_REMEMBERED)
        """Questions and people about whom nothing is left to record."""

    async def take(self, delivery: Delivery) -> None:
        """Record that somebody has looked at a question, unless that is known."""
        look = look_in(self._names.own(delivery.subject), delivery.data)
        if look is not None and not self._known.get((look.question, look.person)):
            for _ in range(_TRIES):
                try:
                    await self._record(look, delivery)
                    break
                except Fenced:
                    continue
            else:
                raise BusError(f"ticket {look.ticket!r}: its questions kept changing")
        await delivery.ack()

    async def _record(self, look: Look, delivery: Delivery) -> None:
        """Record it. Raises Fenced: the run has moved on, and it must be judged again."""
        record, _ = await self._closer.tickets.get_newest(look.ticket)
        parked = _parked_question(record, self._role, look.question)
        if record is None or parked is None:
            return
        try:
            live = await self._closer.newest(parked.run, record)
        except Erased as error:
            self._host.cache.drop(error.run)
            return
        check_readable(live.state)
        if not self._is_asked(live.state, parked.id):
            return
        if is_news(live.state, parked.id, look.person):
            said = OpenedQuestion(
                id=parked.id,
                by=look.person,
                at=round(delivery.at, 3),
                seq=delivery.seq,
                vouched=look.vouched,
                channel=look.channel,
            )
            crash.point("before_opened")
            await live.append([said])
            crash.point("after_opened")
        if any(each.seq == delivery.seq for each in live.state.opened.get(parked.id, ())):
            await self._show(live, parked.id)
        self._known.put((parked.id, look.person), value=True, size=1)

    async def _show(self, live: LiveRun, question: str) -> None:
        """Show it in the list; the worker that recorded it may have died before that."""
        asked = live.state.questions[question]
        if asked.status == OPEN:
            await self._listed.update(live, asked)
            crash.point("after_opened_shown")

    def _is_asked(self, state: RunState, question: str) -> bool:
        """Whether the role is asked the question, by the log."""
        asked = state.questions.get(question)
        return asked is not None and self._role in state.roles_of(asked)


def _parked_question(
    record: ParkedRecord | None, role: str, question: str
) -> ParkedQuestion | None:
    """The open question that is meant; None: there is none, or it could be one of several."""
    found: Iterable[ParkedQuestion] = record.questions if record is not None else ()
    fits = [
        each
        for each in found
        if each.status == "open" and role in each.roles and question in {"", each.id}
    ]
    return fits[0] if len(fits) == 1 else None
