"""What a body does durably: steps, questions, sleeps, calls to other actors.

Every method gives its step a key in the order of the calls, so that a body that is entered again
meets its own records. A body must therefore decide by what steps gave it, not by clocks, random
numbers or the world outside: for those there are `now`, `uuid` and `random`.
"""

from __future__ import annotations

import asyncio
import inspect
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol, Self, TypeVar, cast

from . import crash
from .activation import Activation, Strand, strand
from .entry import Asked, Called, Failed, Failure, Raw, Slept, Stepped
from .errors import (
    AskTimedOut,
    InvalidSetup,
    LaybyError,
    MaxTurns,
    Parked,
    QuestionLimit,
    RunCancelled,
    StepFailed,
)
from .duration import seconds
from .failure import failure_of
from .ids import question_id, timer_name
from .journal import Slot
from .retry import Retry
from .services import Services
from .values import dump, load, returned_type

T = TypeVar("T")

_IN_PROCESS = 1.0
"""Seconds of back-off that are waited for in the worker; longer ones are parked."""
_RAISED: dict[str, type[LaybyError]] = {
    "AskTimedOut": AskTimedOut,
    "MaxTurns": MaxTurns,
    "QuestionLimit": QuestionLimit,
    "RunCancelled": RunCancelled,
}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a person answered."""

    text: str
    by: str
    """Who, as far as is known; empty when the answer did not say."""
    at: datetime
    question_id: str


class Performer(Protocol[T]):
    """An actor that a body can call and wait for."""

    @property
    def address(self) -> str:
        """The actor's name in subjects."""
        ...

    def accept(self, result: Raw) -> T:
        """Read what the actor returned."""
        ...


class Step:
    """The durable verbs of a body, and what it may know of its run."""

    def __init__(self, activation: Activation, services: Services, prefix: str = "") -> None:
        self._activation = activation
        self._services = services
        self._prefix = prefix
        self._used: dict[str, int] = {}

    @classmethod
    def over(cls, step: Step) -> Self:
        """The same body's verbs, with those that `cls` adds."""
        return cls(step._activation, step._services, step._prefix)  # noqa: SLF001

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self._activation.live.id

    @property
    def ticket(self) -> str:
        """The ticket that the run is about."""
        return self._activation.live.state.ticket

    def under(self, name: str) -> Step:
        """The same body's steps, named apart: for a part of it that may run beside others."""
        return Step(self._activation, self._services, f"{self._prefix}{name}/")

    def idempotency_key(self, name: str = "") -> str:
        """A key for the outside world that is the same on every try."""
        return f"{self.run_id}/{self._activation.frame.id}/{self._prefix}{name}"

    def run(
        self,
        name: str,
        fn: Callable[..., Awaitable[T]] | Callable[..., T],
        *args: Any,
        retry: Retry | None = None,
        timeout: str | float | None = None,
        note: str = "",
    ) -> Coroutine[Any, Any, T]:
        """Run `fn(*args)` once and record its result; later passes get the recorded result.

        `fn` may be sync (it then runs in a thread) or async. It is tried again after an error as
        `retry` says; a back-off over a second holds no worker. `timeout` bounds each try.

        Raises:
            StepFailed: every try failed, or the error was a `NonRetriableError`.
        """
        key = self._key(name)
        wanted = returned_type(fn)
        policy = retry or self._services.retry
        limit = None if timeout is None else seconds(timeout)

        async def effect() -> Any:
            async with asyncio.timeout(limit):
                return await _call(fn, *args)

        return cast(
            "Coroutine[Any, Any, T]", self.perform(key, effect, wanted, retry=policy, note=note)
        )

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
            return self._replay(key, slot, wanted)
        self._consume_inner(f"{key}/")
        attempt = 1 + self._back_off(slot)
        await self._activation.must_be_live()
        await self._activation.flush()
        crash.point("before_effect")
        began = time.perf_counter()
        while True:
            try:
                value = await effect()
                raw = dump(value)
                break
            except Exception as error:  # noqa: BLE001  user code may raise anything
                await self._failed(key, error, attempt, retry)
                attempt += 1
        crash.point("after_effect")
        spent = round((time.perf_counter() - began) * 1e3, 3)
        told = note(value) if callable(note) else note
        self._record(Stepped(frame=self._frame, key=key, result=raw, ms=spent, note=told))
        return load(raw, wanted)

    def sleep(self, duration: str | float | timedelta) -> Coroutine[Any, Any, None]:
        """Wait without holding a worker, for months if need be."""
        until = time.time() + seconds(duration)
        return self._sleep_until(self._key("sleep"), until)

    def sleep_until(self, when: datetime) -> Coroutine[Any, Any, None]:
        """Wait until a point in time, which must have a time zone."""
        if when.tzinfo is None:
            raise InvalidSetup(f"{when!r} has no time zone: give it one, tzinfo=UTC for instance")
        return self._sleep_until(self._key("sleep"), when.timestamp())

    async def _sleep_until(self, key: str, until: float) -> None:
        slot = self._slot(key, "sleep")
        if slot is not None and slot.settled:
            strand.get().consume(slot.settled, slot.owner)
            return
        if slot is None:
            await self._activation.must_be_live()
            self._record(Slept(frame=self._frame, key=key, until=until))
            await self._activation.flush()
            await self._arm(key, until)
        raise Parked

    def ask(
        self,
        role: str,
        question: str,
        *,
        context: str = "",
        timeout: str | float | timedelta | None = None,
        agent: str = "",
        name: str = "ask",
    ) -> Coroutine[Any, Any, Answer]:
        """Ask a person and wait, without holding a worker, until they answer.

        `timeout` is the app's `ask_timeout` unless given.

        Raises:
            AskTimedOut: nobody answered before the deadline.
            QuestionLimit: the run has asked as many questions as the app allows.
        """
        key = self._key(name)
        wait = self._services.ask_timeout if timeout is None else seconds(timeout)
        return self._ask(key, role, question, context, wait, agent)

    async def _ask(
        self, key: str, role: str, question: str, context: str, wait: float, agent: str
    ) -> Answer:
        self._check_role(role)
        self._activation.reached(f"{key}!")
        refused = self._slot(f"{key}!", "step")
        if refused is not None:
            return cast("Answer", self._replay(key, refused, Any))
        slot = self._slot(key, "ask")
        if slot is None:
            await self._activation.must_be_live()
            self._check_limit(key)
            asked = Asked(
                frame=self._frame,
                key=key,
                id=question_id(self.run_id, self._frame, key),
                role=role,
                question=question,
                context=context,
                agent=agent,
                deadline=round(time.time() + wait, 3),
            )
            await self._activation.flush(to=f"human-{role}", mail=asked)
            raise Parked
        if not slot.settled:
            raise Parked
        strand.get().consume(slot.settled, slot.owner)
        return self._answer(slot.ref)

    def _check_role(self, role: str) -> None:
        roles = self._services.roles
        if role not in roles:
            raise InvalidSetup(
                f"nobody has the role {role!r}: declare it with App(roles=[...]); "
                f"declared: {', '.join(roles)}"
            )

    def _check_limit(self, key: str) -> None:
        """Refuse a question too many; recorded, so that every later pass is refused here too."""
        asked = len(self._activation.live.state.questions)
        if asked < self._services.max_questions:
            return
        message = (
            f"this run has asked {asked} questions, as many as it may: go on without an answer"
        )
        failure = Failure(type="QuestionLimit", message=message)
        self._record(Stepped(frame=self._frame, key=f"{key}!", error=failure))
        raise QuestionLimit(message)

    def _answer(self, ref: str) -> Answer:
        question = self._activation.live.state.questions[ref]
        if question.status == "answered":
            at = datetime.fromtimestamp(question.at, UTC)
            return Answer(text=question.text, by=question.by, at=at, question_id=ref)
        deadline = datetime.fromtimestamp(question.deadline, UTC).isoformat(timespec="seconds")
        raise AskTimedOut(
            f"nobody with the role {question.role!r} answered by {deadline}: {question.question!r}",
            ref,
        )

    def call(
        self, performer: Performer[T], arguments: Any, *, name: str = "", note: str = ""
    ) -> Coroutine[Any, Any, T]:
        """Let another actor do something, and wait for it without holding a worker."""
        key = self._key(name or performer.address)
        return self._call(key, performer, arguments, note)

    async def _call(self, key: str, performer: Performer[T], arguments: Any, note: str) -> T:
        slot = self._slot(key, "call")
        if slot is None:
            await self._activation.must_be_live()
            called = Called(
                frame=self._frame,
                key=key,
                child=f"{self._frame}/{key}",
                actor=performer.address,
                input=dump(arguments),
                note=note,
            )
            await self._activation.flush(to=performer.address, mail=called)
            raise Parked
        if not slot.settled:
            raise Parked
        strand.get().consume(slot.settled, slot.owner)
        if slot.error is not None:
            _raise(key, slot.error)
        return performer.accept(slot.result)

    async def gather(self, *branches: Coroutine[Any, Any, Any]) -> list[Any]:
        """Run branches side by side; their results in order.

        All branches go as far as they can. If some failed, the first error in the order of the log
        is raised, so that it is the same error on every pass.
        """
        ends = await self._side_by_side(branches)
        failed = [end for end in ends if isinstance(end.error, Exception)]
        if failed:
            raise min(failed, key=lambda end: end.line.position).error
        if any(end.error for end in ends):
            raise Parked
        return [end.value for end in ends]

    async def _side_by_side(self, branches: Sequence[Coroutine[Any, Any, Any]]) -> list[_End]:
        tasks = [asyncio.ensure_future(_branch(branch)) for branch in branches]
        if not tasks:
            return []
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            ends = [task.result() for task in tasks if task.done()]
        finally:
            await _stop(tasks)
        parent = strand.get()
        for end in ends:
            parent.join(end.line)
        return ends

    def now(self) -> Coroutine[Any, Any, datetime]:
        """The time, the same on every pass."""
        return self.run("now", _now, note="the time")

    def uuid(self) -> Coroutine[Any, Any, str]:
        """A random UUID, the same on every pass."""
        return self.run("uuid", _uuid, note="a UUID")

    def random(self) -> Coroutine[Any, Any, float]:
        """A random number in [0, 1), the same on every pass."""
        return self.run("random", _random, note="a random number")

    # -- what the verbs share ------------------------------------------------------------------

    @property
    def _frame(self) -> str:
        return self._activation.frame.id

    def _key(self, name: str) -> str:
        count = self._used[name] = self._used.get(name, 0) + 1
        key = f"{self._prefix}{name}" if count == 1 else f"{self._prefix}{name}#{count}"
        self._activation.reached(key)
        return key

    def _slot(self, key: str, kind: str) -> Slot | None:
        slot = self._activation.slot(key)
        if slot is not None and slot.kind != kind:
            self._activation.changed(key)
        return slot

    def _replay(self, key: str, slot: Slot, wanted: Any) -> Any:
        strand.get().consume(slot.settled, slot.owner)
        if slot.error is not None:
            _raise(key, slot.error)
        return load(slot.result, wanted)

    def _consume_inner(self, prefix: str) -> None:
        """Take note of what a part of the body has done. Raises Parked while it only waits."""
        inner = self._activation.slots_under(prefix)
        if not inner:
            return
        last = max(inner, key=lambda slot: slot.settled)
        if not last.settled:
            raise Parked
        strand.get().consume(last.settled, last.owner)

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
            _raise(key, failure, error)
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


def _raise(step: str, failure: Failure, cause: BaseException | None = None) -> None:
    known = _RAISED.get(failure.type)
    if known is not None:
        raise known(failure.message) from cause
    raise StepFailed(step, failure.message, failure.type, failure.attempts) from cause


class _End(NamedTuple):
    """How a branch ended."""

    line: Strand
    value: Any
    error: BaseException | None


async def _branch(branch: Awaitable[Any]) -> _End:
    """Run a branch in a task, and so a context, of its own."""
    line = strand.get().fork()
    strand.set(line)
    try:
        return _End(line, await branch, None)
    except (Exception, Parked) as error:  # noqa: BLE001  told to whoever waits for all branches
        return _End(line, None, error)


async def _stop(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """End the tasks that still run; a fenced activation must leave nothing behind."""
    left = [task for task in tasks if not task.done()]
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left)


async def _call(fn: Callable[..., Any], *args: Any) -> Any:
    if inspect.iscoroutinefunction(fn):
        return await fn(*args)
    result = await asyncio.to_thread(fn, *args) if not _is_async_callable(fn) else fn(*args)
    return await result if inspect.isawaitable(result) else result


def _is_async_callable(fn: Callable[..., Any]) -> bool:
    target = getattr(fn, "func", fn)
    call = getattr(target, "__call__", None)  # noqa: B004  an object with an async __call__
    return inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(call)


async def _now() -> datetime:
    return datetime.now(UTC)


async def _uuid() -> str:
    return str(uuid.uuid4())


async def _random() -> float:
    return random.random()  # noqa: S311
