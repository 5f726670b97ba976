"""What a body does durably: steps, questions, sleeps, calls to other actors.

Every method gives its step a key in the order of the calls, so that a body that is entered again
meets its own records. A body must therefore decide by what steps gave it, not by clocks, random
numbers or the world outside: for those there are `now`, `uuid` and `random`.
"""

from __future__ import annotations

import asyncio
import inspect
import random
import uuid
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar, overload

from . import clock
from .asking import Asking
from .branching import Branching
from .duration import seconds
from .errors import StepFailed
from .failing import AskOnFailure, decided, policy_of, step_trouble
from .failure import blame
from .retry import Retry
from .values import returned_type
from .waiting import Waiting

T = TypeVar("T")


class Step(Asking, Waiting, Branching):
    """The durable verbs of a body, and what it may know of its run."""

    @overload
    def run(
        self,
        name: str,
        fn: Callable[..., Coroutine[Any, Any, T]],
        *args: Any,
        retry: Retry | None = None,
        timeout: str | float | None = None,
        note: str = "",
        on_failure: AskOnFailure | Literal["ask"] | None = None,
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
        on_failure: AskOnFailure | Literal["ask"] | None = None,
    ) -> Coroutine[Any, Any, T]: ...

    def run(
        self,
        name: str,
        fn: Callable[..., Any],
        *args: Any,
        retry: Retry | None = None,
        timeout: str | float | None = None,
        note: str = "",
        on_failure: AskOnFailure | Literal["ask"] | None = None,
    ) -> Coroutine[Any, Any, Any]:
        """Run `fn(*args)` once and record its result; later passes get the recorded result.

        Args:
            name: The step's name, by which its result is found again: the same on every pass.
            fn: What to run: async, or not, and then it runs in a thread. Its result is written as
                JSON, and read back as its return annotation.
            args: What `fn` is called with.
            retry: How it is tried again after an error; default: the app's `retry`. A back-off of
                a second or more holds no worker.
            timeout: How long each try may take; None: as long as it likes.
            note: What the run's timeline says of the step.
            on_failure: `ask`: a person with the role `developer` is asked when every try failed,
                for 4 h, whether to retry, to edit the input, to skip the step with a value, or to
                fail; silence fails. An `AskOnFailure` names another role or time.

        Raises:
            StepFailed: every try failed, or the error was a `NonRetriableError`.
        """
        key = self._key(name)
        wanted = returned_type(fn)
        policy = retry or self._services.retry
        limit = None if timeout is None else seconds(timeout)

        def perform(key: str, args: Sequence[Any]) -> Coroutine[Any, Any, Any]:
            async def effect() -> Any:
                if limit is None:
                    return await _call(fn, *args)
                async with asyncio.timeout(limit):
                    return await _call(fn, *args)

            return self._perform(key, effect, wanted, retry=policy, note=note)

        asked = policy_of(on_failure)
        if asked is None:
            return perform(key, args)
        return self._asking(key, fn, args, perform, asked)

    async def _asking(
        self,
        key: str,
        fn: Callable[..., Any],
        args: Sequence[Any],
        perform: Callable[[str, Sequence[Any]], Coroutine[Any, Any, Any]],
        policy: AskOnFailure,
    ) -> Any:
        """Perform a step until it works, or a person decides otherwise. Raises StepFailed."""
        name, trial = key.removeprefix(self._prefix), 1
        while True:
            again = key if trial == 1 else f"{key}~{trial}"
            self._recorder.reached(again)
            try:
                return await perform(again, args)
            except StepFailed as failed:
                trouble = step_trouble(name, fn, failed, args)
                decision = await decided(self, trouble, policy, f"{name} failed")
                if decision.kind == "skip":
                    return decision.value
                if decision.kind == "fail":
                    self._blame_question(failed, decision.question)
                    raise
                if decision.kind == "edit":
                    args = decision.value
            trial += 1

    def _blame_question(self, failed: StepFailed, question: str) -> None:
        """Have a person asked again, too, when the run is taken up at what failed."""
        asked = self._recorder.state.questions.get(question)
        if asked is not None:
            blame(failed, asked.key)

    def now(self) -> Coroutine[Any, Any, datetime]:
        """The time, the same on every pass."""
        return self.run("now", _now, note="the time")

    def uuid(self) -> Coroutine[Any, Any, str]:
        """A random UUID, the same on every pass."""
        return self.run("uuid", _uuid, note="a UUID")

    def random(self) -> Coroutine[Any, Any, float]:
        """A random number in [0, 1), the same on every pass."""
        return self.run("random", _random, note="a random number")


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
    return datetime.fromtimestamp(clock.now(), UTC)


async def _uuid() -> str:
    return str(uuid.uuid4())


async def _random() -> float:
    return random.random()  # noqa: S311
