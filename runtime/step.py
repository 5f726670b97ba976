"""The durable verbs of a body: steps, questions, sleeps, calls to other actors.

Every method gives its step a key in the order of the calls, so that a body that is entered again
finds its own records. A body must therefore base its decisions on the results of steps, not on
clocks, random numbers or the outside world: for those there are `now`, `uuid` and `random`.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar, overload

from . import clock
from .ask_on_failure import AskOnFailure, ask_decision, policy_of, step_failure
from .asking import Asking
from .branching import Branching
from .calling import call
from .duration import seconds
from .errors import StepFailed
from .failure import blame
from .retry import Retry
from .values import returned_type
from .waiting import Waiting

T = TypeVar("T")


class Step(Asking, Waiting, Branching):
    """The durable verbs of a body, and what it may know about its run."""

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
            name: The step's name, by which its result is found: the same on every pass.
            fn: What to run. A function that is not async runs in a thread. Its result is written
                as JSON, and read back as its return annotation.
            args: The arguments of `fn`.
            retry: How to retry after an error; default: the app's `retry`. A back-off of a second
                or more occupies no worker.
            timeout: How long each try may take; None: no limit.
            note: What the run's timeline shows for the step.
            on_failure: `ask`: when every try has failed, a person with the role `developer` has
                4 h to decide: retry, edit the input, skip the step with a value, or fail; silence
                means fail. An `AskOnFailure` names another role or time.

        Raises:
            StepFailed: every try failed, or the error was a `NonRetriableError`.
        """
        key = self._key(name)
        wanted = returned_type(fn)
        policy = retry or self._ports.retry
        limit = None if timeout is None else seconds(timeout)

        def perform(key: str, args: Sequence[Any]) -> Coroutine[Any, Any, Any]:
            async def effect() -> Any:
                with self._ports.tracer.work("step", key):
                    if limit is None:
                        return await call(fn, *args)
                    async with asyncio.timeout(limit):
                        return await call(fn, *args)

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
        """Perform a step until it works or a person decides otherwise. Raises StepFailed."""
        name, trial = key.removeprefix(self._prefix), 1
        while True:
            again = key if trial == 1 else f"{key}~{trial}"
            self._recorder.reached(again)
            try:
                return await perform(again, args)
            except StepFailed as failed:
                asked = step_failure(name, fn, failed, args)
                decision = await ask_decision(self, asked, policy, f"{name} failed")
                if decision.kind == "skip":
                    return decision.value
                if decision.kind == "fail":
                    self._blame_question(failed, decision.question)
                    raise
                if decision.kind == "edit":
                    args = decision.value
            trial += 1

    def _blame_question(self, failed: StepFailed, question: str) -> None:
        """Have the person asked again too, if the run is reopened at this failure."""
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


async def _now() -> datetime:
    return datetime.fromtimestamp(clock.now(), UTC)


async def _uuid() -> str:
    return str(uuid.uuid4())


async def _random() -> float:
    return random.random()  # noqa: S311
