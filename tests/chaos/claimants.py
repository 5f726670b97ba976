"""The people of the campaign `claims`: they say much before somebody answers."""

from __future__ import annotations

import asyncio
import json
import random
import time
from datetime import datetime

import msgspec

from layby.runtime.ask_back_records import ASK_BACK
from layby.runtime.opened_records import OPENED

from .crowd import BOSS, GUIDE, NO_REPLY, PEOPLE, SQUAD, Climb
from .driver import Driver
from .history import Stored
from .plan import Ticket

PATIENCE = 25.0
"""Seconds that somebody waits until they are asked."""
_LOOK = 0.02
_EDGE = 0.3
_WATCHED = 9.0
"""Seconds after which a look that nobody has recorded is lost, and a bit."""
_REPLIES = 0.8
"""The share of what is asked back to which a person has a reply."""
_RUBBISH = (b"mine", b"\xff", b'{"minutes": -1}', b'{"questionId": "qnonsense"}', b"{")
_NO_TEXT = (b"", b" ", b"{}", b'{"text": ""}', b'{"text": 7}', b"\xff", b"{")
_NOWHERE = (b"role:nobody", b"role:squad", b"lead", b"")

_RUBBISHES = {"pass": _NOWHERE, ASK_BACK: _NO_TEXT}
"""By verb: what nobody can record."""


class Claimants:
    """Says all that people can say to the questions of a driver's tickets, by a seed."""

    def __init__(self, driver: Driver, seed: int) -> None:
        self._driver = driver
        self._seed = seed
        for role in (SQUAD, BOSS):
            driver.crowds[role] = self.answer
        driver.crowds[GUIDE] = self.guide

    async def early(self, ticket: Ticket) -> None:
        """Claim a question that was not asked yet."""
        await self._driver.say(SQUAD, ticket.id, b"", "ada", noun="claim")

    async def answer(self, ticket: Ticket, stored: Stored) -> None:
        """Have people say what they say to a question in the manner of its ticket."""
        climb, asked = ticket.ops[0].climb, msgspec.json.decode(stored.data)
        assert climb is not None
        draw = random.Random(f"{self._seed}/{asked['id']}")  # noqa: S311
        deadline = datetime.fromisoformat(asked["deadline"]).timestamp()
        one = _Claiming(self._driver, ticket, climb, asked["id"], draw, deadline)
        await getattr(one, climb.manner)()

    async def guide(self, ticket: Ticket, stored: Stored) -> None:
        """Reply to somebody who asks back, soon or late or never."""
        asked = msgspec.json.decode(stored.data)
        draw = random.Random(f"{self._seed}/{asked['id']}")  # noqa: S311
        await asyncio.sleep(draw.choice([0.0, draw.uniform(0.2, 1.0), draw.uniform(1.0, 3.0)]))
        body = {"answer": f"because of {asked['question']}", "questionId": asked["id"]}
        if draw.random() < _REPLIES:
            await self._driver.say(GUIDE, ticket.id, json.dumps(body).encode(), "gil")


class _Claiming:
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
        self._ticket = ticket.id
        self._climb = climb
        self._ref = ref
        self._draw = draw
        self._deadline = deadline

    async def talk(self) -> None:
        """Several say this and that, one after the other and at once; then one answers."""
        await self._anything(self._draw.randint(3, 8))
        await self._answer(SQUAD, self._draw.choice(PEOPLE))
        await self._anything(self._draw.randint(0, 2))

    async def race(self) -> None:
        """Some answer while others say something else."""
        await asyncio.gather(
            self._anything(self._draw.randint(2, 6)),
            self._answer(SQUAD, "ada", self._draw.uniform(0.0, 0.6)),
            self._answer(SQUAD, "bob", self._draw.uniform(0.0, 0.6)),
        )

    async def expiry(self) -> None:
        """A claim expires while another waits for that."""
        minutes = self._draw.uniform(0.01, 0.03)
        await self._say("claim", "ada", {"minutes": minutes})
        for _ in range(3):
            await asyncio.sleep(self._draw.uniform(0.3, 1.0))
            await self._say("claim", "bob", {})
        await self._answer(SQUAD, "cleo", self._draw.uniform(0.0, 1.5))

    async def kept(self) -> None:
        """One is on it, and only they are reminded."""
        await self._say("claim", "ada", {})
        if self._draw.random() < 0.5:
            await self._say("decline", "bob", {})
        await asyncio.sleep(self._draw.uniform(2.6, 3.6))
        if self._draw.random() < 0.5:
            await self._say("claim", "ada", {"minutes": 0})
        await self._answer(SQUAD, "ada")

    async def declined(self) -> None:
        """Everybody declines, and who is asked next answers."""
        people = [*PEOPLE, *(self._draw.sample(PEOPLE, 1) if self._draw.random() < 0.5 else ())]
        self._draw.shuffle(people)
        if self._draw.random() < 0.5:
            await asyncio.gather(*(self._say("decline", each, {}) for each in people))
        else:
            for each in people:
                await self._say("decline", each, {})
        await self._boss()

    async def passed(self) -> None:
        """It is passed on, to a person or to another role, which answers; or both do."""
        by, to = self._draw.sample(PEOPLE, 2)
        await self._say("claim", by, {})
        await self._say("pass", by, {"to": f"person:{to}"})
        await self._say("pass", to, {"to": f"role:{BOSS}"})
        if self._draw.random() < 0.4:
            await asyncio.gather(self._boss(), self._answer(SQUAD, by, self._draw.random()))
        else:
            await self._boss()

    async def edge(self) -> None:
        """They say it at the deadline, give or take."""
        at = self._deadline + self._draw.uniform(-_EDGE, _EDGE)
        await asyncio.sleep(max(0.0, at - time.time()))
        await asyncio.gather(self._anything(4), self._answer(SQUAD, "ada"))

    async def inquired(self) -> None:
        """Several ask back, one after the other and at once, and one answers, at any time."""
        for _ in range(self._draw.randint(1, 3)):
            together = [self._ask_back() for _ in range(self._draw.choice([1, 1, 2, 3]))]
            await asyncio.gather(*together, self._anything(self._draw.choice([0, 0, 1])))
            await asyncio.sleep(self._draw.choice([0.0, self._draw.uniform(0.0, 2.0)]))
        await self._answer(SQUAD, self._draw.choice(PEOPLE))
        await self._ask_back()

    async def stopped(self) -> None:
        """The clock stands for who asks back, and somebody answers after the first deadline."""
        seq = await self._ask_back()
        if self._draw.random() < 0.5:
            await self._ask_back()
        until = time.monotonic() + PATIENCE
        while not self._is_recorded(seq) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK)
        late = self._deadline + self._draw.uniform(0.0, 1.0)
        await asyncio.sleep(max(0.0, late - time.time()))
        await self._answer(SQUAD, self._draw.choice(PEOPLE))

    async def watched(self) -> None:
        """One asks back, several look at it, again and again, and one answers much later."""
        await self._ask_back()
        await asyncio.sleep(self._draw.choice([0.0, 1.5]))
        for _ in range(self._draw.randint(2, 5)):
            await self._look(self._draw.choice(PEOPLE))
            await asyncio.sleep(self._draw.choice([0.0, 0.0, 0.3]))
        await asyncio.sleep(_WATCHED)
        await self._answer(SQUAD, self._draw.choice(PEOPLE))

    def _is_recorded(self, seq: int) -> bool:
        """Whether what was asked back is in the log, or can no longer be."""
        for state in self._driver.history.states.values():
            question = state.questions.get(self._ref)
            if question is not None:
                asked = state.asked_back.get(self._ref, ())
                return question.status != "open" or any(each.seq == seq for each in asked)
        return False

    async def _ask_back(self) -> int:
        """Ask for something that nobody has asked for before."""
        how = self._draw.choice([NO_REPLY, "why", "why", "why"])
        text = f"{how} {self._draw.getrandbits(40):x}?"
        return await self._say(ASK_BACK, self._draw.choice(PEOPLE), {"text": text})

    async def _look(self, by: str) -> None:
        via = self._draw.choice(["", "", "", ".via-slack"])
        await self._say(OPENED, by + via, {})

    async def _boss(self) -> None:
        """Answer for the other role once that is asked; say something too early, at times."""
        if self._draw.random() < 0.2:
            await self._driver.say(BOSS, self._ticket, b"", "boss", noun="claim")
        until = time.monotonic() + PATIENCE
        while (self._ref, BOSS) not in self._driver.history.shown:
            if time.monotonic() > until:
                await self._answer(SQUAD, "ada")
                return
            await asyncio.sleep(_LOOK)
        if self._draw.random() < 0.5:
            await self._say("claim", "boss", {}, role=BOSS)
        await self._answer(BOSS, "boss")

    async def _anything(self, count: int) -> None:
        """This and that."""
        for _ in range(count):
            together = [self._something() for _ in range(self._draw.choice([1, 1, 2, 3]))]
            await asyncio.gather(*together)
            await asyncio.sleep(self._draw.choice([0.0, 0.0, self._draw.uniform(0.0, 0.4)]))

    async def _something(self) -> None:
        by = self._draw.choice(PEOPLE)
        verb = self._draw.choice([*["claim"] * 4, "pass", "decline", "nothing", ASK_BACK, OPENED])
        body: dict[str, object] = {}
        match verb:
            case "claim":
                minutes = self._draw.choice([None, 0, 0, 90, 0.01, 0.02])
                body = {} if minutes is None else {"minutes": minutes}
            case "pass":
                others = [each for each in PEOPLE if each != by]
                body = {"to": self._draw.choice([f"person:{self._draw.choice(others)}"] * 3)}
            case "decline":
                pass
            case "ask-back":
                await self._ask_back()
                return
            case "opened":
                await self._look(by)
                return
            case _:
                await self._rubbish(by)
                return
        await self._say(verb, by, body)

    async def _rubbish(self, by: str) -> None:
        """Something that nobody can record."""
        noun = self._draw.choice(["claim", "decline", "pass", ASK_BACK, OPENED])
        data = self._draw.choice(_RUBBISHES.get(noun, _RUBBISH))
        if noun == "decline" and data.startswith(b'{"minutes"'):
            data = b"{"
        by = self._draw.choice([by, by, ""])
        await self._driver.say(SQUAD, self._ticket, data, by, noun=noun)

    async def _say(self, verb: str, by: str, body: dict[str, object], *, role: str = SQUAD) -> int:
        """Say it, naming the question or not, as there is only one."""
        if self._draw.random() < 0.7:
            body = {**body, "questionId": self._ref}
        data = json.dumps(body).encode() if body else b""
        return await self._driver.say(role, self._ticket, data, by, noun=verb)

    async def _answer(self, role: str, by: str, after: float = 0.0) -> None:
        await asyncio.sleep(after)
        text = f"{by} of {role}"
        data = json.dumps({"answer": text, "questionId": self._ref}).encode()
        await self._driver.say(role, self._ticket, data, by)
