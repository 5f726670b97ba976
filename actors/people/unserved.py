"""Notices cards that no process has sent: a channel that nobody serves must not hide a question.

Where a question is published to a role with channels, a wake-up is armed. A card about which the
log says nothing by then is given up as if its channel had failed. If none has shown the question,
the next escalation is reached. The message stays in the mailbox of its channel, so a process that
has what the channel needs still sends the card when it starts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from ...bus.dead import DeadLetters
from ...bus.mailbox import Delivery
from ...bus.timers import HELD as WAKE
from ...bus.timers import Timers
from ...runtime import clock, crash
from ...runtime.card_records import FAILED, FIRST, HELD, Notified
from ...runtime.cards import SentCard, card_in
from ...runtime.due_handler import LAGS
from ...runtime.duration import human
from ...runtime.host import Host
from ...runtime.ladder import NO_LADDER
from ...runtime.ports import Due
from ...runtime.role import Role
from ...runtime.run import LiveRun
from ...runtime.state import OPEN, Question, RunState
from .open_questions import OpenQuestions
from .rungs import Rungs, timer_of
from .tickets import Tickets
from .undelivered import GivingUp

UNSERVED: Final = "unserved"
"""The kind of these wake-ups."""
_LIMIT: Final = 900.0
"""Seconds that a card has to be sent. A channel that fails is given up earlier, by its notifier."""
_SHARE: Final = 0.5
"""The share of the time until the deadline that it has at most: then others can still answer."""
_AHEAD: Final = 1.0
"""Seconds by which clocks may differ, so that a card that was held is looked at once more."""


class CardWatch:
    """Arms a wake-up for each card that must be sent."""

    def __init__(self, timers: Timers, roles: Mapping[str, Role]) -> None:
        self._timers = timers
        self._roles = {name: role for name, role in roles.items() if role.channels}

    async def arm(
        self, state: RunState, question: Question, role: str, *, rung: int = FIRST
    ) -> None:
        """Have it noticed if nobody sends the cards to one role. Repeatable.

        `rung`: the rung that was reached, by its place in the ladder.
        """
        found = self._roles.get(role)
        if found is None:
            return
        ladder = state.ladders.get(question.id, NO_LADDER)
        since = question.asked_at if rung == FIRST else ladder.rungs[rung].reached
        if rung == FIRST and found.quiet is not None and not ladder.urgent:
            until = found.quiet.until(since)
            since = until if until < question.deadline else since
        due = Due(
            kind=UNSERVED,
            run=state.id,
            at=round(since + _patience(question.deadline - since), 3),
            role=role,
            ticket=state.ticket,
            question=question.id,
            rung=rung,
            channels=tuple(each.name for each in found.channels),
        )
        await self._arm(due, "")
        crash.point("after_watch_armed")

    async def again(self, due: Due, since: float, deadline: float) -> None:
        """Have a card that is held until `since` looked at once more. Repeatable."""
        at = round(since + _patience(deadline - since), 3)
        await self._arm(msgspec.structs.replace(due, at=at), f"={at:.0f}")

    async def _arm(self, due: Due, mark: str) -> None:
        name = timer_of(due.question, f"{UNSERVED}={due.role}={due.rung}{mark}")
        await self._timers.arm(name, due.at, msgspec.json.encode(due), word=WAKE)


class Unserved:
    """Gives up the cards that nobody has sent, to the roles of any app in the account."""

    def __init__(
        self,
        host: Host,
        tickets: Tickets,
        *,
        listed: OpenQuestions,
        dead: DeadLetters,
        watch: CardWatch,
        rungs: Callable[[str], Rungs],
    ) -> None:
        self._host = host
        self._tickets = tickets
        self._listed = listed
        self._dead = dead
        self._watch = watch
        self._rungs = rungs

    async def due(self, due: Due, delivery: Delivery) -> None:
        """Give up what nobody has sent, unless the question is closed."""
        record, _ = await self._tickets.get(due.ticket)
        shown = record.questions if record is not None else ()
        if any(each.id == due.question and each.status != OPEN for each in shown):
            await delivery.ack()
            return
        live = await self._host.open(due.run)
        live.users += 1
        try:
            await live.confirm()
            question = live.state.questions.get(due.question)
            if question is None and delivery.num_delivered < LAGS:
                await delivery.nak(1.0)  # a follower that lags behind its leader
                return
            if question is not None:
                await self._look(due, live, question, max(delivery.at, clock.now()))
        finally:
            live.users -= 1
            self._host.cache.count(live)
        await delivery.ack()

    async def _look(self, due: Due, live: LiveRun, question: Question, now: float) -> None:
        state = live.state
        is_asked = due.role in state.roles_of(question)
        if question.status != OPEN or now >= question.deadline or not is_asked:
            return
        cards = state.cards.get(question.id, ())
        cards_of = {each: card_in(cards, due.role, each, due.rung) for each in due.channels}
        held = [card.until for card in cards_of.values() if card and _is_held(card, now)]
        if held:
            await self._watch.again(due, max(held), question.deadline)
        missing = {name: card for name, card in cards_of.items() if _is_missing(card, now)}
        giving_up = GivingUp(
            due.role, due.channels, self._rungs(due.role), self._listed, self._dead
        )
        took = human(round(max(1.0, due.at - _since(state, question, due.rung))))
        records = [_given_up(due, name, card, took) for name, card in missing.items()]
        await giving_up.unserved(live, records)


def _patience(left: float) -> float:
    return min(_LIMIT, left * _SHARE)


def _since(state: RunState, question: Question, rung: int) -> float:
    rungs = state.ladders.get(question.id, NO_LADDER).rungs
    return rungs[rung].reached if 0 <= rung < len(rungs) else question.asked_at


def _is_held(card: SentCard, now: float) -> bool:
    """Whether quiet hours hold it, or have ended just now."""
    return card.status == HELD and card.until + _AHEAD > now


def _is_missing(card: SentCard | None, now: float) -> bool:
    return card is None or (card.status == HELD and not _is_held(card, now))


def _given_up(due: Due, channel: str, card: SentCard | None, took: str) -> Notified:
    return Notified(
        id=due.question,
        role=due.role,
        channel=channel,
        rung=due.rung,
        status=FAILED,
        until=card.until if card is not None else 0.0,
        reason=f"it was not sent within {took}: if no process serves it, start `layby notify`",
    )
