"""A witness of what people asked back in a campaign, and of who has looked at its questions."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import msgspec

from layby.runtime.act_records import ClaimedQuestion, Declined, Passed
from layby.runtime.ask_back_records import ASK_BACK, AskedBack, Replied
from layby.runtime.entry import Answered, Expired
from layby.runtime.opened_records import OpenedQuestion
from layby.runtime.state import OPEN, Question, RunState

from . import inquiries, looks
from .campaign import Campaign
from .crowd import SQUAD
from .deeds import Told, receipts_of_acts
from .inquiries import Heard, Inquiry, Request
from .looks import Trace, Watched
from .siege import Siege
from .violation import Violation

_OUTAGE = 3.0
"""Seconds in which an entry is stored that a server's death has held up."""
_TRACES = (OpenedQuestion, AskedBack, ClaimedQuestion, Passed, Declined)


class Overheard:
    """Judges what became of what people asked back, and of their looks."""

    def __init__(self, c: Campaign, siege: Siege) -> None:
        self._c = c
        self._siege = siege

    async def look(self) -> None:
        """Nothing: what was recorded is enough."""

    def violations(self) -> list[Violation]:
        """What is wrong by now."""
        history = self._c.driver.history
        told = receipts_of_acts(history)
        found: list[Violation] = []
        for run in history.states.values():
            for question in run.questions.values():
                if question.role == SQUAD and (question.id, SQUAD) in history.shown:
                    found += inquiries.wrongs(self._inquiry(run, question, told), self._was_away)
                    found += looks.wrongs(self._watched(run, question), self._was_away)
        return found

    def _was_away(self, since: float, until: float) -> bool:
        away = self._siege.absences()
        return self._siege.was_delayed(since, until, _OUTAGE) or any(
            a <= until and since <= b for a, b in away
        )

    def _inquiry(self, run: RunState, question: Question, told: dict[int, set[Told]]) -> Inquiry:
        history = self._c.driver.history
        body: dict[str, Any] = msgspec.json.decode(history.shown[question.id, SQUAD].data)
        ops = {f"{op.name}": op for op in self._c.driver.tickets[run.ticket].ops}
        climb = ops[question.question.partition("/")[2]].climb
        closed_n, closed_at = self._closed(run, question)
        heard = [
            Heard(entry.n, entry.at, entry.envelope.at, record)
            for entry in history.logs[run.id]
            for record in entry.envelope.records
            if isinstance(record, AskedBack | Replied) and record.id == question.id
        ]
        return Inquiry(
            question.id,
            self._shown(question),
            question.asked_at,
            datetime.fromisoformat(body["deadline"]).timestamp(),
            question.deadline,
            climb is not None and climb.stops,
            climb.explain if climb is not None else "",
            heard,
            [
                act
                for act in history.acts.values()
                if act.ticket == run.ticket and act.verb == ASK_BACK
            ],
            told,
            self._requests(run, question),
            closed_n,
            closed_at,
            *self._expired(run, question),
        )

    def _watched(self, run: RunState, question: Question) -> Watched:
        history = self._c.driver.history
        traces = [
            Trace(entry.n, record)
            for entry in history.logs[run.id]
            for record in entry.envelope.records
            if isinstance(record, _TRACES) and record.id == question.id
        ]
        sent = [each for each in history.looks.values() if each.ticket == run.ticket]
        return Watched(
            question.id, self._shown(question), traces, sent, *self._closed(run, question)
        )

    def _shown(self, question: Question) -> dict[str, float]:
        shown = self._c.driver.history.shown.items()
        return {role: stored.at for (ref, role), stored in shown if ref == question.id}

    def _closed(self, run: RunState, question: Question) -> tuple[int, float]:
        """Where and when a question was closed; while it is open: 0, and now."""
        if question.status != OPEN:
            for entry in self._c.driver.history.logs[run.id]:
                for record in entry.envelope.records:
                    if isinstance(record, Answered | Expired) and record.id == question.id:
                        return entry.n, entry.at
        return 0, time.time()

    def _expired(self, run: RunState, question: Question) -> tuple[int, float]:
        """Where and when the log says that a question expired, even if it may not."""
        for entry in self._c.driver.history.logs[run.id]:
            for record in entry.envelope.records:
                if isinstance(record, Expired) and record.id == question.id:
                    return entry.n, entry.at
        return 0, 0.0

    def _requests(self, run: RunState, question: Question) -> dict[str, Request]:
        """What people were asked, so that they reply to what was asked back about a question."""
        found: dict[str, Request] = {}
        for each in run.questions.values():
            if each.about == question.id:
                ended = self._closed(run, each)[1] if each.status in {"answered", "expired"} else 0
                found[each.question] = Request(each.status, each.text, each.by, ended)
        return found
