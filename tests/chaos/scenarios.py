"""The campaigns: each makes one sort of fault, in the size that it is asked for."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter

import msgspec

from layby.runtime import crash
from tests import ask_back_app, claims_app, ladder_app, notifier_app, votes_app

from .campaign import Campaign
from .fleet import Worker
from .plan import (
    Ticket,
    answered_in_time,
    answered_in_turn,
    answered_thrice,
    batches,
    expiring,
    handed_over,
    one_of_each,
    plans,
    signed,
    sleeping,
    two_at_once,
)
from .report import Report

_SETTLE = 40.0
_VISITS = 40
_ASKED = 250.0
"""Questions a second that are asked at least, on a slow machine."""
_SHIFT = 5
"""Crash points that one healthy worker sees."""
POINTS = tuple(
    point
    for point in crash.POINTS
    if not point.endswith(("blocked", "reopened"))
    and not point.startswith("purge_")
    and point not in votes_app.POINTS + ladder_app.POINTS + claims_app.POINTS + notifier_app.POINTS
    and point not in ask_back_app.POINTS
)
"""The crash points of `crash_points`; runs that are blocked or retried meet others, and those of
votes, ladders, claims and cards are met in campaigns of their own, those of purges and of
asking back in tests/acceptance/test_commands_crashes.py and test_ask_backs_crashes.py.
"""
_EXPIRY = {"before_expired", "after_expired"}
_SHOWING = {"before_record_put", "after_record_put", "after_question", "after_timer"}


async def crash_points(c: Campaign, *, rounds: int = 1, points: tuple[str, ...] = POINTS) -> Report:
    """A worker is killed at every named point, beside one that goes on for a while."""
    for number in range(rounds):
        for place, point in enumerate(points):
            if place % _SHIFT == 0:
                # An old worker has more pulls open than a new one, and so takes most of the mail.
                old = c.fleet.living
                await c.start()
                for worker in old:
                    await c.kill(worker)
            # Later rounds die at later visits of the point.
            [victim] = await c.start(crash=f"{point}:{1 + number % 4}")
            await _meet(c, victim, point)
    return await c.settle(_SETTLE)


async def _meet(c: Campaign, victim: Worker, point: str) -> None:
    """Open tickets until the victim has met its end."""
    for _ in range(_VISITS):
        tickets = _small(len(c.driver.tickets), point)
        c.driver.open(*tickets)
        await c.until(lambda: not victim.lives or is_over(c, tickets), 20, point)  # noqa: B023
        if not victim.lives:
            break
    if victim.lives:
        c.complaints.append(f"crash point {point} is not reached")
        await victim.kill()
    elif victim.code == -signal.SIGKILL:
        c.note(f"worker killed at {point}")


def _small(n: int, point: str) -> list[Ticket]:
    """A few tickets that pass a crash point."""
    if point in _EXPIRY:
        return [expiring(n + i) for i in range(1, 7)]
    if point in _SHOWING:
        # Deadlines before anybody else gets the mail, and an answer to the other question.
        return [*(expiring(n + i) for i in range(1, 4)), two_at_once(n + 4), two_at_once(n + 5)]
    cancelled = msgspec.structs.replace(one_of_each(n + 3), manner="never", cancel_after=0.3)
    return [one_of_each(n + 1), answered_thrice(n + 2), cancelled, sleeping(n + 4)]


def is_over(c: Campaign, tickets: list[Ticket]) -> bool:
    """Whether the runs of these tickets have ended."""
    ended = {state.ticket for state in c.driver.history.states.values() if state.ended}
    return all(ticket.id in ended for ticket in tickets)


async def random_kills(
    c: Campaign, *, tickets: int = 60, workers: int = 3, kills: int = 15, every: float = 0.4
) -> Report:
    """Workers are killed at random moments and replaced."""
    await c.start(workers)
    async with c.manned(workers):
        todo = plans(c.seed, tickets)
        batch = -(-tickets // kills)
        for number in range(kills):
            c.driver.open(*todo[number * batch : (number + 1) * batch])
            await c.while_looking(c.draw.uniform(0.5, 1.5) * every)
            ready = [worker for worker in c.fleet.living if worker.ready.is_set()]
            if ready:
                await c.kill(c.draw.choice(ready))
    return await c.settle(_SETTLE)


async def server_kills(
    c: Campaign,
    *,
    tickets: int = 40,
    workers: int = 2,
    kills: int = 4,
    every: tuple[float, float] = (0.05, 0.8),
) -> Report:
    """The server is killed and started again, while everybody goes on."""
    await c.start(workers)
    todo = plans(c.seed, tickets)
    for number in range(kills):
        part = todo[number * tickets // kills : (number + 1) * tickets // kills]
        seconds = c.draw.uniform(*every)
        for ticket in part:  # so that some have just begun when the server dies
            await c.while_looking(seconds / len(part))
            c.driver.open(ticket)
        await c.while_looking(c.draw.uniform(0.0, 0.3))
        await c.restart_server(c.draw.choice([0.0, 0.0, 0.5]))
        await c.while_looking(0.5)
    return await c.settle(_SETTLE + 20)


async def zombies(
    c: Campaign, *, tickets: int = 30, workers: int = 2, pauses: int = 2, ack_wait: float = 1.5
) -> Report:
    """Workers are stopped amid their work for three ack-waits, then go on where they were."""
    await c.start(workers)
    todo = plans(c.seed, tickets)
    batch = -(-tickets // pauses)
    for number in range(pauses):
        c.driver.open(*todo[number * batch : (number + 1) * batch])
        await c.while_looking(c.draw.uniform(0.05, 0.4))
        await c.pause(c.draw.choice(c.fleet.living), 3 * ack_wait)
        await c.while_looking(0.5)
    return await c.settle(_SETTLE)


async def handovers(c: Campaign, *, rounds: int = 2, tickets: int = 8) -> Report:
    """The worker of a mail dies amid it; the one that gets it next has an old copy of the run."""
    for _ in range(rounds):
        await c.start(2 - len(c.fleet.living))
        first = len(c.driver.tickets)
        todo = [handed_over(first + i) for i in range(1, tickets + 1)]
        c.driver.open(*todo)
        slow = {f"{ticket.n}/3-slow" for ticket in todo}
        await c.until(lambda: len(c.begun(slow)) == tickets, 30, "slow steps")  # noqa: B023
        [(busiest, _)] = Counter(c.begun(slow).values()).most_common(1)
        for worker in c.fleet.living:
            if worker.pid == busiest:
                await c.kill(worker)
        await c.until(lambda: is_over(c, todo), 30, "the other worker goes on")  # noqa: B023
    return await c.settle(_SETTLE)


async def race(c: Campaign, *, tickets: int = 40, workers: int = 4) -> Report:
    """Many workers take the same runs' mail, with nothing wrong."""
    await c.start(workers)
    c.driver.open(*plans(c.seed, tickets))
    return await c.settle(_SETTLE)


async def _killed_between_batches(
    c: Campaign, tickets: list[Ticket], workers: int, kills: int
) -> Report:
    await c.start(workers)
    async with c.manned(workers):
        for batch in batches(tickets, kills):
            c.driver.open(*batch)
            await c.while_looking(c.draw.uniform(0.3, 0.8))
            ready = [worker for worker in c.fleet.living if worker.ready.is_set()]
            if ready:
                await c.kill(c.draw.choice(ready))
    return await c.settle(_SETTLE + len(tickets) / 20)


async def answer_race(
    c: Campaign, *, tickets: int = 120, workers: int = 8, kills: int = 6
) -> Report:
    """Each question is answered twice, one after the other, while workers die with answers."""
    return await _killed_between_batches(
        c, [answered_in_turn(n) for n in range(1, tickets + 1)], workers, kills
    )


async def signed_answers(
    c: Campaign, *, tickets: int = 40, workers: int = 3, kills: int = 6
) -> Report:
    """Each question takes a signed answer and gets forged ones with it, while workers die."""
    return await _killed_between_batches(
        c, [signed(n) for n in range(1, tickets + 1)], workers, kills
    )


async def many_deadlines(c: Campaign, *, tickets: int = 100, workers: int = 2) -> Report:
    """All deadlines fall in one second."""
    await c.start(workers)
    second = time.time() + 3.0 + tickets / _ASKED
    at = [second + c.draw.random() * 0.99 for _ in range(tickets)]
    c.driver.open(*(expiring(n, at=at[n - 1]) for n in range(1, tickets + 1)))
    report = await c.settle(_SETTLE + tickets / 20)
    deadlines = [q.deadline for s in c.driver.history.states.values() for q in s.questions.values()]
    within = sum(0.0 <= deadline - second < 1.0 for deadline in deadlines)
    report.notes.append(f"{within} of {len(deadlines)} deadlines fell within one second")
    return report


async def all_down(c: Campaign, *, tickets: int = 30) -> Report:
    """Deadlines fall, and answers are sent, while no worker is up and then no server either."""
    await c.start(2)
    todo = plans(c.seed, tickets)
    close = [answered_in_time(tickets + n) for n in range(1, 11)]
    c.driver.open(*todo, *close, *(expiring(tickets + n, 1.0) for n in range(11, 21)))
    await c.until(lambda: all(c.driver.was_asked(one) for one in close), 20, "questions")
    await asyncio.gather(*(c.kill(worker) for worker in c.fleet.living))
    await c.while_looking(1.0)
    await c.restart_server(0.5)
    await c.while_looking(0.5)
    return await c.settle(_SETTLE)
