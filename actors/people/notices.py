"""Notices: small messages that a question has changed, for those who show it on a channel.

A notice says nothing that its reader believes: the reader looks at the run's log. So a notice may
come twice, late and in any order.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import Final

import msgspec

from ...bus.errors import NoSubject
from ...bus.requests import Requests
from ...bus.token import encode
from ...runtime import crash
from ...runtime.card_records import SENT
from ...runtime.ports import Due
from ...runtime.run import LiveRun
from ...runtime.state import OPEN, Question

NOTICE: Final = "notice"
"""The second word of their subjects."""


class Notice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """That a question has changed."""

    id: str
    run: str
    role: str
    """Who is asked."""
    ticket: str
    status: str
    """The question's status."""
    ended: str = ""
    """The run's status, if it has ended."""


class Notices:
    """Publishes notices for the roles that have channels."""

    def __init__(self, requests: Requests, roles: Collection[str]) -> None:
        self._requests = requests
        self._names = requests.names
        self._roles = frozenset(roles)

    async def changed(self, live: LiveRun, question: Question, change: str = "") -> None:
        """Publish that a question has changed, for each role with a card of it. Repeatable.

        A card that is being sent needs none: the worker that records it looks at the log again.

        `change` names what has changed, unless it is the question's status, its votes, or what
        people said to it.
        """
        asked = live.state.asked_back.get(question.id, ())
        said = len(live.state.acts.get(question.id, ())) + len(asked)
        said += sum(each.reply is not None for each in asked)
        mark = change or f"{question.status}.{len(question.votes)}.{said}"
        for role in self._shown_to(live, question.id):
            await self._publish(live, question, role, mark)

    async def ended(self, live: LiveRun) -> None:
        """Publish that a run has ended, for each card of its questions. Repeatable."""
        for question in live.state.questions.values():
            if question.status == OPEN:
                continue
            for role in self._shown_to(live, question.id):
                await self._publish(live, question, role, f"ended.{live.state.reopened}")

    async def wake(self, due: Due) -> None:
        """Have a question whose card was held looked at again. Repeatable."""
        notice = Notice(id=due.question, run=due.run, role=due.role, ticket=due.ticket, status=OPEN)
        with suppress(NoSubject):  # the role has no channels any longer
            await self._store(notice, f"held.{due.at:.0f}")

    def _shown_to(self, live: LiveRun, question: str) -> list[str]:
        cards = live.state.cards.get(question, ())
        roles = dict.fromkeys(card.role for card in cards if card.status == SENT)
        return [role for role in roles if role in self._roles]

    async def _publish(self, live: LiveRun, question: Question, role: str, mark: str) -> None:
        state = live.state
        notice = Notice(
            id=question.id,
            run=state.id,
            role=role,
            ticket=state.ticket,
            status=question.status,
            ended=state.status if state.ended else "",
        )
        await self._store(notice, mark)
        crash.point("after_notice")

    async def _store(self, notice: Notice, mark: str) -> None:
        subject = self._names.subject(f"{notice.role}.{NOTICE}.{encode(notice.ticket)}")
        headers = {"Nats-Msg-Id": f"{notice.id}.{notice.role}.{NOTICE}.{mark}"}
        await self._requests.store(subject, msgspec.json.encode(notice), headers)
