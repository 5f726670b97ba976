"""The people of the campaign `ladders`: those who are asked, and those who are asked after them."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from datetime import datetime

import msgspec

from layby.actors.people.rota import Window
from layby.actors.people.rota_book import RotaBook

from .crowd import DESK, FLOOR, LEAD, Climb
from .driver import Driver
from .history import Stored
from .plan import Ticket
from .rungs import Edit

PATIENCE = 18.0
"""Seconds that somebody waits for a ladder to end who answers only then."""
ON_CALL = ("amy", "ben")
"""Who is on duty at the desk now and then."""
_LOOK = 0.02
_LONGER = 4.0
"""Seconds after the last rung in which whoever takes over from a dead worker may err."""
_EDGE = 0.3
_BETWEEN = (3.0, 6.0)
"""Seconds between two edits of a rota by one person."""


class Climbers:
    """Answers the questions of a driver's tickets while their ladders are climbed, by a seed."""

    def __init__(self, driver: Driver, seed: int) -> None:
        self._driver = driver
        self._seed = seed
        for role in (DESK, FLOOR):
            driver.crowds[role] = self.answer

    async def early(self, ticket: Ticket) -> None:
        """Answer on a ticket on which nothing was asked yet."""
        asked = ticket.ops[0].climb or ticket.ops[0].poll
        assert asked is not None
        await self._driver.say(asked.role, ticket.id, b"early", "amy")

    async def answer(self, ticket: Ticket, stored: Stored) -> None:
        """Answer a question in the manner of its ticket."""
        asked = msgspec.json.decode(stored.data)
        op = next(op for op in ticket.ops if asked["question"] == f"{ticket.n}/{op.name}")
        assert op.climb is not None
        draw = random.Random(f"{self._seed}/{asked['id']}")  # noqa: S311
        deadline = datetime.fromisoformat(asked["deadline"]).timestamp()
        one = _Climbing(self._driver, ticket, op.climb, asked["id"], draw, deadline)
        await getattr(one, op.climb.manner)()


class _Climbing:
    """What people do about one question."""

    def __init__(  # noqa: PLR0917
        self,
        driver: Driver,
        ticket: Ticket,
        climb: Climb,
        ref: str,
        draw: random.Random,
        deadline: float,
    ) -> None:
        self._driver = driver
        self._ticket = ticket
        self._climb = climb
        self._ref = ref
        self._draw = draw
        self._deadline = deadline

    async def early(self) -> None:
        """Answer at once."""
        await self._say(self._climb.role, "amy")

    async def between(self) -> None:
        """Answer while the ladder is climbed."""
        await asyncio.sleep(self._draw.uniform(0.0, 2.5))
        await self._say(self._climb.role, self._draw.choice(["", "ben"]))

    async def last(self) -> None:
        """Answer once the whole ladder was climbed."""
        await self._until(self._is_climbed)
        await asyncio.sleep(self._draw.choice([0.0, _LONGER]))
        await self._say(self._climb.role, "amy")
        await self._say(LEAD, "lea")

    async def race(self) -> None:
        """Answer for both roles at once, as soon as both are asked."""
        await self._until(self._is_escalated)
        sayings = [(self._climb.role, "amy"), (LEAD, "lea"), (self._climb.role, ""), (LEAD, "leo")]
        self._draw.shuffle(sayings)
        await asyncio.gather(*(self._say(*each) for each in sayings))

    async def lead(self) -> None:
        """Have the one who is asked too answer, too early at first."""
        await self._driver.say(LEAD, self._ticket.id, b"not asked yet", "lea")
        await self._until(self._is_escalated)
        await self._say(LEAD if self._is_escalated() else self._climb.role, "lea")

    async def never(self) -> None:
        """Say nothing in time."""
        await self._driver.closed(self._ref)
        await self._say(self._climb.role, "amy")

    async def edge(self) -> None:
        """Answer at the deadline, give or take."""
        at = self._deadline + self._draw.uniform(-_EDGE, _EDGE)
        await asyncio.sleep(max(0.0, at - time.time()))
        await asyncio.gather(*(self._say(self._climb.role, by) for by in ("amy", "ben")))

    async def _until(self, holds: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE
        while not holds() and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK)

    def _is_climbed(self) -> bool:
        run = self._driver.history.run_of(self._ticket.id)
        ladder = run.ladders.get(self._ref) if run is not None else None
        return ladder is None or all(rung.reached for rung in ladder.rungs)

    def _is_escalated(self) -> bool:
        return (self._ref, LEAD) in self._driver.history.shown

    async def _say(self, role: str, by: str) -> None:
        text = f"{by or 'somebody'} of {role}"
        named = json.dumps({"answer": text, "questionId": self._ref}).encode()
        is_shown = role != LEAD or self._is_escalated()
        data = named if is_shown and self._draw.random() < 0.6 else text.encode()
        await self._driver.say(role, self._ticket.id, data, by)


class Editors:
    """Two people who edit one rota at the same time, each their own shift."""

    def __init__(self, driver: Driver, seed: int) -> None:
        self._driver = driver
        self._seed = seed
        self.edits: list[Edit] = []
        self._left = 0
        self._is_over = False

    @property
    def are_done(self) -> bool:
        """Whether nobody edits it any more."""
        return self._is_over and not self._left

    def start(self) -> None:
        """Begin to edit, beside everything else, until it is over."""
        self._left = len(ON_CALL)
        for person in ON_CALL:
            self._driver.go(self._edit(person))

    def stop(self) -> None:
        """Edit no more: each leaves the rota as it is."""
        self._is_over = True

    async def _edit(self, person: str) -> None:
        draw = random.Random(f"{self._seed}/{person}")  # noqa: S311
        book = RotaBook(self._driver.requests)
        number = 0
        while not self._is_over:
            number += 1
            on = bool(number % 2)
            began = time.time()

            def update(shifts: tuple[Window, ...], on: bool = on) -> tuple[Window, ...]:  # noqa: FBT001
                mine = Window(person=person, start="2020-01-01T00:00", end="2090-01-01T00:00")
                others = tuple(each for each in shifts if each.person != person)
                return (*others, mine) if on else others

            await self._driver.surely(lambda: book.change_shifts(DESK, update))
            self.edits.append(Edit(person, began, time.time(), on=on))
            await asyncio.sleep(draw.uniform(*_BETWEEN))
        self._left -= 1

    async def on_duty(self) -> set[str]:
        """Who has a shift now."""
        book = RotaBook(self._driver.requests)
        return {each.person for each in await self._driver.surely(lambda: book.shifts(DESK))}
