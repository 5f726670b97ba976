"""The people of the campaign `votes`: they vote as they should, and in every other way."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import datetime

import msgspec

from .ballots import choices, may_vote
from .crowd import CREW, MEMBERS, Poll
from .driver import Driver
from .history import Stored
from .plan import Ticket

_CREW = ("uma", "vic", "wim", "xia")
_RUBBISH = (b"", b'{"answer": ', b"\xff\xfe", b'{"answer": null}', b"perhaps", b'{"answer": [1]}')
_SHOWN_WITHIN = 0.02
_EDGE = 0.3


class Voters:
    """Votes on the questions of a driver's tickets, by a seed."""

    def __init__(self, driver: Driver, seed: int) -> None:
        self._driver = driver
        self._seed = seed
        for role in (*MEMBERS, CREW):
            driver.crowds[role] = self.vote

    async def early(self, ticket: Ticket) -> None:
        """Vote on a ticket on which nothing was asked yet."""
        poll = next(op.poll for op in ticket.ops if op.poll is not None)
        by = random.Random(f"{self._seed}/{ticket.n}").choice(  # noqa: S311
            MEMBERS.get(poll.role, _CREW)
        )
        await self._driver.say(poll.role, ticket.id, b"yes", by)

    async def vote(self, ticket: Ticket, stored: Stored) -> None:
        """Have everybody vote on a question, once it is shown to all."""
        asked = msgspec.json.decode(stored.data)
        op = next(op for op in ticket.ops if asked["question"] == f"{ticket.n}/{op.name}")
        assert op.poll is not None
        voting = _Voting(self._driver, ticket, op.poll, asked["id"], self._seed)
        deadline = datetime.fromisoformat(asked["deadline"]).timestamp()
        await voting.shown()
        await voting.go(deadline if ticket.manner in {"edge", "never"} else 0.0)


class _Voting:
    """What happens on one question."""

    def __init__(self, driver: Driver, ticket: Ticket, poll: Poll, ref: str, seed: int) -> None:
        self._driver = driver
        self._ticket = ticket
        self._poll = poll
        self._ref = ref
        self._draw = random.Random(f"{seed}/{ref}")  # noqa: S311
        self._alone = sum(op.kind == "poll" for op in ticket.ops) == 1

    async def shown(self) -> None:
        """Wait until each role can read it: nobody else votes on it before."""
        wanted = {(self._ref, role) for role in self._poll.roles}
        while not wanted <= self._driver.history.shown.keys():  # noqa: ASYNC110
            await asyncio.sleep(_SHOWN_WITHIN)

    async def go(self, deadline: float) -> None:
        """Vote: those who may, and others beside them. With a deadline: at it, or too few."""
        if self._ticket.manner == "never":
            await self._one(self._draw.choice(self._entitled()), 0.3)
            await self._driver.closed(self._ref)
            await asyncio.gather(*(self._one(each, 0.0) for each in self._entitled()))
            return
        votes = [self._one(each, self._when(deadline)) for each in self._entitled()]
        others = [self._other(self._when(deadline)) for _ in range(self._draw.randint(0, 4))]
        together = [*votes, *others]
        self._draw.shuffle(together)
        await asyncio.gather(*together)
        if self._draw.random() < 0.3:
            await self._driver.closed(self._ref)
            await self._other(0.0)

    def _when(self, deadline: float) -> float:
        """Seconds until somebody votes."""
        if not deadline:
            return self._draw.choice([0.0, self._draw.uniform(0.0, 0.6)])
        now = datetime.now().astimezone().timestamp()
        return max(0.0, deadline - now + self._draw.uniform(-_EDGE, _EDGE))

    def _entitled(self) -> list[tuple[str, str]]:
        """Everybody who has a vote, with a role that they have it for."""
        roles = self._draw.sample(self._poll.roles, len(self._poll.roles))
        people = {
            by: role
            for role in roles
            for by in MEMBERS.get(role, _CREW)
            if may_vote(self._poll, role, by)
        }
        return [(role, by) for by, role in people.items()]

    async def _one(self, who: tuple[str, str], delay: float) -> None:
        """Somebody votes; some do so twice."""
        role, by = who
        choice = self._choice()
        again = self._draw.random() < 0.25
        await asyncio.sleep(delay)
        await self._say(role, by, self._said(choice))
        if again:
            theirs = [each for each in self._poll.roles if by in MEMBERS.get(each, (by,))]
            await self._say(self._draw.choice(theirs), by, self._said(self._choice()))

    def _choice(self) -> str:
        """What one votes for: in a crew, where only agreement ends it, the same."""
        if self._poll.role == CREW:
            return choices(self._poll)[0]
        likely, *rest = choices(self._poll)
        return self._draw.choice([likely, likely, *rest])

    async def _other(self, delay: float) -> None:
        """Somebody votes who must not, or in a way that does not count."""
        role, kind = self._draw.choice(self._poll.roles), self._draw.randrange(7)
        known = self._draw.choice(MEMBERS.get(role, _CREW))
        said = self._said(self._choice())
        await asyncio.sleep(delay)
        match kind:
            case 0:
                await self._say(role, "", said)  # without a name
            case 1:
                outsider = "mallory" if role in MEMBERS else ""
                await self._say(role, outsider, said)
            case 2:
                await self._say(role, known, self._draw.choice(_RUBBISH))
            case 3:
                await self._say(role, known, b'{"answer": "yes", "questionId": "qnonsense"}')
            case 4:
                other = "legal" if role == "finance" else "finance"
                await self._say(other, known, said)  # asked or not, a member or not
            case 5:
                excluded = self._poll.exclude or [known]
                await self._say(role, excluded[0], said)
            case _:
                await asyncio.gather(*(self._say(role, known, said) for _ in range(2)))

    def _said(self, choice: str) -> bytes:
        """A vote in one of the forms that people write it in; it names the question, or cannot
        mean another.
        """
        if self._alone and self._draw.random() < 0.4:
            return choice.encode()
        value = choice == "yes" if choice in {"yes", "no"} and self._draw.random() < 0.3 else choice
        return json.dumps({"answer": value, "questionId": self._ref}).encode()

    async def _say(self, role: str, by: str, data: bytes) -> None:
        await self._driver.say(role, self._ticket.id, data, by)
