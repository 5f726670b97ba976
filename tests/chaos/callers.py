"""The people of the campaign `cards`: they answer on a channel, beside it, or never."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import Any

import msgspec

from .board import Board
from .crowd import CHANNELS, CHIEF, FRONT, PEOPLE, Climb
from .driver import Driver
from .history import Stored
from .plan import Ticket

PATIENCE = 45.0
"""Seconds that somebody waits for a card: longer than it may take, although it was held, and its
channel was down meanwhile."""
_LOOK = 0.02


class Callers:
    """Answers the questions of a driver's tickets once they are on the board, by a seed."""

    def __init__(self, driver: Driver, board: Board, seed: int) -> None:
        self._driver = driver
        self._board = board
        self._seed = seed
        for role in (*CHANNELS, FRONT):
            driver.crowds[role] = self.answer

    async def early(self, ticket: Ticket) -> None:
        """Answer on a ticket on which nothing was asked yet."""
        climb = ticket.ops[0].climb
        assert climb is not None
        await self._driver.say(climb.role, ticket.id, b"early", "ada")

    async def answer(self, ticket: Ticket, stored: Stored) -> None:
        """Answer a question in the manner of its ticket."""
        climb, asked = ticket.ops[0].climb, msgspec.json.decode(stored.data)
        assert climb is not None
        if ticket.cancel_after is not None:
            return  # the run is cancelled, and nobody answers
        draw = random.Random(f"{self._seed}/{asked['id']}")  # noqa: S311
        one = _Calling(self._driver, self._board, ticket, climb, asked["id"], draw)
        await getattr(one, climb.manner)()


class _Calling:
    """What people do about one question."""

    def __init__(  # noqa: PLR0917
        self,
        driver: Driver,
        board: Board,
        ticket: Ticket,
        climb: Climb,
        ref: str,
        draw: random.Random,
    ) -> None:
        self._driver = driver
        self._board = board
        self._ticket = ticket
        self._role = climb.role
        self._ref = ref
        self._draw = draw

    async def prompt(self) -> None:
        """Answer beside the channel, while the card is on its way."""
        await asyncio.sleep(self._draw.uniform(0.0, 0.4))
        await self._say("ada")

    async def shown(self) -> None:
        """Click on the card as soon as it is there."""
        await self._click_or_say(await self._card(), "bob")

    async def race(self) -> None:
        """Several people answer, on the channel and beside it, as soon as the card is there."""
        card = await self._card()
        people = self._draw.sample(PEOPLE, 3)
        clicks = self._draw.randint(1, 3)
        for person in people[:clicks]:
            await self._click_or_say(card, person)
        await asyncio.gather(*(self._say(person) for person in people[clicks - 1 :]))

    async def later(self) -> None:
        """Answer at a terminal, when the cards have been there for a while or not."""
        await asyncio.sleep(self._draw.uniform(0.3, 4.0))
        await self._say("ada")

    async def reminded(self) -> None:
        """Click on the reminder."""
        await self._click_or_say(await self._card(kind="reminder"), "cleo")

    async def escalated(self) -> None:
        """Click on the card of who was asked too."""
        await self._click_or_say(await self._card(role=CHIEF), "ada")

    async def never(self) -> None:
        """Say nothing in time, and click on what may still be there."""
        await self._driver.closed(self._ref)
        if cards := self._board.cards_of(self._ref):
            self._board.click(cards[0], "ada", "ada, late")

    async def _card(self, **wanted: str) -> dict[str, Any] | None:
        """A card that people see; None: there is none for long, or nobody has to answer."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            cards = self._board.cards_of(self._ref)
            for card in cards:
                given = {"kind": "asked", **card}
                if all(given[name] == value for name, value in wanted.items()):
                    return card
            if not wanted.get("role") and (cards := [c for c in cards if c["role"] == CHIEF]):
                return cards[0]  # nobody else was told
            await asyncio.sleep(_LOOK)
        return None

    async def _click_or_say(self, card: dict[str, Any] | None, person: str) -> None:
        if card is None:
            await self._say(person)
            return
        self._board.click(card, person, f"{person} of {card['role']}")

    async def _say(self, by: str) -> None:
        text = f"{by} of {self._role}, at a terminal"
        data = json.dumps({"answer": text, "questionId": self._ref}).encode()
        await self._driver.say(self._role, self._ticket.id, data, by)
