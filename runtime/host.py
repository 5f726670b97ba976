"""Performs what the log decides: take a mail, bring the run forward, append, acknowledge.

The acknowledgement comes last. A crash before it makes the server deliver the mail again; the
fold then shows what is already done.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import structlog
from structlog.contextvars import bind_contextvars

from ..bus.bucket import Bucket
from ..bus.dead import DeadLetters
from ..bus.log import NOBODY, Log, LogMessage
from ..bus.mailbox import Delivery
from . import chronicle, crash
from .activation import Activation, Outcome, Trail
from .actor_step import ActorStep
from .addressee import handling
from .behaviour import Behaviour
from .blocked import BlockedRuns
from .blocking import block, record_of
from .doubt import Doubt
from .duration import human
from .entry import (
    ROOT,
    Cancelled,
    Ended,
    Record,
    Reopened,
    Resumed,
    Retried,
    Started,
    Unblocked,
    Woken,
)
from .errors import Fenced, LaybyError, StepFailed, Undeclared
from .guard import Guard
from .index import Index
from .mail import Mail, is_in, mail_of, must_be_free, must_be_known, must_be_taker
from .mending import expected
from .need import Held, held_by
from .outcome import ended, kept, returned
from .rearming import rearm
from .run import LiveRun, RunCache
from .services import Due, Services
from .state import FAILED, TIMED_OUT, Frame

log = structlog.get_logger("layby.host")

LAGS = 6
"""Deliveries of a wake-up or deadline in which the copy of the log that was read may lag."""
_RELEASES = 14
"""Deliveries, some four minutes, in which a worker of the right release may take a run."""
_SAME = 0.001
"""Seconds by which two readings of one deadline may differ."""
_AGAIN = (Unblocked, Reopened, Retried, Resumed)
"""Mails that have a body entered again whose waits may have been missed."""


Tidy = Callable[[LiveRun], Awaitable[None]]
"""Clears away what a run that is over has left outside its log. Idempotent."""


class Host:
    """Brings runs forward in one worker."""

    def __init__(
        self,
        *,
        log_: Log,
        index: Index,
        blocked: Bucket,
        dead: DeadLetters,
        services: Services,
        doubt: Doubt,
    ) -> None:
        self.log = log_
        self.cache = RunCache(log_, told=chronicle.tell, signers=services.signers)
        self.index = index
        self.blocked = BlockedRuns(blocked)
        self.services = services
        self.guard = Guard(dead, self._fail)
        self.tidiers: list[Tidy] = []
        self.forgetters: list[Callable[[str], None]] = []
        """Forget what is remembered of a ticket whose run was removed; empty: of all tickets."""
        self._doubt = doubt
        self._trail = Trail()
        self._active: dict[str, set[Activation]] = {}

    def works_on(self, run_id: str) -> bool:
        """Whether something of the run is under way in this worker."""
        return run_id in self._active

    async def look_up(self, run_id: str) -> None:
        """Stop working on a run that has ended by its log, or whose log is gone."""
        live = self.cache.warm(run_id)
        if live is None or not live.state.tail:
            return
        await live.confirm()
        if live.state.ended or not await self.log.exists(run_id, live.state.tail):
            self.stop_run(run_id)

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
            live = await self.cache.caught_up(live)
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
        must_be_free(live.state)
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
        handled = handling(live.state, 1, opening)
        if ours and again and handled is not None and not live.state.ended:
            activation = Activation(live, live.state.root, 1, self._trail, redelivered=True)
            await self._drive(behaviour, activation)
        await self._finish(live)

    def may_repeat(self, delivery: Delivery) -> bool:
        """Whether it was delivered before; a killed server forgets how often it was."""
        return delivery.num_delivered > 1 or self._doubt.covers(delivery)

    @property
    def interruptions(self) -> int:
        """How often the server may have forgotten what it delivered."""
        return self._doubt.renewals

    def interrupted(self) -> None:
        """Take note that the server may have forgotten what it delivered.

        It may deliver mail as new that another worker has handled in part, and what is recorded
        must not run again.
        """
        self._doubt.renew()
        self.cache.doubt()
        self.forget("")

    def forget(self, ticket: str) -> None:
        """Forget what is remembered of a ticket whose run was removed; empty: of all tickets."""
        for forget in self.forgetters:
            forget(ticket)

    async def mail(self, behaviour: Behaviour, delivery: Delivery) -> None:
        """Handle an entry of a log that is addressed to `behaviour`. Raises Hopeless."""
        mail = await mail_of(self.log, delivery)
        live = await self.open(mail.run, mail.message)
        await self._hold(live, behaviour, delivery, lambda: self._mail(behaviour, live, mail))

    async def _mail(self, behaviour: Behaviour, live: LiveRun, mail: Mail) -> None:
        delivery, record, n = mail.delivery, mail.record, mail.message.n
        again = self.may_repeat(delivery) or live.doubtful
        if again:
            await live.catch_up()
        chronicle.commanded(live.state, record)
        must_be_taker(mail, self.services.fingerprint)
        handled = handling(live.state, n, record)
        if handled is not None and not live.state.ended:
            if isinstance(record, Reopened | Retried):
                await self._resume(live, n)
            redelivered = again or live.state.tail > n or isinstance(record, _AGAIN)
            activation = Activation(live, *handled, self._trail, redelivered=redelivered)
            await self._drive(behaviour, activation)
        await self._finish(live)

    async def _resume(self, live: LiveRun, n: int) -> None:
        """Have the frames entered again that mail `n` has opened again, beside the one it wakes."""
        for frame in list(live.state.frames.values()):
            if frame.reopened == n and not frame.done and not frame.resumed:
                with suppress(Fenced):
                    await live.append([Resumed(frame=frame.id)], to=frame.actor)

    async def open(self, run: str, message: LogMessage | None = None) -> LiveRun:
        """The run, folded at least as far as `message`, which was delivered."""
        live = self.cache.warm(run)
        if live is None and message is not None and message.n == 1:
            live = self.cache.fresh(run)
        if live is None:
            live = await self.cache.get(run)
        if live.doubtful:
            live = await self.cache.caught_up(live)
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
            await self.stop_everywhere(live.id)

    async def stop_everywhere(self, run: str) -> None:
        """End the activations, in all workers, of a run that was ended from outside."""
        self.stop_run(run)
        if self.services.announce_end is not None:
            await self.services.announce_end(run)

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
        """Leave a run to another release's workers; block it when there are none for minutes."""
        log.warning("run.left", run=live.id, why=str(why), num_delivered=delivery.num_delivered)
        if not why.frame:  # the worker that took it up is there, so it will not be long
            await delivery.nak(min(2.0, 0.1 * delivery.num_delivered))
            return
        if delivery.num_delivered < _RELEASES:
            await delivery.nak(min(30.0, 0.25 * 2**delivery.num_delivered))
            return
        held = held_by(why)
        if held is not None and why.frame:
            record = record_of(held, why.frame, why.cause, self.services.fingerprint)
            await block(live, record)
        await self._finish(live)
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
            must_be_known(live.state)
            if opening is not None and not live.state.frames:
                activation.record(opening)
            if behaviour.strict and live.state.frames:
                activation.expect(expected(live.state.frames[frame.id]))
            step = ActorStep(activation, self.services)
            value = await behaviour.enter(step, frame, live.state)
            if behaviour.strict:
                await activation.must_be_replayed()
            return value

        try:
            try:
                outcome = await activation.run(enter)
            except Undeclared as undeclared:
                undeclared.frame, undeclared.cause = frame.id, activation.cause
                raise
            if outcome.parked:
                await rearm(activation, self.services)
            held = activation.held if outcome.parked else held_by(outcome.error)
            if held is not None:
                await self._block(activation, held)
            elif not outcome.parked:
                await self._close(activation, outcome)
        finally:
            activation.leave()
            active.discard(activation)
            if not active:
                self._active.pop(live.id, None)

    async def _announce(self, run: str) -> None:
        """Tell other workers that a run is blocked, which one of them may fit."""
        if self.services.announce_blocked is not None:
            await self.services.announce_blocked(run)

    async def _block(self, activation: Activation, held: Held) -> None:
        frame, cause = activation.frame, activation.cause
        record = record_of(held, frame.id, cause, self.services.fingerprint)
        crash.point("before_blocked")
        await activation.close(NOBODY, record)
        crash.point("after_blocked")

    async def _close(self, activation: Activation, outcome: Outcome) -> None:
        frame, state = activation.frame, activation.live.state
        outcome = await kept(outcome, self.services, state.id)
        if frame.id != ROOT:
            record: Record = returned(frame, outcome)
            parent = state.frames[frame.parent]
            await activation.close(parent.actor, record)
            return
        record = ended(outcome)
        if not isinstance(outcome.error, StepFailed):  # the step has told where
            activation.live.raised = outcome.error
        await activation.close(NOBODY, record)

    async def _finish(self, live: LiveRun) -> None:
        """Bring everything outside the log up to date with it."""
        if live.state.ended:
            crash.point("before_ended_tidy")
            for tidy in self.tidiers:
                await tidy(live)
        await self.index.reflect(live)
        if live.state.blocks or live.state.reopened:
            await self.blocked.reflect(live)
        if live.state.blocked:  # also when who blocked it died before it could tell
            await self._announce(live.id)

    async def _fail(self, delivery: Delivery, reason: str) -> None:
        """End the run of a mail or an event that was given up."""
        live = await self.cache.caught_up(await self.cache.get(delivery.run))
        # What the log does not hold is no mail of the run, whoever sent it.
        if live.state.frames and await is_in(self.log, live.state.tail, delivery):
            with suppress(Fenced):
                await live.append([Ended(status=FAILED, error=f"given up: {reason}")])
            await self._finish(live)
