"""Records what was said to open questions in the order in which it was stored.

A worker that handles an act first judges all that was stored before it, and remembers up to where
it has: a hundred thousand acts on one ticket are read once, a turn at a time, and others continue
between the turns.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import NamedTuple
from weakref import WeakValueDictionary

import msgspec

from ...bus.bounded import Bounded
from ...bus.requests import Requests
from ...runtime import clock, crash
from ...runtime.run import LiveRun
from ...runtime.state import OPEN
from .act_decision import ActDecider, Decision
from .answer import TAKEN, Given, Verdict, judge
from .asked_of import record_for, related
from .parked_question import ParkedQuestion
from .question_closing import Overtaken
from .sent_acts import SentAct, SentActs
from .tickets import ParkedRecord

_REMEMBERED = 10_000
_AT_ONCE = 4
"""Questions whose acts are read at the same time, which limits the memory that it takes."""
_TURN = 0.1
"""Seconds after which a turn ends, for the sake of others, if it has judged enough."""
_ENOUGH = 256
"""What a turn judges at least: beginning one takes some requests."""


class Taken(NamedTuple):
    """What became of an act."""

    decision: Decision
    earlier: bool
    """Whether anything said before it was recorded with it."""


class EarlierActs:
    """Judges the acts to the questions of one role by what was said before them."""

    def __init__(self, role: str, requests: Requests, decider: ActDecider) -> None:
        self._role = role
        self._decider = decider
        self._sent = SentActs(requests)
        self._judged: Bounded[tuple[str, str], int] = Bounded(_REMEMBERED)
        """By question and role: up to where in the stream this worker has judged what was said."""
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """By question: what was said to one is judged once, not by all who handle its acts."""
        self._reading = asyncio.Semaphore(_AT_ONCE)
        self._loop = asyncio.get_running_loop()

    async def take(
        self, live: LiveRun, parked: ParkedQuestion, record: ParkedRecord, sent: SentAct
    ) -> Taken:
        """Record an act after what was said before it, unless it is refused.

        An act that names no question, and was skipped here because its question was unknown, is
        refused when its turn comes.

        Raises:
            Overtaken: the question has been closed meanwhile.
            Fenced: the run has moved on.
        """
        earlier = False
        while True:
            async with self._turn_of(parked.id):
                if live.state.questions[parked.id].status != OPEN:
                    raise Overtaken
                found, is_done = await self._advance(live, parked, record, sent.seq)
                earlier |= found
                if is_done:
                    decision = await self.record(live, parked.id, sent)
                    # Only once it is recorded: the handler of a later act continues from here.
                    self._note(parked.id, related(record, self._role), sent.seq)
                    return Taken(decision, earlier)

    async def take_stored(
        self, live: LiveRun, parked: ParkedQuestion, record: ParkedRecord
    ) -> bool:
        """Record all that was said by now to an open question; whether there was any.

        Raises Fenced.
        """
        found = False
        before = await self._sent.newest(record.ticket, related(record, self._role)) + 1
        while live.state.questions[parked.id].status == OPEN:
            async with self._turn_of(parked.id):
                any_more, is_done = await self._advance(live, parked, record, before)
            found |= any_more
            if is_done:
                break
        return found

    async def record(self, live: LiveRun, question: str, sent: SentAct) -> Decision:
        """Append what an act says, unless the log has it, or it is refused. Raises Fenced."""
        asked = live.state.questions[question]
        decision = await self._decider.decide(live.state, asked, sent, max(sent.at, clock.now()))
        if decision.records:
            crash.point("before_act")
            await live.append(list(decision.records), to=decision.to)
            crash.point("after_act")
        return decision

    def _turn_of(self, question: str) -> asyncio.Lock:
        return self._turns.setdefault(question, asyncio.Lock())

    async def _advance(
        self, live: LiveRun, parked: ParkedQuestion, record: ParkedRecord, before: int
    ) -> tuple[bool, bool]:
        """Judge what was said before a place in the stream and was not judged here, for one turn.

        Returns whether any of it was recorded, and whether all of it is judged. Raises Fenced.
        """
        roles = related(record, self._role)
        after = {role: self._position(live, parked.id, role) for role in roles}
        if min(after.values()) >= before - 1:
            return False, True
        shown = min([parked.since, *(each.since for each in parked.also.values())])
        found, count, ends = False, 0, float("inf")
        async with (
            self._reading,
            aclosing(self._sent.between(record.ticket, after, before, shown)) as said,
        ):
            async for seq, act in said:
                if act is not None:
                    found |= await self._judge(live, parked, record, act)
                self._note(parked.id, roles, seq)
                count += 1
                ends = min(ends, self._loop.time() + _TURN)
                if count >= _ENOUGH and self._loop.time() > ends:
                    return found, False
        self._note(parked.id, roles, before - 1)
        return found, True

    async def _judge(
        self, live: LiveRun, parked: ParkedQuestion, record: ParkedRecord, act: SentAct
    ) -> bool:
        """Record an act if it is for this question and is not refused. Returns whether it was."""
        verdict = verdict_on(record, act)
        if verdict.question is None or verdict.question.id != parked.id:
            return False
        if verdict.outcome not in TAKEN:
            return False
        return bool((await self.record(live, parked.id, act)).records)

    def _position(self, live: LiveRun, question: str, role: str) -> int:
        return max(self._judged.get((question, role)) or 0, *recorded(live, question), 0)

    def _note(self, question: str, roles: tuple[str, ...], seq: int) -> None:
        for role in roles:
            known = self._judged.get((question, role)) or 0
            self._judged.put((question, role), max(known, seq), size=1)


def verdict_on(record: ParkedRecord | None, sent: SentAct) -> Verdict:
    """Which question an act is for.

    It approves nothing, so it does not matter that a question has just ended.
    """
    view = record_for(record, sent.role)
    if view is not None:
        plain = tuple(msgspec.structs.replace(each, digest="") for each in view.questions)
        view = msgspec.structs.replace(view, questions=plain)
    return judge(view, sent.role, Given("-", sent.given.question_id), seq=sent.seq, at=sent.at)


def recorded(live: LiveRun, question: str) -> list[int]:
    """The sequences of what people said to a question, as far as the log has it."""
    state = live.state
    said = [each.seq for each in state.acts.get(question, ())]
    return said + [each.seq for each in state.asked_back.get(question, ())]
