"""How a question ends: the run's log says so, then the record of its ticket."""

from __future__ import annotations

from contextlib import suppress

from ..bus.errors import Erased
from ..runtime.entry import Answered, Expired
from ..runtime.errors import Fenced
from ..runtime.host import Host
from ..runtime.run import LiveRun
from ..runtime.state import FORM, Question
from .open_questions import OpenQuestions
from .parked import ParkedRecord, Parking, with_question


class NotAsked(Exception):
    """A question is in the record of a ticket, and not in the log of its run."""


class Closing:
    """Ends the questions to one role; whoever appends to the log first has decided."""

    def __init__(self, role: str, host: Host, parking: Parking, listed: OpenQuestions) -> None:
        self._role = role
        self._host = host
        self.parking = parking
        self._listed = listed
        self._signs = bool(host.services.signers)

    async def live(self, run: str, record: ParkedRecord | None) -> LiveRun:
        """The run, from memory, from its parked state, or from its log.

        From its log alone where answers are signed: whoever can write a record could else make up a
        state in which a question is answered.
        """
        warm = self._host.cache.warm(run)
        fresh = warm is None and not self._signs
        state = await self.parking.state(record, run) if record and fresh else None
        if state is not None and state.form == FORM and not state.newer:
            return self._host.cache.seed(state)
        return warm or await self._host.cache.get(run)

    async def append(self, live: LiveRun, question_id: str, end: Answered | Expired) -> Question:
        """Append the end unless the log holds another; return what it holds.

        Raises:
            NotAsked: the log has no such question.
        """
        if question_id not in live.state.questions:
            await live.catch_up()
        if question_id not in live.state.questions:
            raise NotAsked(question_id)
        frame = live.state.frames[live.state.questions[question_id].frame]
        with suppress(Fenced):
            await live.append([end], to=frame.actor)
        return live.state.questions[question_id]

    async def note(self, live: LiveRun, question: Question) -> None:
        """Bring the ticket's record, and the list of open questions, in line with the log."""
        ticket = live.state.ticket
        await self._listed.closed(live, question)  # first: a closed record is not looked at again
        await self.parking.change(
            ticket,
            lambda record: with_question(record, live.state, question),
            await self.parking.get(ticket),
        )

    async def caught_up(self, ticket: str) -> ParkedRecord | None:
        """The newest record, with what the runs' logs have closed: a crash may lie between.

        An answer that comes again is then told what it was told before.
        """
        record, _ = await self.parking.get_newest(ticket)
        behind = False
        for shown in record.questions if record else ():
            if shown.role == self._role and shown.status == "open":
                try:
                    live = await self.live(shown.run, record)
                    live = await self._host.cache.caught_up(live)
                except Erased:
                    await self.parking.erase(ticket, shown.run)
                    behind = True
                    continue
                question = live.state.questions.get(shown.id)
                if question is not None and question.status != "open":
                    await self.note(live, question)
                    behind = True
        return (await self.parking.get_newest(ticket))[0] if behind else record
