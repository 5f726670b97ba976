"""Closes a question: first in the run's log, then in the record of its ticket."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import partial

import msgspec

from ...bus.errors import Erased
from ...bus.log_subject import NOBODY
from ...bus.requests import Requests
from ...runtime import tally
from ...runtime.entry import Answered, Expired, Voted
from ...runtime.errors import Fenced
from ...runtime.host import Host
from ...runtime.run import LiveRun
from ...runtime.state import FORMS, OPEN, Question, RunState
from .answer import SKEW
from .asked_of import related, shown_also
from .notices import Notices
from .open_questions import OpenQuestions
from .parked_question import ParkedQuestion
from .published_questions import PublishedQuestions
from .shown_ladder import ShownTo
from .tickets import ParkedRecord, Tickets, with_question


class NotAsked(Exception):
    """A question is in the record of a ticket but not in the log of its run."""


class Escalated(Exception):
    """The log says that a question was escalated to roles whose answers were not looked at."""

    def __init__(self, roles: set[str]) -> None:
        super().__init__(", ".join(sorted(roles)))
        self.roles = roles


class Overtaken(Exception):
    """Something else has closed the question: judge again by what the logs say now."""


class Unrecorded(Exception):
    """The log does not accept what the record of the ticket says."""


class QuestionCloser:
    """Closes the questions to one role; the first entry in the run's log decides."""

    def __init__(
        self,
        role: str,
        host: Host,
        tickets: Tickets,
        *,
        listed: OpenQuestions,
        notices: Notices,
        requests: Requests,
    ) -> None:
        self._role = role
        self._host = host
        self._requests = requests
        self.tickets = tickets
        self._listed = listed
        self._notices = notices
        self._has_signers = bool(host.ports.signers)

    async def live(self, run: str, record: ParkedRecord | None) -> LiveRun:
        """The run, from memory, from its parked state, or from its log.

        If answers are signed, only from its log: a forged record could otherwise contain a state
        in which a question is answered.
        """
        warm = self._host.cache.warm(run)
        fresh = warm is None and not self._has_signers
        state = await self.tickets.state(record, run) if record and fresh else None
        if state is not None and state.form in FORMS and not state.newer:
            return self._host.cache.seed(state)
        return warm or await self._host.cache.get(run)

    async def newest(self, run: str, record: ParkedRecord | None) -> LiveRun:
        """The run, caught up with its log."""
        return await self._host.cache.caught_up(await self.live(run, record))

    async def close(
        self, shown: ParkedQuestion, record: ParkedRecord | None, end: Answered
    ) -> tuple[LiveRun, Question]:
        """Append an answer that was judged by a record, unless the log has an end of its question.

        Returns the run, and the question as logged.

        Raises:
            NotAsked: the log has no such question.
            Overtaken: by the log others may have answered it, and the record knows them now.
        """
        live = await self.live(shown.run, record)
        judged = {shown.role, shown.asked_of, *shown.also}
        try:
            return live, await self.append(live, shown.id, end, judged)
        except Escalated:
            if await self.note_roles(live.state.ticket, live, shown.id):
                raise Overtaken from None
            return live, await self.append(live, shown.id, end)

    async def append(
        self,
        live: LiveRun,
        question_id: str,
        end: Answered | Expired,
        judged: Collection[str] | None = None,
    ) -> Question:
        """Append the end of a question unless the log has one; return the question as logged.

        Args:
            live: Its run.
            question_id: The question.
            end: How it ends.
            judged: The roles whose answers were looked at; None: it does not matter.

        Raises:
            NotAsked: the log has no such question.
            Escalated: it is open, and another role may have answered it.
        """
        if question_id not in live.state.questions:
            await live.catch_up()
        if question_id not in live.state.questions:
            raise NotAsked(question_id)
        frame = live.state.frames[live.state.questions[question_id].frame]

        def check(state: RunState) -> None:
            question = state.questions[question_id]
            others = set(state.roles_of(question)) - set(judged or ())
            if others and question.status == OPEN:
                raise Escalated(others)

        with suppress(Fenced):
            await live.append([end], to=frame.actor, check=None if judged is None else check)
        return live.state.questions[question_id]

    async def append_votes(
        self, live: LiveRun, question_id: str, votes: Sequence[Voted]
    ) -> Question:
        """Append votes, unless the log has some of them; return the question as logged.

        They are one entry, in the order of the stream of answers. If the last of them closes the
        question, the entry is mail to the actor that asked.

        Raises:
            NotAsked: the log has no such question.
        """
        if question_id not in live.state.questions:
            await live.catch_up()
        seen = live.state.questions.get(question_id)
        if seen is None:
            raise NotAsked(question_id)
        counted = msgspec.structs.replace(seen)
        for vote in votes:
            if not tally.why_no_vote(counted, vote):
                tally.count(counted, vote)
        to = NOBODY if counted.status == OPEN else live.state.frames[seen.frame].actor

        def check(state: RunState) -> None:
            if len(state.questions[question_id].votes) != len(counted.votes) - len(votes):
                raise Fenced(f"run {state.id} has other votes by now")

        try:
            await live.append(list(votes), to=to, check=check)
        except Fenced:
            await live.catch_up()
        return live.state.questions[question_id]

    async def sync(self, live: LiveRun, question: Question) -> None:
        """Update the ticket's record, the list of open questions and the cards from the log."""
        ticket = live.state.ticket
        if question.status == OPEN:
            await self._listed.update(live, question)
        elif self._listed.unlist(live, question):
            await self._listed.remove(live, question)  # first: a closed record is not read again
        await self.tickets.change(
            ticket, lambda record: with_question(record, live.state, question)
        )
        if live.state.cards.get(question.id):
            await self._notices.changed(live, question)

    async def caught_up(self, ticket: str) -> ParkedRecord | None:
        """The newest record, updated from the runs' logs: a crash may have left it behind.

        A redelivered answer then gets the same outcome as before.
        """
        record, _ = await self.tickets.get_newest(ticket)
        behind = False
        roles = related(record, self._role)
        for shown in record.questions if record else ():
            if shown.status == "open" and not set(roles).isdisjoint(shown.roles):
                try:
                    live = await self.live(shown.run, record)
                    if live.unverified:
                        live = await self._host.cache.caught_up(live)
                    else:
                        await live.confirm()  # a ticket may have a thousand open questions
                except Erased:
                    await self.tickets.erase(ticket, shown.run)
                    behind = True
                    continue
                question = live.state.questions.get(shown.id)
                if question is None:
                    continue
                if _is_ahead(question, shown):
                    await self.sync(live, question)
                    behind = True
                elif not set(live.state.roles_of(question)) <= set(shown.roles):
                    behind |= await self.note_roles(ticket, live, shown.id)
        return (await self.tickets.get_newest(ticket))[0] if behind else record

    async def note_roles(self, ticket: str, live: LiveRun, question_id: str) -> bool:
        """Note in the record to which other roles a question was shown, by the log and the stream.

        A worker may have died after it had published the question there. Where it was not
        published by now, no answer can have been stored before now. Returns whether the record has
        all of them, or more than before.
        """
        question = live.state.questions[question_id]
        roles = live.state.roles_of(question)
        if len(roles) == 1:
            return False
        record, _ = await self.tickets.get_newest(ticket)
        shown = next((q for q in record.questions if q.id == question_id), None) if record else None
        missing = set(roles) - set(shown.roles if shown else ())
        noted = shown is not None and not missing
        for role in missing if shown is not None else ():
            published = PublishedQuestions(role, self._requests)
            found = await published.find(ticket, question_id, question.asked_at - SKEW)
            if found is not None:
                also = ShownTo(since=found.at, seq=found.seq)
                await self.tickets.change(
                    ticket,
                    partial(shown_also, question=question_id, role=role, shown=also),
                    await self.tickets.get_newest(ticket),
                )
                noted = True
        return noted


def _is_ahead(question: Question, shown: ParkedQuestion) -> bool:
    """Whether the log says more about a question than its open record."""
    return question.status != OPEN or len(question.votes) > len(shown.votes)
