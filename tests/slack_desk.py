"""A desk for tests of Slack alone: questions by id, and what was said about them."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from layby.bus.errors import BusError
from layby.channels import Card, Inbound, Outcome


@dataclass
class SmallDesk:
    """Says that the first answer to a question is accepted, unless it is told otherwise."""

    cards: dict[str, Card] = field(default_factory=dict[str, Card])
    said: list[Inbound] = field(default_factory=list[Inbound])
    opened: list[Inbound] = field(default_factory=list[Inbound])
    via: set[str] = field(default_factory=set[str])
    outcomes: deque[Outcome] = field(default_factory=deque[Outcome])
    """What becomes of what is said next."""
    fails: deque[BusError] = field(default_factory=deque[BusError])
    unreadable: BusError | None = None
    hold: asyncio.Event | None = None
    """If there is one: questions cannot be read until it is set."""

    def add(self, card: Card) -> Card:
        """Ask a question."""
        self.cards[card.question] = card
        return card

    async def say(self, said: Inbound, *, via: str) -> Outcome:
        """Take what a person said."""
        if said.says == "opened":
            self.opened.append(said)
            return Outcome(outcome="stored")
        if self.fails:
            raise self.fails.popleft()
        before = [each for each in self.said if each.question == said.question]
        self.said.append(said)
        self.via.add(via)
        if self.outcomes:
            return self.outcomes.popleft()
        if before and said.says == "answer":
            return Outcome(outcome="already_answered", by=before[0].person)
        return Outcome(outcome="accepted")

    async def card(self, ticket: str, question: str, role: str) -> Card | None:
        """A question as it is now."""
        if self.hold is not None:
            await self.hold.wait()
        if self.unreadable is not None:
            raise self.unreadable
        found = self.cards.get(question)
        return found if found and (found.ticket, found.role) == (ticket, role) else None
