"""Publishes a question again when a rung was reached, and shows how far its ladder has come.

A rung that is reached again after a crash is published once: the stream refuses the same id for two
minutes, and after an interruption it is read first.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from ...bus.errors import BusError
from ...bus.group_commit import GroupCommit
from ...bus.requests import PubAck, Requests
from ...runtime import crash
from ...runtime.act_records import Passed
from ...runtime.delivery_policy import PoisonMessage
from ...runtime.host import Host
from ...runtime.ladder import NO_LADDER, LadderRung
from ...runtime.ladder_records import ASKED, ESCALATION, Reached, named
from ...runtime.quorum import roles_of
from ...runtime.run import LiveRun
from ...runtime.state import OPEN, Question
from ...runtime.trace_fold import headers_of
from .answer import SKEW
from .answer_lines import answer_with
from .asked_of import asked_also_of, shown_also
from .notices import Notices
from .open_questions import OpenQuestions
from .parked_question import parked_question
from .published_question import published_question
from .published_questions import ASKED_OF, RUNG, Publication, PublishedQuestions
from .shown_ladder import ShownTo
from .tickets import ParkedRecord, Tickets, with_question
from .unserved import CardWatch

REMINDER_HEADER = "Layby-Reminder"
"""Header of a reminder: its number, from 1."""
ESCALATION_HEADER = "Layby-Escalation"
"""The same for an escalation."""
PASSED_HEADER = "Layby-Passed-By"
"""Header of an escalation that somebody made by passing the question on: their name."""
TOLD_HEADER = "Layby-Told"
"""Header of all of these: the names of those who are told, with commas."""


class _Rung(NamedTuple):
    """A rung that was reached."""

    question: Question
    place: int
    rung: LadderRung
    number: int
    """Its number among those of its kind."""


class RungPublisher:
    """Publishes the reached rungs that tell one role."""

    def __init__(
        self,
        role: str,
        host: Host,
        tickets: Tickets,
        *,
        listed: OpenQuestions,
        requests: Requests,
        questions: GroupCommit,
        published: PublishedQuestions,
        notices: Notices,
        watch: CardWatch,
    ) -> None:
        self._role = role
        self._host = host
        self._tickets = tickets
        self._listed = listed
        self._requests = requests
        self._questions = questions
        self._published = published
        self._notices = notices
        self._watch = watch

    async def show(self, live: LiveRun, record: Reached | Passed, *, again: bool) -> None:
        """Publish the question again, unless it is closed, and update its record and its rows.

        `again`: its mail may have been handled before. Repeatable. Raises PoisonMessage.
        """
        reached = self._rung(live, record)
        question, rung = reached.question, reached.rung
        await live.confirm()
        found = await self._find(live, reached) if again else None
        if question.status == OPEN and rung.kind != ASKED and found is None:
            found = await self._publish(live, reached)
        crash.point("after_rung_published")
        if found is not None and self._role != question.role:
            await self._note(live.state.ticket, question.id, found)
        if question.status != OPEN:
            return
        if rung.kind != ASKED:
            await self._watched(live, reached)

        def updated(ticket: ParkedRecord) -> ParkedRecord:
            return with_question(ticket, live.state, question)

        ticket = live.state.ticket
        await self._tickets.change(ticket, updated)
        crash.point("after_rung_recorded")
        for role in live.state.roles_of(question):
            await self._listed.show_again(live, question, role)
        await self._host.index.write(live)
        if rung.kind == ASKED:
            await self._notices.changed(live, question, "duty")

    async def _watched(self, live: LiveRun, reached: _Rung) -> None:
        """Have it noticed if nobody sends the cards of a rung."""
        question, rung = reached.question, reached.rung
        also = roles_of(question)[1:] if not rung.role else ()
        for role in (self._role, *also):
            await self._watch.arm(live.state, question, role, rung=reached.place)

    def _rung(self, live: LiveRun, record: Reached | Passed) -> _Rung:
        question = live.state.questions.get(record.id)
        ladder = live.state.ladders.get(record.id, NO_LADDER)
        rungs = ladder.rungs
        if question is None or not 0 <= record.rung < len(rungs):
            raise PoisonMessage(f"the log of run {live.id} has no rung of {record.id[:200]!r}")
        rung = rungs[record.rung]
        if self._role != (rung.role or question.role):
            raise PoisonMessage(f"a rung of question {question.id} tells another role")
        return _Rung(question, record.rung, rung, ladder.number_of(record.rung))

    async def _find(self, live: LiveRun, reached: _Rung) -> Publication | None:
        """Where the rung was published before this worker got its mail; None: it was not."""
        since = reached.rung.reached - SKEW
        return await self._published.find_rung(
            live.state.ticket, reached.question.id, reached.place, since
        )

    async def _publish(self, live: LiveRun, reached: _Rung) -> Publication:
        question, rung = reached.question, reached.rung
        for role in roles_of(question)[1:] if not rung.role else ():
            await self._store(live, reached, role)  # all who decide it are reminded
        ack = await self._store(live, reached, self._role)
        at, names = rung.reached, self._requests.names
        if self._role != question.role:
            stored = await self._requests.stored_at(names.stream("QUESTIONS"), ack.seq)
            if stored is None:
                raise BusError(f"question {ack.seq} is no longer in its stream")
            at = stored
        return Publication(ack.seq, at)

    async def _store(self, live: LiveRun, reached: _Rung, role: str) -> PubAck:
        ticket, names = live.state.ticket, self._requests.names
        shown = await self._tickets.sealed(parked_question(live.state, reached.question))
        shown = asked_also_of(shown, role)
        lines = answer_with(names, ticket, shown, role)
        message = published_question(names, ticket, shown, lines, self._host.ports.signers)
        rung = reached.rung
        told = named(rung.told, rung.kind, role, roles_of(reached.question))
        message["rung"] = _about(reached, told)
        subject = PublishedQuestions(role, self._requests).subject(ticket)
        trace = headers_of(live.state, reached.question.frame)
        headers = {**self._headers(reached, role, told), **trace}
        return await self._questions.store(subject, subject, msgspec.json.encode(message), headers)

    def _headers(self, reached: _Rung, role: str, told: list[str]) -> dict[str, str]:
        question, rung = reached.question, reached.rung
        own = "" if role == self._role else f".{role}"
        kind = ESCALATION_HEADER if rung.kind == ESCALATION else REMINDER_HEADER
        headers = {
            "Nats-Msg-Id": f"{question.id}.{reached.place}{own}",
            RUNG: str(reached.place),
            kind: str(reached.number),
        }
        if told:
            headers[TOLD_HEADER] = ",".join(told)
        if rung.by:
            headers[PASSED_HEADER] = rung.by
        if role != question.role:
            headers[ASKED_OF] = question.role
        return headers

    async def _note(self, ticket: str, question: str, found: Publication) -> None:
        """Note that the question can be answered here: an earlier answer meant another one."""
        shown = ShownTo(since=found.at, seq=found.seq)
        await self._tickets.change(
            ticket,
            lambda record: shown_also(record, question, self._role, shown),
            await self._tickets.get_newest(ticket),
        )


def _about(reached: _Rung, told: list[str]) -> dict[str, object]:
    """What a message says of the rung that it was published for."""
    rung = reached.rung
    return {
        "place": reached.place,
        "kind": rung.kind,
        "number": reached.number,
        **({"to": rung.to} if rung.to else {}),
        **({"told": told} if told else {}),
        **({"nobody": True} if rung.nobody else {}),
        **({"by": rung.by} if rung.by else {}),
        **({"claimed": True} if rung.claimed else {}),
    }
