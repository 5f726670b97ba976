"""What every verb of a body stands on: keys, slots, and steps that run once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Any, Self

from . import crash
from .activation import Activation
from .entry import Failed, Failure, Raw, Stepped
from .errors import (
    AskTimedOut,
    BudgetSpent,
    InvalidSetup,
    LaybyError,
    MaxTurns,
    Parked,
    QuestionLimit,
    RunCancelled,
    StepFailed,
)
from .failure import as_error, failure_of
from .ids import timer_name
from .retry import Retry
from .services import Services
from .speech import Speech, step_name
from .state import RunState, Slot
from .strand import strand
from .values import dump, load

_IN_PROCESS = 1.0
"""Seconds of back-off that are waited for in the worker; longer ones are parked."""
RAISED: dict[str, type[LaybyError]] = {
    "AskTimedOut": AskTimedOut,
    "BudgetSpent": BudgetSpent,
    "MaxTurns": MaxTurns,
    "QuestionLimit": QuestionLimit,
    "RunCancelled": RunCancelled,
}
"""Errors that are raised as themselves when they are read from the log."""


_within: ContextVar[str] = ContextVar("_within", default="")
"""The key of the step whose function is running."""


class Body:
    """What a body may know of its run, and how what it does is recorded."""

    def __init__(self, activation: Activation, services: Services, prefix: str = "") -> None:
        self._activation = activation
        self._services = services
        self._prefix = prefix
        self._used: dict[str, int] = {}

    @classmethod
    def over(cls, step: Body) -> Self:
        """The same body's verbs, with those that `cls` adds."""
        return cls(step._activation, step._services, step._prefix)

    @property
    def services(self) -> Services:
        """What the app and the worker offer; for actors, not for bodies."""
        return self._services

    @property
    def state(self) -> RunState:
        """The run as its log has it; for actors, not for bodies."""
        return self._activation.live.state

    @property
    def begins(self) -> bool:
        """Whether this is the handling of what started the run."""
        return self._activation.cause == 1

    async def settle(self) -> None:
        """Append what is recorded so far."""
        await self._activation.flush()

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self._activation.live.id

    @property
    def ticket(self) -> str:
        """The ticket that the run is about."""
        return self._activation.live.state.ticket

    def under(self, name: str) -> Self:
        """The same body's steps, named apart: for a part of it that may run beside others."""
        return type(self)(self._activation, self._services, f"{self._prefix}{name}/")

    def speaking(self, key: str, agent: str) -> AbstractContextManager[Speech | None]:
        """The way out for the text of step `key` while it is being made; None: it is not told."""
        if self._services.stage is None:
            return nullcontext()
        return self._services.stage.speech(
            run=self.run_id,
            step=step_name(self._frame, f"{self._prefix}{key}"),
            agent=agent,
            after=self.state.tail,
        )

    def has(self, name: str) -> bool:
        """Whether the log holds the result of step `name` already; for actors and tools."""
        slot = self._activation.slot(f"{self._prefix}{name}")
        return slot is not None and slot.settled > 0

    async def read(self, raw: Raw, wanted: Any = Any) -> Any:
        """A value of the run's log as `wanted`, fetched where it is kept apart for its size."""
        return load(await self._services.inflate(raw), wanted)

    def idempotency_key(self, name: str = "") -> str:
        """A key for the outside world that is the same on every try."""
        return f"{self.run_id}/{self._activation.frame.id}/{self._prefix}{name}"

    async def perform(
        self,
        key: str,
        effect: Callable[[], Awaitable[Any]],
        wanted: Any = Any,
        *,
        retry: Retry,
        note: str | Callable[[Any], str] = "",
    ) -> Any:
        """Run `effect` under the full `key` unless the log holds its result.

        What `effect` does with `under(key)` is recorded too: entered again, it goes on from there.
        """
        slot = self._slot(key, "step")
        if slot is not None and slot.settled:
            return await self._replay(key, slot, wanted)
        self._consume_inner(f"{key}/")
        attempt = 1 + self._back_off(slot)
        await self._activation.must_be_live()
        await self._activation.before_effect()
        self._activation.must_be_new(key)
        crash.point("before_effect")
        began = time.perf_counter()
        raw, value = await self._attempt(key, effect, attempt, retry)
        crash.point("after_effect")
        spent = round((time.perf_counter() - began) * 1e3, 3)
        told = note(value) if callable(note) else note
        kept = await self._services.deflate(raw)
        self._record(Stepped(frame=self._frame, key=key, result=kept, ms=spent, note=told))
        return load(raw, wanted)

    async def _attempt(
        self, key: str, effect: Callable[[], Awaitable[Any]], attempt: int, retry: Retry
    ) -> tuple[Raw, Any]:
        """Try until it works. Raises Parked for a long back-off, StepFailed at the end."""
        within = _within.set(key)
        try:
            return await self._tries(key, effect, attempt, retry)
        finally:
            _within.reset(within)

    async def _tries(
        self, key: str, effect: Callable[[], Awaitable[Any]], attempt: int, retry: Retry
    ) -> tuple[Raw, Any]:
        while True:
            try:
                value = await effect()
                return dump(value), value
            except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001  user code
                await self._failed(key, as_error(error), attempt, retry)
                attempt += 1
                await self._activation.must_be_undone(key)

    @property
    def _frame(self) -> str:
        return self._activation.frame.id

    def _key(self, name: str) -> str:
        within = _within.get()
        if within and not self._prefix.startswith(f"{within}/"):
            raise InvalidSetup(
                f"step {name!r} begins inside of step {within!r}, whose result alone is kept: "
                "begin it before or after that one"
            )
        count = self._used[name] = self._used.get(name, 0) + 1
        key = f"{self._prefix}{name}" if count == 1 else f"{self._prefix}{name}#{count}"
        self._activation.reached(key)
        return key

    def _open(self, key: str, kind: str) -> Slot | None:
        """The slot of something waited for: settled, or None when it is new.

        Raises Parked while it is open.
        """
        strand.get().touched.append(key)
        slot = self._slot(key, kind)
        if slot is not None and not slot.settled:
            raise Parked
        if slot is not None:
            strand.get().consume(slot.settled, slot.owner)
        return slot

    def _is_open(self, key: str) -> bool:
        slot = self._activation.slot(key)
        return slot is not None and not slot.settled

    def _slot(self, key: str, kind: str) -> Slot | None:
        slot = self._activation.slot(key)
        if slot is not None and slot.kind != kind:
            self._activation.changed(key)
        if slot is not None and slot.dropped:
            raise Parked
        return slot

    async def _replay(self, key: str, slot: Slot, wanted: Any) -> Any:
        strand.get().consume(slot.settled, slot.owner)
        if slot.error is not None:
            raise_failure(key, slot.error)
        return load(await self._services.inflate(slot.result), wanted)

    def _consume_inner(self, prefix: str) -> None:
        """Take note of what a part of the body has done. Raises Parked while it only waits."""
        inner = self._activation.slots_under(prefix)
        if not inner:
            return
        last = max(inner, key=_moved)
        if not _moved(last):
            raise Parked
        strand.get().consume(_moved(last), last.owner if last.settled else last.woken)

    def _back_off(self, slot: Slot | None) -> int:
        """Failed tries so far. Raises Parked while their back-off lasts."""
        if slot is None:
            return 0
        if slot.wake_at:
            raise Parked
        strand.get().consume(slot.woken, slot.woken)
        return slot.attempts

    async def _failed(self, key: str, error: Exception, attempt: int, retry: Retry) -> None:
        """Wait for the next try in place or parked, or give up."""
        pause = retry.pause(attempt, error)
        failure = failure_of(error, attempt)
        self._services.log_failure(self.run_id, key, error, attempt, pause)
        if pause is None:
            self._record(Stepped(frame=self._frame, key=key, error=failure))
            raise_failure(key, failure, error)
        elif pause < _IN_PROCESS:
            await asyncio.sleep(pause)
        else:
            until = time.time() + pause
            self._record(Failed(frame=self._frame, key=key, error=failure, retry_at=until))
            await self._activation.flush()
            await self._arm(f"{key}~{attempt}", until, key)
            raise Parked

    async def _arm(self, name: str, until: float, key: str = "") -> None:
        await self._services.arm_wake(
            timer_name(self.run_id, self._frame, name), until, self.run_id, self._frame, key or name
        )

    def _record(self, record: Any) -> None:
        self._activation.record(record)


def _moved(slot: Slot) -> int:
    """The last position that let the body go on at `slot`; 0: none has."""
    return slot.settled or slot.woken


def raise_failure(step: str, failure: Failure, cause: BaseException | None = None) -> None:
    """Raise what a recorded failure stands for."""
    known = RAISED.get(failure.type)
    if known is not None:
        raise known(failure.message) from cause
    raise StepFailed(
        step, failure.message, failure.type, failure.attempts, failure.place, failure.causes
    ) from cause
