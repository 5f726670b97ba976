"""A witness of what people were shown in Slack and by mail in a campaign."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from layby.actors.people.channels.slack_button import pressed_in
from layby.runtime.card_records import FAILED, FIRST, SENT, Notified
from layby.runtime.entry import Answered, Cancelled, Ended, Expired
from layby.runtime.state import OPEN, Question, RunState

from .campaign import Campaign
from .copies import Card, Copy, Fronted, wrongs
from .crowd import FRONT
from .front import Front
from .siege import Siege
from .violation import Violation

_PEOPLE = 2
"""Who has an address."""


class Fronts:
    """Judges the messages and mails of a campaign's questions."""

    def __init__(self, c: Campaign, siege: Siege) -> None:
        self._c = c
        self._siege = siege

    async def look(self) -> None:
        """Nothing: what was recorded is enough."""

    @property
    def told(self) -> str:
        """How much was sent."""
        there = self._front
        return f"{len(there.slack.messages)} messages in Slack, {len(there.office.mails)} mails"

    @property
    def _front(self) -> Front:
        assert self._c.front is not None
        return self._c.front

    def violations(self) -> list[Violation]:
        """What is wrong by now."""
        died = [each.died_at for each in self._c.fleet.workers.values() if each.died_at]
        unheard = list(self._unheard())
        found = [
            Violation("wrong end", f"Slack refuses {each}") for each in self._front.slack.refused
        ]
        for run in self._c.driver.history.states.values():
            for question in run.questions.values():
                if question.role == FRONT and (question.id, FRONT) in self._c.driver.history.shown:
                    untold = [at for ref, at in unheard if ref == question.id]
                    one = self._fronted(run, question)
                    found += wrongs(one, [*died, *untold], self._siege.was_delayed)
        return found

    def _fronted(self, run: RunState, question: Question) -> Fronted:
        history = self._c.driver.history
        cards: list[Card] = []
        given_up: list[str] = []
        closed_at = time.time() if question.status == OPEN else 0.0
        for entry in history.logs[run.id]:
            for record in entry.envelope.records:
                if isinstance(record, Notified) and record.id == question.id:
                    if record.status == SENT:
                        cards.append(Card(record.channel, record.ref, record.rung == FIRST))
                    elif record.status == FAILED:
                        given_up.append(record.channel)
                elif isinstance(record, Answered | Expired | Cancelled | Ended):
                    closed_at = closed_at or entry.at
        return Fronted(
            question.id,
            history.shown[question.id, FRONT].at,
            cards,
            given_up,
            list(self._messages(question.id)),
            list(self._mails(run.ticket)),
            _PEOPLE,
            closed_at,
            run.ended,
        )

    def _messages(self, question: str) -> Iterator[Copy]:
        """The cards of a question, and what is below them."""
        everything = list(self._front.slack.messages)
        ours = {each.ts for each in everything if _question(each.metadata) == question}
        for each in everything:
            if each.ts in ours or each.thread_ts in ours:
                ref = "/".join(filter(None, [each.channel, each.ts, each.thread_ts]))
                # A reminder may be a card of its own, and then has the run's result below it too.
                place = "" if _question(each.metadata) else each.thread_ts
                yield Copy(f"{each.metadata} {place}", float(each.ts), ref, bool(each.labels))

    def _unheard(self) -> Iterator[tuple[str, float]]:
        """The questions of calls whose callers were not told what became of them, and when."""
        file = self._c.folder / "unheard.front"
        for line in file.read_text().splitlines() if file.exists() else ():
            question, _, at = line.split(" ")
            yield question, float(at)

    def _mails(self, ticket: str) -> Iterator[Copy]:
        for mail in list(self._front.office.mails):
            if f"[{ticket}]" in mail.message["Subject"]:
                yield Copy(str(mail.message["Message-ID"]), mail.at)


def _question(metadata: Mapping[str, Any]) -> str:
    """The question of a card; empty: it is no card."""
    pressed = pressed_in(metadata.get("event_payload", {}).get("target"))
    return pressed.question if pressed is not None else ""
