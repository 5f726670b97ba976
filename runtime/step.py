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
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol, Self, TypeVar, cast, overload

from ..bus.log import NOBODY
from . import crash
from .activation import Activation, Strand, strand
from .duration import seconds
from .entry import (
    Asked,
    Awaited,
    Called,
    Failed,
    Failure,
    Origin,
    Raw,
    Slept,
    Spawned,
    Stepped,
    Withdrawn,
)
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
from .failure import failure_of
from .forms import answer_value, schema_of
from .ids import question_id, timer_name
from .journal import Question, RunState, Slot
from .retry import Retry
from .services import EventBook, Services
from .speech import Speech, step_name
from .values import dump, load, returned_type

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_IN_PROCESS = 1.0
"""Seconds of back-off that are waited for in the worker; longer ones are parked."""
_RAISED: dict[str, type[LaybyError]] = {
    "AskTimedOut": AskTimedOut,
    "BudgetSpent": BudgetSpent,
    "MaxTurns": MaxTurns,
    "QuestionLimit": QuestionLimit,
    "RunCancelled": RunCancelled,
}


RAISE: Any = object()
"""As the `default` of a question: there is none, so raise when nobody answers."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a person answered."""

    text: str
    value: Any
    """The answer as the type that was asked for; the text itself unless one was."""
    by: str
    """Who, as far as is known; empty when the answer did not say."""
    at: datetime
    question_id: str


class Performer(Protocol[T_co]):
    """An actor that a body can call and wait for."""

    @property
    def address(self) -> str:
        """The actor's name in subjects."""
        ...

    def accept(self, result: Raw) -> T_co:
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

    def under(self, name: str) -> Step:
        """The same body's steps, named apart: for a part of it that may run beside others."""
        return Step(self._activation, self._services, f"{self._prefix}{name}/")

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

    @overload
    def run(
        self,
        name: str,
        fn: Callable[..., Coroutine[Any, Any, T]],
        *args: Any,
        retry: Retry | None = None,
        timeout: str | float | None = None,
        note: str = "",
    ) -> Coroutine[Any, Any, T]: ...

    @overload
    def run(
        self,
        name: str,
        fn: Callable[..., T],
        *args: Any,
        retry: Retry | None = None,
        timeout: str | float | None = None,
        note: str = "",
    ) -> Coroutine[Any, Any, T]: ...

    def run(
        self,
        name: str,
        fn: Callable[..., Any],
        *args: Any,
        retry: Retry | None = None,
        timeout: str | float | None = None,
        note: str = "",
    ) -> Coroutine[Any, Any, Any]:
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
            if limit is None:
                return await _call(fn, *args)
            async with asyncio.timeout(limit):
                return await _call(fn, *args)

        return self.perform(key, effect, wanted, retry=policy, note=note)

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
        while True:
            try:
                value = await effect()
                return dump(value), value
            except Exception as error:  # noqa: BLE001  user code may raise anything
                await self._failed(key, error, attempt, retry)
                attempt += 1

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
        if self._open(key, "sleep") is not None:
            return
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
        answer: Any = str,
        default: Any = RAISE,
        agent: str = "",
        name: str = "ask",
    ) -> Coroutine[Any, Any, Answer]:
        """Ask a person and wait, without holding a worker, until they answer.

        Args:
            role: Who is asked.
            question: The question, complete in itself.
            context: What they need to know.
            timeout: How long they have; the app's `ask_timeout` unless given.
            answer: The type of the answer's `value`: `bool`, a `Literal`, a pydantic model. An
                answer that does not fit is refused with the reason, and the question stays open.
            default: The `value` when nobody answers; without it, that raises AskTimedOut.
            agent: Who asks, for the person to see.
            name: The step's name.

        Raises:
            AskTimedOut: nobody answered before the deadline, and there is no `default`.
            QuestionLimit: the run has asked as many questions as the app allows.
        """
        key = self._key(name)
        self._activation.reached(f"{key}!")
        wait = self._services.ask_timeout if timeout is None else seconds(timeout)
        asked = Asked(
            frame=self._frame,
            key=key,
            id=question_id(self.run_id, self._frame, key),
            role=role,
            question=question,
            context=context,
            agent=agent,
            deadline=round(time.time() + wait, 3),
            form=None if answer is str else schema_of(answer),
        )
        return self._ask(asked, answer, default)

    async def _ask(self, asked: Asked, wanted: Any, default: Any) -> Answer:
        self._check_role(asked.role)
        refused = self._slot(f"{asked.key}!", "step")
        if refused is not None:
            return cast("Answer", await self._replay(asked.key, refused, Any))
        slot = self._open(asked.key, "ask")
        if slot is None:
            await self._activation.must_be_live()
            self._check_limit(asked.key)
            await self._activation.flush(to=f"human-{asked.role}", mail=asked)
            raise Parked
        question = self._activation.live.state.questions[slot.ref]
        if question.status == "answered":
            return _answer(question, wanted)
        if default is not RAISE:
            at = datetime.fromtimestamp(question.deadline, UTC)
            return Answer(text="", value=default, by="", at=at, question_id=question.id)
        deadline = datetime.fromtimestamp(question.deadline, UTC).isoformat(timespec="seconds")
        raise AskTimedOut(
            f"nobody with the role {question.role!r} answered by {deadline}: {question.question!r}",
            question.id,
        )

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

    def call(
        self, performer: Performer[T], arguments: Any, *, name: str = "", note: str = ""
    ) -> Coroutine[Any, Any, T]:
        """Let another actor do something, and wait for it without holding a worker."""
        key = self._key(name or performer.address)
        return self._call(key, performer, arguments, note)

    async def _call(self, key: str, performer: Performer[T], arguments: Any, note: str) -> T:
        slot = self._open(key, "call")
        if slot is None:
            await self._activation.must_be_live()
            called = Called(
                frame=self._frame,
                key=key,
                child=f"{self._frame}/{key}",
                actor=performer.address,
                input=await self._services.deflate(dump(arguments)),
                note=note,
            )
            await self._activation.flush(to=performer.address, mail=called)
            raise Parked
        if slot.error is not None:
            _raise(key, slot.error)
        return performer.accept(await self._services.inflate(slot.result))

    def wait_for_event(
        self,
        subject: str,
        *,
        match: dict[str, Any] | None = None,
        timeout: str | float | timedelta | None = None,
        name: str = "",
    ) -> Coroutine[Any, Any, Any]:
        """Wait for an event on `subject` whose fields are equal to `match`; return it as JSON.

        An event that was published since the run began counts, however early. Returns None when
        none came within `timeout`. The subject must be one of the app's `events` or triggers.
        """
        if self._services.events is None:
            raise InvalidSetup(f"declare the event with App(events=[{subject!r}]) to wait for it")
        self._services.events.check(subject)
        awaited = Awaited(
            frame=self._frame,
            key=self._key(name or subject),
            subject=subject,
            match=match or {},
            until=0.0 if timeout is None else round(time.time() + seconds(timeout), 3),
        )
        return self._wait_for(self._services.events, awaited)

    async def _wait_for(self, events: EventBook, awaited: Awaited) -> Any:
        state = self._activation.live.state
        if self._activation.redelivered and self._is_open(awaited.key):
            await events.register(self.run_id, awaited, state.started_at)
        slot = self._open(awaited.key, "event")
        if slot is not None:
            return load(await self._services.inflate(slot.result))
        await self._activation.must_be_live()
        self._record(awaited)
        await self._activation.flush()
        if awaited.until:
            await self._arm(awaited.key, awaited.until)
        await events.register(self.run_id, awaited, self._activation.live.state.started_at)
        raise Parked

    def _is_open(self, key: str) -> bool:
        slot = self._activation.slot(key)
        return slot is not None and not slot.settled

    def send_event(self, subject: str, data: Any) -> Coroutine[Any, Any, None]:
        """Publish an event once; JetStream has it when this returns."""
        key = self._key(f"send {subject}")
        publish = self._services.publish
        body = bytes(dump(data))

        async def effect() -> None:
            if publish is not None:
                await publish(subject, body, self.idempotency_key(key))

        return self.perform(key, effect, retry=self._services.retry, note=subject)

    def workflow(
        self, workflow: Callable[..., Any] | str, data: Any, *, name: str = ""
    ) -> Coroutine[Any, Any, Any]:
        """Run another workflow of the app as a run of its own, and wait for its result.

        Raises:
            StepFailed: it failed; its own log says why.
            RunCancelled: it was cancelled.
        """
        target = workflow if isinstance(workflow, str) else workflow.__name__
        return self._spawn(self._key(name or target), target, data)

    async def _spawn(self, key: str, target: str, data: Any) -> Any:
        children = self._services.children
        if children is None:
            raise InvalidSetup("this worker cannot start other workflows")
        origin = Origin(run=self.run_id, frame=self._frame, key=key)
        run, started, actor = children.prepare(target, data, origin)
        if self._activation.redelivered and self._is_open(key):
            await children.ensure(run, started, actor)
        slot = self._open(key, "child")
        if slot is None:
            await self._activation.must_be_live()
            self._record(
                Spawned(frame=self._frame, key=key, run=run, workflow=target, event=started.event)
            )
            await self._activation.flush()
            await children.ensure(run, started, actor)
            raise Parked
        if slot.error is not None:
            _raise(key, slot.error)
        return load(await self._services.inflate(slot.result))

    async def gather(self, *branches: Awaitable[Any]) -> list[Any]:
        """Run branches side by side; their results in order.

        All branches go as far as they can. If some failed, the first error in the order of the log
        is raised, so that it is the same error on every pass.
        """
        ends = await self._side_by_side(branches)
        errors = [
            (end.line.position, end.error) for end in ends if isinstance(end.error, Exception)
        ]
        if errors:
            raise min(errors, key=lambda each: each[0])[1]
        if any(end.error for end in ends):
            raise Parked
        return [end.value for end in ends]

    async def first(self, *branches: Awaitable[Any]) -> Any:
        """Run branches side by side; return what the first to end returned, or raise its error.

        The others are stopped, and what they wait for is withdrawn: their questions are closed.
        """
        key = self._key("first")
        slot = self._slot(key, "step")
        decided = load(slot.result, int) if slot is not None and slot.settled else None
        ends = await self._side_by_side(branches, race=decided is None, winner=decided)
        if slot is not None and decided is not None:
            strand.get().consume(slot.settled, slot.owner)
        else:
            over = [n for n, end in enumerate(ends) if not isinstance(end.error, Parked)]
            if not over:
                raise Parked
            await self._activation.must_be_live()
            decided = min(over, key=lambda n: ends[n].line.position)
            self._record(Stepped(frame=self._frame, key=key, result=dump(decided)))
            await self._activation.flush()
        await self._withdraw([e.line for n, e in enumerate(ends) if n != decided])
        won = ends[decided]
        if isinstance(won.error, Exception):
            raise won.error
        return won.value

    async def _withdraw(self, lines: Sequence[Strand]) -> None:
        state = self._activation.live.state
        for frame, key, slot in _waits(state, self._frame, [k for li in lines for k in li.touched]):
            role = state.questions[slot.ref].role if slot.kind == "ask" else ""
            withdrawn = Withdrawn(frame=frame, key=key)
            to = f"human-{role}" if role else NOBODY
            await self._activation.flush(to=to, mail=withdrawn)

    async def _side_by_side(
        self,
        branches: Sequence[Awaitable[Any]],
        *,
        race: bool = False,
        winner: int | None = None,
    ) -> list[_End]:
        """Run branches in tasks. In a race, stop the others when one has ended."""
        lines = [strand.get().fork() for _ in branches]
        for number, line in enumerate(lines):
            line.frozen = line.frozen or winner not in {None, number}
        tasks = [
            asyncio.ensure_future(_branch(branch, line))
            for branch, line in zip(branches, lines, strict=True)
        ]
        try:
            await _until_over(tasks, race=race)
        finally:
            await _stop(tasks)
        ends = [
            _End(line, None, Parked()) if task.cancelled() else task.result()
            for task, line in zip(tasks, lines, strict=True)
        ]
        parent = strand.get()
        for number, end in enumerate(ends):
            if winner in {None, number}:
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
            _raise(key, slot.error)
        return load(await self._services.inflate(slot.result), wanted)

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


async def _branch(branch: Awaitable[Any], line: Strand) -> _End:
    """Run a branch in a task, and so a context, of its own."""
    strand.set(line)
    try:
        return _End(line, await branch, None)
    except (Exception, Parked) as error:  # noqa: BLE001  told to whoever waits for all branches
        return _End(line, None, error)


async def _until_over(tasks: Sequence[asyncio.Task[_End]], *, race: bool) -> None:
    """Wait for all tasks; in a race, until one has ended rather than parked."""
    left = set(tasks)
    while left:
        when = asyncio.FIRST_COMPLETED if race else asyncio.FIRST_EXCEPTION
        done, left = await asyncio.wait(left, return_when=when)
        ends = [task.result() for task in done]  # raises what fences the activation
        if race and any(not isinstance(end.error, Parked) for end in ends):
            return


def _waits(state: RunState, frame: str, keys: Sequence[str]) -> list[tuple[str, str, Slot]]:
    """What is still waited for under `keys`, the innermost first."""
    found: list[tuple[str, str, Slot]] = []
    for key in dict.fromkeys(keys):
        slot = state.slot(frame, key)
        if slot is None or slot.settled:
            continue
        child = state.frames.get(slot.ref) if slot.kind == "call" else None
        if child is not None:
            found += _waits(state, child.id, list(child.slots))
        found.append((frame, key, slot))
    return found


def _answer(question: Question, wanted: Any) -> Answer:
    value = question.text if wanted is str else answer_value(question.text, wanted)
    at = datetime.fromtimestamp(question.at, UTC)
    return Answer(text=question.text, value=value, by=question.by, at=at, question_id=question.id)


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
