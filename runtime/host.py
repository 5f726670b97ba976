"""Performs what the log decides: take a mail, bring the run forward, append, acknowledge.

The acknowledgement comes last. A crash before it makes the server deliver the mail again; the
fold then shows what is already done.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

import structlog
from structlog.contextvars import bind_contextvars

from ..bus.dead import DeadLetters
from ..bus.log import NOBODY, Log, LogMessage, parse
from ..bus.mailbox import Delivery
from . import chronicle, crash
from .activation import Activation, Outcome, Trail
from .actor_step import ActorStep
from .addressee import addressee
from .doubt import Doubt
from .duration import human
from .entry import (
    NULL,
    ROOT,
    Cancelled,
    Ended,
    Record,
    Returned,
    Started,
    Woken,
    decode,
)
from .errors import (
    AskTimedOut,
    BudgetSpent,
    Fenced,
    LaybyError,
    MaxTurns,
    RunCancelled,
    StepFailed,
    Undeclared,
)
from .failure import failure_of
from .guard import Guard
from .ids import timer_name
from .index import Index
from .run import LiveRun, RunCache
from .services import Due, Services
from .state import (
    BUDGET_SPENT,
    CANCELLED,
    COMPLETED,
    FAILED,
    MAX_TURNS,
    NEVER,
    TIMED_OUT,
    Frame,
    RunState,
)
from .values import dump

log = structlog.get_logger("layby.host")

LAGS = 6
"""Deliveries of a wake-up or deadline in which the copy of the log that was read may lag."""
_RELEASES = 14
"""Deliveries, some four minutes, in which a worker of the right release may take a run."""
_SAME = 0.001
"""Seconds by which two readings of one deadline may differ."""
_STATUS: dict[type[Exception], str] = {
    AskTimedOut: TIMED_OUT,
    BudgetSpent: BUDGET_SPENT,
    MaxTurns: MAX_TURNS,
    RunCancelled: CANCELLED,
}


class Behaviour(Protocol):
    """A kind of actor: what its frames do."""

    @property
    def address(self) -> str:
        """The actor's name in subjects."""
        ...

    @property
    def strict(self) -> bool:
        """Whether the body is the user's, so that it is held against its recorded steps."""
        ...

    async def enter(self, step: ActorStep, frame: Frame, state: RunState) -> Any:
        """Run the body from its start."""
        ...


Tidy = Callable[[LiveRun], Awaitable[None]]
"""Clears away what a run that is over has left outside its log. Idempotent."""


class Host:
    """Brings runs forward in one worker."""

    def __init__(
        self,
        *,
        log_: Log,
        index: Index,
        dead: DeadLetters,
        services: Services,
        doubt: Doubt,
    ) -> None:
        self.cache = RunCache(log_, told=chronicle.tell)
        self.index = index
        self.services = services
        self.guard = Guard(dead, self._fail)
        self.tidiers: list[Tidy] = []
        self._doubt = doubt
        self._trail = Trail()
        self._active: dict[str, set[Activation]] = {}

    def stop_run(self, run_id: str) -> None:
        """End the run's activations in this worker at once, for it was cancelled."""
        for activation in list(self._active.get(run_id, ())):
            activation.stop(Fenced("the run was cancelled"))

    async def start(
        self, behaviour: Behaviour, delivery: Delivery, run: str, opening: Started
    ) -> None:
        """Handle an event: start its run, or go on with it when it has begun before."""
        delivery.run = run
        again = self.may_repeat(delivery)
        live = await self.cache.get(run) if again else self.cache.fresh(run)
        again = again or live.doubtful
        if again:
            await live.catch_up()
        # An event with an id of its own may have been sent before.
        fresh = not again and "Nats-Msg-Id" not in delivery.headers
        await self._hold(
            live,
            behaviour,
            delivery,
            lambda: self._start(behaviour, live, opening, again=again, fresh=fresh),
        )

    async def _start(
        self, behaviour: Behaviour, live: LiveRun, opening: Started, *, again: bool, fresh: bool
    ) -> None:
        if not live.state.frames:
            frame = Frame(id=ROOT, actor=opening.actor, opened=1, input=opening.event)
            activation = Activation(
                live, frame, 1, self._trail, redelivered=not fresh, opening=opening
            )
            try:
                await self._drive(behaviour, activation, opening)
            except Fenced:
                # Either the run had begun before, or another worker is at it right now.
                if activation.appended or not live.state.frames:
                    raise
            else:
                await self._finish(live)
                return
        # A run that another event of the same id has begun is that event's to go on with, which may
        # be in the midst of a step right now.
        ours = live.state.seq in {0, opening.seq}
        if ours and again and not live.state.ended:
            activation = Activation(live, live.state.root, 1, self._trail, redelivered=True)
            await self._drive(behaviour, activation)
        await self._finish(live)

    def may_repeat(self, delivery: Delivery) -> bool:
        """Whether it was delivered before; a killed server forgets how often it was."""
        return delivery.num_delivered > 1 or self._doubt.covers(delivery)

    def interrupted(self) -> None:
        """Take note that the server may have forgotten what it delivered.

        It may deliver mail as new that another worker has handled in part, and what is recorded
        must not run again.
        """
        self._doubt.renew()
        self.cache.doubt()

    async def mail(self, behaviour: Behaviour, delivery: Delivery) -> None:
        """Handle an entry of a log that is addressed to `behaviour`."""
        to, run, n = parse(delivery.subject)
        delivery.run = run
        live = await self.open(run, LogMessage(n, to, delivery.data))
        await self._hold(
            live, behaviour, delivery, lambda: self._mail(behaviour, live, n, delivery)
        )

    async def _mail(self, behaviour: Behaviour, live: LiveRun, n: int, delivery: Delivery) -> None:
        again = self.may_repeat(delivery) or live.doubtful
        if again:
            await live.catch_up()
        record = decode(delivery.data).records[-1]
        if isinstance(record, Cancelled):
            chronicle.cancelled(live.state, record)
        frame = addressee(live.state, record)
        if frame is not None and not frame.done and not live.state.ended:
            redelivered = again or live.state.tail > n
            activation = Activation(live, frame, n, self._trail, redelivered=redelivered)
            await self._drive(behaviour, activation)
        await self._finish(live)

    async def open(self, run: str, message: LogMessage | None = None) -> LiveRun:
        """The run, folded at least as far as `message`, which was delivered."""
        live = self.cache.warm(run)
        if live is None and message is not None and message.n == 1:
            live = self.cache.fresh(run)
        if live is None:
            live = await self.cache.get(run)
        if live.doubtful:
            await live.catch_up()
        if message is not None and not live.learn(message):
            await live.catch_up()
            if not live.learn(message):
                raise LaybyError(f"the log of run {run} lacks what precedes position {message.n}")
        self.cache.count(live)
        return live

    async def woken(self, due: Due, delivery: Delivery) -> None:
        """Handle the end of a sleep, a wait or a back-off."""
        live = await self.open(due.run)
        slot = live.state.slot(due.frame, due.key)
        if slot is None or not slot.wake_at:
            await live.catch_up()
            slot = live.state.slot(due.frame, due.key)
        frame = live.state.frames.get(due.frame)
        if frame is None and delivery.num_delivered < LAGS:
            await delivery.nak(1.0)  # a follower that lags, or a log that was purged
            return
        if slot is not None and frame is not None and 0 < slot.wake_at <= due.at + _SAME:
            with suppress(Fenced):
                await live.append([Woken(frame=due.frame, key=due.key)], to=frame.actor)
        await delivery.ack()

    async def limited(self, due: Due, delivery: Delivery) -> None:
        """End a run that has taken too long, not counting the time that people took."""
        live = await self.open(due.run)
        await live.catch_up()
        left = due.limit - live.state.busy_for(delivery.at)
        if live.state.frames and not live.state.ended:
            if left > _SAME and not due.early:
                await self.services.arm_limit(due.run, delivery.at + max(left, 1.0), due.limit)
            else:
                error = f"it took longer than {human(due.limit)}, without the time people took"
                await self.end(live, Ended(status=TIMED_OUT, error=error))
        await delivery.ack()

    async def end(self, live: LiveRun, record: Ended | Cancelled) -> None:
        """End a run from outside: its work stops at once, its workflow's actor tidies up."""
        with suppress(Fenced):
            await live.append([record], to=live.state.root.actor)
            self.stop_run(live.id)
            if self.services.announce_end is not None:
                await self.services.announce_end(live.id)

    async def _hold(
        self,
        live: LiveRun,
        behaviour: Behaviour,
        delivery: Delivery,
        work: Callable[[], Awaitable[None]],
    ) -> None:
        live.users += 1
        self.index.soon(live)  # the work may take long
        try:
            await work()
            crash.point("before_ack")
            await delivery.ack()
        except Fenced as fenced:
            log.info("activation.fenced", run=live.id, actor=behaviour.address, why=str(fenced))
            await delivery.nak(0.2 + random.random())  # noqa: S311  so that rivals spread out
        except Undeclared as undeclared:
            await self._leave(live, delivery, undeclared)
        finally:
            live.users -= 1
            self.cache.count(live)
            if live.state.ended:
                self.cache.drop(live.id)

    async def _leave(self, live: LiveRun, delivery: Delivery, why: Undeclared) -> None:
        """Leave a run to another release's workers; end it when there are none for minutes."""
        log.warning("run.left", run=live.id, why=str(why), num_delivered=delivery.num_delivered)
        if delivery.num_delivered < _RELEASES:
            await delivery.nak(min(30.0, 0.25 * 2**delivery.num_delivered))
            return
        await self.end(live, Ended(status=FAILED, error=f"{why}; and no other worker took it"))
        await delivery.ack()

    async def _drive(
        self, behaviour: Behaviour, activation: Activation, opening: Started | None = None
    ) -> None:
        """Run the frame's body as far as it goes, and append how it was left."""
        live, frame = activation.live, activation.frame
        # Each delivery has a task, and so a context, of its own: nothing to unbind.
        ticket = opening.ticket if opening is not None else live.state.ticket
        bind_contextvars(run=live.id, ticket=ticket, actor=behaviour.address)
        active = self._active.setdefault(live.id, set())
        active.add(activation)

        async def enter() -> Any:
            if opening is not None and not live.state.frames:
                activation.record(opening)
            if behaviour.strict and live.state.frames:
                activation.expect(set(live.state.frames[frame.id].slots))
            step = ActorStep(activation, self.services)
            value = await behaviour.enter(step, frame, live.state)
            if behaviour.strict:
                await activation.must_be_replayed()
            return value

        try:
            outcome = await activation.run(enter)
            if outcome.parked:
                await self._rearm(activation)
            else:
                await self._close(activation, outcome)
        finally:
            activation.leave()
            active.discard(activation)
            if not active:
                self._active.pop(live.id, None)

    async def _close(self, activation: Activation, outcome: Outcome) -> None:
        frame, state = activation.frame, activation.live.state
        outcome = await self._kept(outcome)
        if frame.id != ROOT:
            record: Record = _returned(frame, outcome)
            parent = state.frames[frame.parent]
            await activation.close(parent.actor, record)
            return
        record = _ended(outcome)
        if not isinstance(outcome.error, StepFailed):  # the step has told where
            activation.live.raised = outcome.error
        await activation.close(NOBODY, record)

    async def _kept(self, outcome: Outcome) -> Outcome:
        """The outcome with its value as it is recorded."""
        if outcome.error is not None:
            return outcome
        try:
            raw = dump(outcome.value)
        except LaybyError as error:
            return Outcome(parked=False, error=error)
        return Outcome(parked=False, value=await self.services.deflate(raw))

    async def _rearm(self, activation: Activation) -> None:
        """Arm the frame's wake-ups again where a crash may have come before they were armed."""
        if not activation.redelivered:
            return
        run, frame = activation.live.id, activation.frame
        current = activation.live.state.frames.get(frame.id)
        for key, slot in (current.slots if current else {}).items():
            if 0 < slot.wake_at < NEVER:
                name = f"{key}~{slot.attempts}" if slot.kind == "step" else key
                await self.services.arm_wake(
                    timer_name(run, frame.id, name), slot.wake_at, run, frame.id, key
                )

    async def _finish(self, live: LiveRun) -> None:
        """Bring everything outside the log up to date with it."""
        if live.state.ended:
            crash.point("before_ended_tidy")
            for tidy in self.tidiers:
                await tidy(live)
        await self.index.reflect(live)

    async def _fail(self, run: str, reason: str) -> None:
        """End a run whose mail was given up."""
        live = await self.cache.get(run)
        await live.catch_up()
        if live.state.frames:
            with suppress(Fenced):
                await live.append([Ended(status=FAILED, error=f"given up: {reason}")])
            await self._finish(live)


def _returned(frame: Frame, outcome: Outcome) -> Returned:
    if outcome.error is not None:
        return Returned(frame=frame.id, error=failure_of(outcome.error))
    return Returned(frame=frame.id, result=outcome.value)


def _ended(outcome: Outcome) -> Ended:
    error = outcome.error
    if error is None:
        return Ended(status=COMPLETED, result=outcome.value)
    status = next((s for kind, s in _STATUS.items() if isinstance(error, kind)), FAILED)
    failure = failure_of(error)
    return Ended(status=status, result=NULL, error=failure.message, failure=failure)
