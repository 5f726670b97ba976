"""The verbs of a body, and what only actors may do with the record beneath them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any, NamedTuple, Self, TypeVar

import msgspec

from .asking import RAISE, Answer
from .call import Call
from .entry import NULL, Raw, Retried
from .forms import schema_of
from .repeats import reentered
from .retry import Retry
from .services import Services
from .speech import Speech, step_name
from .state import Question, RunState, Slot
from .step import Step
from .values import load
from .vouching import Accept
from .waiting import Performer

B = TypeVar("B", bound=Step)
T = TypeVar("T")


class Bound(NamedTuple):
    """What is shown of a call that a person is to approve, and how they may answer."""

    context: str
    answer: Any
    """The type of the answer."""
    digest: str
    call: Callable[[], Call]
    """The call itself, for who has to sign."""


class ActorStep(Step):
    """A body's steps in the hands of an actor. Users get what `verbs` makes of it."""

    @classmethod
    def of(cls, step: Step) -> Self:
        """What is beneath a user's step."""
        return cls(step._recorder, step._services, step._prefix, step._used)  # noqa: SLF001  its own base

    def verbs(self, kind: type[B]) -> B:
        """The same steps as users see them."""
        return kind(self._recorder, self._services, self._prefix, self._used)

    @property
    def services(self) -> Services:
        """What the app and the worker offer."""
        return self._services

    @property
    def state(self) -> RunState:
        """The run as it is recorded."""
        return self._recorder.state

    @property
    def begins(self) -> bool:
        """Whether this is the handling of what started the run."""
        return self._recorder.begins

    async def settle(self) -> None:
        """Keep what is recorded so far."""
        await self._recorder.flush()

    def under(self, name: str) -> Self:
        """The same body's steps, named apart: for a part of it that may run beside others."""
        return type(self)(self._recorder, self._services, f"{self._prefix}{name}/")

    def has(self, name: str) -> bool:
        """Whether the result of step `name` is recorded already."""
        slot = self._found(f"{self._prefix}{name}")
        return slot is not None and slot.settled > 0

    def recorded(self, key: str) -> Slot | None:
        """What is recorded under the full `key`; None: nothing."""
        return self._found(key)

    def entering(self, key: str, name: str) -> AbstractContextManager[None]:
        """While the block runs the function of tool `name`, whose steps are under `key`.

        Tells the worker's log of code that ran before and runs again, because the tool has waited.
        """
        under = f"{self._prefix}{key}/"
        frame = self.state.frames.get(self._frame)
        slots = frame.slots.items() if frame is not None else ()
        if not any(k.startswith(under) and s.kind != "step" and s.settled for k, s in slots):
            return nullcontext()
        return reentered(lambda: self._services.note_repeat(self.run_id, name))

    async def read(self, raw: Raw, wanted: Any = Any) -> Any:
        """A value of the run's log as `wanted`, fetched where it is kept apart for its size."""
        return load(await self._services.inflate(raw), wanted)

    def ask_about(
        self,
        role: str,
        question: str,
        bind: Callable[[str, Question | None], Bound],
        *,
        timeout: str | float | timedelta | None,
        agent: str,
        name: str,
        accept: Accept = None,
    ) -> Coroutine[Any, Any, Answer]:
        """Like `ask`, where context, form and digest are bound to the question's id.

        `bind` gets the id, and the question itself when it has been asked already.
        """
        asked = self._asked(role, question, timeout, agent, name, accept=accept)
        bound = bind(asked.id, self._recorder.state.questions.get(asked.id))
        asked = msgspec.structs.replace(
            asked,
            context=bound.context,
            form=schema_of(bound.answer),
            digest=bound.digest,
            call=bound.call() if role in self._services.signers else None,
        )
        return self._ask(asked, bound.answer, RAISE)

    def perform(
        self,
        key: str,
        effect: Callable[[], Awaitable[Any]],
        wanted: Any = Any,
        *,
        retry: Retry,
        note: str | Callable[[Any], str] = "",
    ) -> Coroutine[Any, Any, Any]:
        """Run `effect` under the full `key` unless its result is recorded.

        What `effect` does with `under(key)` is recorded too: entered again, it goes on from there.
        """
        return self._perform(key, effect, wanted, retry=retry, note=note)

    def call(
        self, performer: Performer[T], arguments: Any, *, name: str = "", note: str = ""
    ) -> Coroutine[Any, Any, T]:
        """Let another actor do something, and wait for it without holding a worker."""
        key = self._key(name or performer.address)
        return self._call(key, performer, arguments, note)

    def pass_over(self) -> None:
        """Let the body be over without coming to what is recorded."""
        frame = self.state.frames.get(self._frame)
        for key in frame.slots if frame is not None else ():
            self._recorder.reached(key)

    def repeats_of(self, key: str) -> list[str]:
        """The recorded full keys of what was begun under `key`, the first time and later."""
        frame = self.state.frames.get(self._frame)
        numbered = re.compile(rf"{re.escape(key)}(#[0-9]+)?")
        return [each for each in (frame.slots if frame else ()) if numbered.fullmatch(each)]

    def has_within(self, key: str) -> bool:
        """Whether something is recorded that was done within the full `key`."""
        frame = self.state.frames.get(self._frame)
        return any(each.startswith(f"{key}/") for each in (frame.slots if frame else ()))

    def edited(self, key: str) -> Any:
        """What a person has put in the place of a step's input; None: nobody has."""
        frame = self.state.frames.get(self._frame)
        raw = frame.inputs.get(key) if frame is not None else None
        return None if raw is None else load(raw)

    async def do_again(
        self,
        steps: Sequence[str],
        question: str,
        *,
        whole: bool = False,
        event: Raw = NULL,
        input: Raw = NULL,  # noqa: A002  the record's word
    ) -> None:
        """Have what failed done again, as the answer to `question` says. Raises Parked.

        Args:
            steps: The full keys whose records are forgotten.
            question: The question's id: it has this done once.
            whole: Whether the body itself has failed.
            event: What takes the place of the run's event; null: it stays.
            input: What takes the place of the input of the first of `steps`; null: it stays.
        """
        await self._recorder.may_go_on()
        retried = Retried(
            frame=self._frame,
            steps=list(steps),
            whole=whole,
            event=event,
            input=input,
            question=question,
        )
        await self._recorder.wait(retried, to=self._recorder.frame.actor)

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
