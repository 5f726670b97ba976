"""Carries out what the log decides: take a mail, advance the run, append, acknowledge.

The acknowledgement comes last. After a crash before it, the server delivers the mail again, and the
fold shows what is already done.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import structlog
from structlog.contextvars import bind_contextvars

from ..bus.bucket import Bucket
from ..bus.dead import DeadLetters
from ..bus.log import Log, LogMessage
from ..bus.log_subject import NOBODY
from ..bus.mailbox import Delivery
from . import crash, worker_log
from .activation import Activation, Outcome
from .actor_step import ActorStep
from .addressee import handling
from .behaviour import Behaviour
from .blocked_runs import BlockedRuns
from .blockers import Blocker, blocker_of
from .blocking import blocked_record
from .delivery_policy import DeliveryPolicy
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
)
from .errors import Fenced, LaybyError, StepFailed, Undeclared
from .freshness import Freshness, Looks
from .index import Index
from .leaving import left_to_others
from .mail import Mail, check_adopter, check_readable, check_unstarted, is_in, mail_of
from .outcome import deflated, ended, returned
from .pending import FlushTimer
from .ports import Ports
from .redelivery import RedeliveryHorizon
from .repairs import expected
from .run import LiveRun, RunCache
from .state import FAILED, Frame
from .tracing import Entry
from .wake_ups import rearm_wake_ups

log = structlog.get_logger("layby.host")

_REENTERING = (Unblocked, Reopened, Retried, Resumed)
"""Mail that enters a body again, whose wake-ups may then be missing."""

Tidy = Callable[[LiveRun], Awaitable[None]]
"""Removes what an ended run has left outside its log. Idempotent."""


class Host:
    """Advances runs in one worker."""

    def __init__(
        self,
        *,
        log_: Log,
        index: Index,
        blocked: Bucket,
        dead: DeadLetters,
        ports: Ports,
        horizon: RedeliveryHorizon,
    ) -> None:
        self.log = log_
        self.cache = RunCache(log_, on_append=self._appended, signers=ports.signers)
        self.index = index
        self.blocked = BlockedRuns(blocked)
        self.ports = ports
        self.policy = DeliveryPolicy(dead, self._fail, ports.observer)
        self.tidiers: list[Tidy] = []
        self.forgetters: list[Callable[[str], None]] = []
        """Forget what is cached for a ticket whose run was removed; empty: for all tickets."""
        self._horizon = horizon
        self._flush_timer, self._looks = FlushTimer(), Looks()
        self._active: dict[str, set[Activation]] = {}

    def _appended(self, live: LiveRun, records: list[Record]) -> None:
        worker_log.log_appended(live, records)
        self.ports.observer.appended(live.state, records)

    def works_on(self, run_id: str) -> bool:
        """Whether this worker is working on the run."""
        return run_id in self._active

    async def check_still_active(self, run_id: str) -> None:
        """Stop working on a run that has ended according to its log, or whose log is gone."""
        live = self.cache.warm(run_id)
        if live is None or not live.state.tail:
            return
        await live.confirm()
        if live.state.ended or not await self.log.exists(run_id, live.state.tail):
            self.stop_run(run_id)

    def stop_run(self, run_id: str) -> None:
        """Stop the run's activations in this worker at once, because it was cancelled."""
        for activation in list(self._active.get(run_id, ())):
            activation.stop(Fenced("the run was cancelled"))

    async def start(
        self, behaviour: Behaviour, delivery: Delivery, run: str, opening: Started
    ) -> None:
        """Handle an event: start its run, or continue it if it has already begun."""
        delivery.run = run
        again = self.may_repeat(delivery)
        live = await self.cache.get(run) if again else self.cache.fresh(run)
        fresh = Freshness(delivery, self._looks, again=again or live.unverified)
        if fresh.again:
            live = await self.cache.caught_up(live)
        await self._handle(
            live,
            behaviour,
            delivery,
            1,
            lambda: self._start(behaviour, live, delivery, opening, fresh),
        )

    async def _start(
        self,
        behaviour: Behaviour,
        live: LiveRun,
        delivery: Delivery,
        opening: Started,
        fresh: Freshness,
    ) -> None:
        check_unstarted(live.state)
        # An event that brings its own id may have been sent before.
        redelivered = fresh.again or "Nats-Msg-Id" in delivery.headers
        if not live.state.frames:
            frame = Frame(id=ROOT, actor=opening.actor, opened=1, input=opening.event)
            activation = Activation(
                live, frame, 1, self._flush_timer, fresh, redelivered=redelivered, opening=opening
            )
            try:
                await self._run_body(behaviour, activation, delivery, opening, opening)
            except Fenced:
                # Either the run had begun before, or another worker is working on it.
                ahead = live.handled[1] and live.state.seq in {0, opening.seq}
                if activation.appended or not live.state.frames or ahead:
                    raise
            else:
                await self._finish(live)
                return
        # If another event with the same id began the run, that event continues it: its handler may
        # be in the middle of a step.
        ours = live.state.seq in {0, opening.seq}
        handled = handling(live.state, 1, opening)
        if ours and fresh.again and handled is not None and not live.state.ended:
            activation = Activation(
                live, live.state.root, 1, self._flush_timer, fresh, redelivered=True
            )
            await self._run_body(behaviour, activation, delivery, opening)
        await self._finish(live)

    def may_repeat(self, delivery: Delivery) -> bool:
        """Whether the message may be a redelivery; a killed server forgets what it delivered."""
        return delivery.num_delivered > 1 or self._horizon.covers(delivery)

    @property
    def interruptions(self) -> int:
        """How often the server may have forgotten what it delivered."""
        return self._horizon.renewals

    def interrupted(self) -> None:
        """Note that the server may have forgotten what it delivered, and deliver it as new.

        Another worker may have handled it in part, and what is recorded must not run again.
        """
        self._horizon.renew()
        self.cache.mark_unverified()
        self.forget("")

    def forget(self, ticket: str) -> None:
        """Forget what is cached for a ticket whose run was removed; empty: for all tickets."""
        for forget in self.forgetters:
            forget(ticket)

    async def handle_mail(self, behaviour: Behaviour, delivery: Delivery) -> None:
        """Handle an entry of a log that is addressed to `behaviour`. Raises PoisonMessage."""
        mail = await mail_of(self.log, delivery)
        live = await self.open(mail.run, mail.message)
        await self.handle(behaviour, live, mail)

    async def handle(self, behaviour: Behaviour, live: LiveRun, mail: Mail) -> None:
        """Handle mail of an open run, and acknowledge what brought it."""
        work = partial(self._handle_mail, behaviour, live, mail)
        await self._handle(live, behaviour, mail.delivery, mail.message.n, work)

    async def _handle_mail(self, behaviour: Behaviour, live: LiveRun, mail: Mail) -> None:
        delivery, record, n = mail.delivery, mail.record, mail.message.n
        again = mail.again or self.may_repeat(delivery) or live.unverified
        fresh = Freshness(delivery, self._looks, again=again)
        if again:
            await live.catch_up()
            live.handled[n] = False  # the handler of an earlier delivery may have died
        worker_log.log_command(live.state, record)
        check_adopter(mail, self.ports.fingerprint)
        handled = handling(live.state, n, record)
        if handled is not None and not live.state.ended:
            if not again or live.state.tail == n:
                self.ports.observer.resumed(live.state, record)
            if isinstance(record, Reopened | Retried):
                await self._resume_frames(live, n)
            redelivered = again or live.state.tail > n or isinstance(record, _REENTERING)
            activation = Activation(
                live, *handled, self._flush_timer, fresh, redelivered=redelivered
            )
            await self._run_body(behaviour, activation, delivery, record)
        elif isinstance(record, Cancelled | Ended) and not again:
            self.ports.tracer.ended(live.state)
        await self._finish(live)

    async def _resume_frames(self, live: LiveRun, n: int) -> None:
        """Wake the frames that mail `n` reopened, besides the one that it wakes itself."""
        for frame in list(live.state.frames.values()):
            if frame.reopened == n and not frame.done and not frame.resumed:
                with suppress(Fenced):
                    await live.append([Resumed(frame=frame.id)], to=frame.actor)

    async def open(self, run: str, message: LogMessage | None = None) -> LiveRun:
        """The run, folded at least as far as the delivered `message`."""
        live = self.cache.warm(run)
        if live is None and message is not None and message.n == 1:
            live = self.cache.fresh(run)
        if live is None:
            live = await self.cache.get(run)
        if live.unverified:
            live = await self.cache.caught_up(live)
        if message is not None and not live.learn(message):
            await live.catch_up()
            if not live.learn(message):
                raise LaybyError(f"the log of run {run} has a gap before position {message.n}")
        self.cache.count(live)
        return live

    async def end(self, live: LiveRun, record: Ended | Cancelled) -> None:
        """End a run from outside: its work stops at once, and its workflow's actor cleans up."""
        with suppress(Fenced):
            await live.append([record], to=live.state.root.actor)
            await self.stop_everywhere(live.id)

    async def stop_everywhere(self, run: str) -> None:
        """Stop the activations, in all workers, of a run that was ended from outside."""
        self.stop_run(run)
        if self.ports.announce_end is not None:
            await self.ports.announce_end(run)

    async def _handle(
        self,
        live: LiveRun,
        behaviour: Behaviour,
        delivery: Delivery,
        n: int,
        work: Callable[[], Awaitable[None]],
    ) -> None:
        live.users += 1
        live.handled[n] = False
        self.index.soon(live)  # the work may take long
        try:
            await work()
            crash.point("before_ack")
            await delivery.ack()
        except Fenced as fenced:
            log.info("activation.fenced", run=live.id, actor=behaviour.address, why=str(fenced))
            if live.handled[n] and not live.state.ended:
                # Another worker has it too, and is ahead. Handing it back would bring in a third.
                delivery.let_go()
            else:
                await delivery.nak(0.2 + random.random())  # noqa: S311  so that workers spread out
        except Undeclared as undeclared:
            if not await left_to_others(live, delivery, undeclared, self.ports.fingerprint):
                await self._finish(live)
                await delivery.ack()
        finally:
            del live.handled[n]
            live.users -= 1
            self.cache.count(live)
            if live.state.ended:
                self.cache.drop(live.id)

    async def _run_body(
        self,
        behaviour: Behaviour,
        activation: Activation,
        delivery: Delivery,
        mail: Record,
        opening: Started | None = None,
    ) -> None:
        """Run the frame's body as far as it can go, and append how it ended."""
        live, frame, address = activation.live, activation.frame, behaviour.address
        # Each delivery has its own task, and so its own context: nothing to unbind.
        ticket = opening.ticket if opening is not None else live.state.ticket
        bind_contextvars(run=live.id, ticket=ticket, actor=address)
        entry = Entry(live.state, frame, address, mail, delivery, activation.redelivered)
        with self.ports.tracer.segment(entry) as activation.segment:
            await self._enter_body(behaviour, activation, opening)

    async def _enter_body(
        self, behaviour: Behaviour, activation: Activation, opening: Started | None
    ) -> None:
        live, frame = activation.live, activation.frame
        active = self._active.setdefault(live.id, set())
        active.add(activation)

        async def enter() -> Any:
            check_readable(live.state)
            if opening is not None and not live.state.frames:
                activation.record(opening)
            if behaviour.strict and live.state.frames:
                activation.expect(expected(live.state.frames[frame.id]))
            step = ActorStep(activation, self.ports)
            value = await behaviour.enter(step, frame, live.state)
            if behaviour.strict:
                await activation.check_replayed()
            return value

        try:
            try:
                outcome = await activation.run(enter)
            except Undeclared as undeclared:
                undeclared.frame, undeclared.cause = frame.id, activation.cause
                raise
            if outcome.parked:
                await rearm_wake_ups(activation, self.ports)
            blocker = activation.blocker if outcome.parked else blocker_of(outcome.error)
            kind = "" if blocker is None else blocker.need.kind
            activation.segment.left(waits=outcome.parked, error=outcome.error, blocked=kind)
            if blocker is not None:
                await self._block(activation, blocker)
            elif not outcome.parked:
                await self._close(activation, outcome)
        finally:
            activation.leave()
            active.discard(activation)
            if not active:
                self._active.pop(live.id, None)

    async def _announce(self, run: str) -> None:
        """Tell other workers that a run is blocked: one of them may be able to continue it."""
        if self.ports.announce_blocked is not None:
            await self.ports.announce_blocked(run)

    async def _block(self, activation: Activation, blocker: Blocker) -> None:
        frame, cause = activation.frame, activation.cause
        record = blocked_record(blocker, frame.id, cause, self.ports.fingerprint)
        crash.point("before_blocked")
        await activation.close(NOBODY, record)
        crash.point("after_blocked")

    async def _close(self, activation: Activation, outcome: Outcome) -> None:
        frame, state = activation.frame, activation.live.state
        outcome = await deflated(outcome, self.ports, state.id)
        if frame.id != ROOT:
            record: Record = returned(frame, outcome)
            parent = state.frames[frame.parent]
            await activation.close(parent.actor, record)
            return
        record = ended(outcome)
        if not isinstance(outcome.error, StepFailed):  # it names its own place
            activation.live.raised = outcome.error
        await activation.close(NOBODY, record)

    async def _finish(self, live: LiveRun) -> None:
        """Bring everything outside the log up to date."""
        if live.state.ended:
            crash.point("before_ended_tidy")
            for tidy in self.tidiers:
                await tidy(live)
        await self.index.reflect(live)
        if live.state.blocks or live.state.reopened:
            await self.blocked.reflect(live)
        if (
            live.state.blocked
        ):  # again, in case the worker that blocked it died before announcing it
            await self._announce(live.id)

    async def _fail(self, delivery: Delivery, reason: str) -> None:
        """End the run of a mail or an event that was given up."""
        live = await self.cache.newest(delivery.run)
        # A message that the log does not hold is not mail of the run, whoever sent it.
        if live.state.frames and await is_in(self.log, live.state.tail, delivery):
            with suppress(Fenced):
                await live.append([Ended(status=FAILED, error=f"given up: {reason}")])
            await self._finish(live)
