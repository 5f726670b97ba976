"""The base of all verbs of a body: keys, slots, and steps that run once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from . import clock, crash, repeated_effects
from .ask_backs import moves_of
from .blockers import blocker_of
from .entry import NULL, Failed, Failure, Raw, Record, Stepped
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
from .failure import as_error, blame, failure_of
from .ids import timer_name
from .ports import Ports
from .recorder import Armed, Recorder
from .retry import Retry
from .sent import Sending
from .state import Slot
from .strand import strand, within
from .values import dump, load
from .way_in import consumed, entered

_IN_PROCESS = 1.0
"""Seconds: shorter back-offs are waited for in the worker; longer ones are parked."""
RAISED: dict[str, type[LaybyError]] = {
    "AskTimedOut": AskTimedOut,
    "BudgetSpent": BudgetSpent,
    "MaxTurns": MaxTurns,
    "QuestionLimit": QuestionLimit,
    "RunCancelled": RunCancelled,
}
"""Errors that are raised as their own class when they are read from the log."""


class Body:
    """What a body may know about its run, and how its steps are recorded."""

    def __init__(
        self,
        recorder: Recorder,
        ports: Ports,
        prefix: str = "",
        used: dict[str, int] | None = None,
    ) -> None:
        self._recorder = recorder
        self._ports = ports
        self._prefix = prefix
        self._used: dict[str, int] = {} if used is None else used

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self._recorder.state.id

    @property
    def ticket(self) -> str:
        """The ticket of the run; empty in a script."""
        return self._recorder.ticket

    def idempotency_key(self, name: str = "") -> str:
        """A key for systems outside that is the same on every try.

        Args:
            name: The name of the step that it is for; it tells the body's keys apart.
        """
        return f"{self.run_id}/{self._frame}/{self._prefix}{name}"

    async def _perform(
        self,
        key: str,
        effect: Callable[[], Awaitable[Any]],
        wanted: Any = Any,
        *,
        retry: Retry,
        note: str | Callable[[Any], str] = "",
        sending: Sending | None = None,
    ) -> Any:
        """Run `effect` under the full `key` unless the log holds its result.

        Steps of `effect` with `under(key)` are recorded too: entered again, it continues there.
        """
        slot = self._slot(key, "step")
        if slot is not None and slot.settled:
            return await self._replay(key, slot, wanted)
        attempt = 1 + self._back_off(slot)
        with consumed(self._recorder, key, self._moves_in(key)) as bound:
            await self._recorder.before_effect(key)
        crash.point("before_effect")
        began = time.perf_counter()
        with entered(bound):
            raw, value = await self._attempt(key, effect, attempt, retry, sending)
        crash.point("after_effect")
        ms = round((time.perf_counter() - began) * 1e3, 3)
        text = note(value) if callable(note) else note
        result = await self._ports.deflate(raw, self.run_id)
        stepped = Stepped(
            frame=self._frame,
            key=key,
            result=result,
            ms=ms,
            note=text,
            sent=await _sent(sending),
            spent=None if sending is None else sending.spent(value),
        )
        self._record(stepped)
        return load(raw, wanted)

    async def _attempt(
        self,
        key: str,
        effect: Callable[[], Awaitable[Any]],
        attempt: int,
        retry: Retry,
        sending: Sending | None,
    ) -> tuple[Raw, Any]:
        """Try until it works. Raises Parked for a long back-off, StepFailed after the last try."""
        inside = within.set(key)
        try:
            return await self._try_until_done(key, effect, attempt, retry, sending)
        finally:
            within.reset(inside)

    async def _try_until_done(
        self,
        key: str,
        effect: Callable[[], Awaitable[Any]],
        attempt: int,
        retry: Retry,
        sending: Sending | None,
    ) -> tuple[Raw, Any]:
        while True:
            try:
                value = await effect()
                return dump(value), value
            except (Exception, SystemExit, KeyboardInterrupt) as error:
                failed = as_error(error)
                if self._recorder.propagates(failed):
                    raise
                await self._failed(key, failed, attempt, retry, sending)
                attempt += 1
                await self._recorder.before_retry(key)

    @property
    def _frame(self) -> str:
        return self._recorder.frame.id

    def _key(self, name: str) -> str:
        inside = within.get()
        if inside and not self._prefix.startswith(f"{inside}/"):
            raise InvalidSetup(
                f"step {name!r} begins inside step {inside!r}, of which only the result is kept: "
                "begin it before or after that step"
            )
        repeated_effects.note_step()
        count = self._used[name] = self._used.get(name, 0) + 1
        key = f"{self._prefix}{name}" if count == 1 else f"{self._prefix}{name}#{count}"
        self._recorder.reached(key)
        return key

    def _open(self, key: str, kind: str) -> Slot | None:
        """The slot of a wait: settled, or None when it is new.

        Raises Parked while it is open.
        """
        strand.get().touched.append(key)
        slot = self._slot(key, kind)
        if slot is not None and slot.again:
            strand.get().consume(slot.woken, slot.woken)
            return None
        if slot is not None and not slot.settled:
            raise Parked
        if slot is not None:
            strand.get().consume(slot.settled, slot.owner)
        return slot

    @property
    def _slots(self) -> dict[str, Slot]:
        """What is recorded in the body's frame, by key."""
        frame = self._recorder.state.frames.get(self._frame)
        return frame.slots if frame is not None else {}

    def _found(self, key: str) -> Slot | None:
        frame = self._recorder.state.frames.get(self._frame)
        return frame.slots.get(key) if frame is not None else None

    def _is_open(self, key: str) -> bool:
        slot = self._found(key)
        return slot is not None and not slot.settled

    def _slot(self, key: str, kind: str) -> Slot | None:
        slot = self._found(key)
        if slot is not None and slot.kind != kind:
            self._recorder.changed(key)
        if slot is not None and slot.dropped:
            raise Parked
        return slot

    async def _replay(self, key: str, slot: Slot, wanted: Any) -> Any:
        strand.get().consume(slot.settled, slot.owner)
        if slot.error is not None:
            raise_failure(key, slot.error)
        return load(await self._ports.inflate(slot.result), wanted)

    def _moves_in(self, key: str) -> list[tuple[int, int]]:
        """What was settled within step `key`. Raises Parked while it is only waiting."""
        inner = [slot for each, slot in self._slots.items() if each.startswith(f"{key}/")]
        moves = [move for slot in inner for move in self._moves(slot)]
        if inner and not moves:
            raise Parked
        return moves

    def _moves(self, slot: Slot) -> list[tuple[int, int]]:
        """The positions that let the body continue at `slot`, each with its owner."""
        moves = [(slot.settled, slot.owner)] if slot.settled else []
        moves += [(slot.woken, slot.woken)] if slot.woken and not slot.settled else []
        return moves + moves_of(self._recorder.state.asked_back.get(slot.ref, ()))

    def _back_off(self, slot: Slot | None) -> int:
        """The number of failed tries. Raises Parked during a back-off."""
        if slot is None:
            return 0
        if slot.wake_at:
            raise Parked
        strand.get().consume(slot.woken, slot.woken)
        return slot.attempts

    async def _failed(
        self, key: str, error: Exception, attempt: int, retry: Retry, sending: Sending | None
    ) -> None:
        """Wait for the next try, in place or parked, or give up."""
        pause = retry.pause(attempt, error)
        failure = failure_of(error, attempt)
        self._ports.log_failure(self.run_id, key, error, attempt, pause)
        blocker = blocker_of(error, key)
        if blocker is not None:
            self._recorder.block(blocker)
        if pause is None:
            sent = await _sent(sending)
            self._record(Stepped(frame=self._frame, key=key, error=failure, sent=sent))
            raise_failure(key, failure, error)
        elif pause < _IN_PROCESS:
            await asyncio.sleep(pause)
        else:
            sent = await _sent(sending)
            until = clock.now() + pause
            await self._recorder.wait(
                Failed(frame=self._frame, key=key, error=failure, retry_at=until, sent=sent),
                armed=self._armed(f"{key}~{attempt}", until, key),
            )

    def _armed(self, name: str, until: float, key: str = "") -> Armed:
        """A function that arms the wake-up of `key`."""

        async def arm() -> None:
            timer = timer_name(self.run_id, self._frame, name)
            await self._ports.arm_wake(timer, until, self.run_id, self._frame, key or name)

        return arm

    def _record(self, record: Record) -> None:
        self._recorder.record(record)


async def _sent(sending: Sending | None) -> Raw:
    return NULL if sending is None else await sending.sent()


def raise_failure(step: str, failure: Failure, cause: BaseException | None = None) -> NoReturn:
    """Raise the error that a recorded failure stands for."""
    known = RAISED.get(failure.type)
    about = (failure.message, failure.type, failure.attempts, failure.place, failure.causes)
    error = StepFailed(step, *about) if known is None else known(failure.message)
    blame(error, step)
    raise error from cause
