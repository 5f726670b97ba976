"""The verbs of a body, and what only actors may do with the records beneath them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any, NamedTuple, Self, TypeVar

import msgspec

from .asking import RAISE
from .call import Call
from .entry import NULL, Asked, Raw, Retried
from .forms import schema_of
from .given_answer import Answer
from .ladders import NO_OPTIONS, LadderOptions
from .ports import Ports
from .quorum import Quorum, roles_of
from .repeated_effects import watch_reentry
from .retry import Retry
from .sent import Sending
from .state import Question, RunState, Slot
from .step import Step
from .streaming import TextStream, step_name
from .values import load
from .vouching import Accept
from .waiting import Performer

B = TypeVar("B", bound=Step)
T = TypeVar("T")


class Bound(NamedTuple):
    """What a person sees of a call that they are to approve, and how they may answer."""

    context: str
    answer: Any
    """The type of the answer."""
    digest: str
    call: Callable[[], Call]
    """The call itself, for signed answers."""


class ActorStep(Step):
    """A body's steps as actors use them. Users get the object that `verbs` makes."""

    @classmethod
    def of(cls, step: Step) -> Self:
        """The actor's view of a user's step."""
        return cls(step._recorder, step._ports, step._prefix, step._used)  # noqa: SLF001  its own base class

    def verbs(self, kind: type[B]) -> B:
        """The same steps as users see them."""
        return kind(self._recorder, self._ports, self._prefix, self._used)

    @property
    def ports(self) -> Ports:
        """The ports that the app and the worker offer."""
        return self._ports

    @property
    def actor(self) -> str:
        """The address of the actor whose body it is."""
        return self._recorder.frame.actor

    @property
    def frame(self) -> str:
        """The id of the body's frame."""
        return self._frame

    @property
    def state(self) -> RunState:
        """The run as it is recorded."""
        return self._recorder.state

    @property
    def begins(self) -> bool:
        """Whether this handles the mail that started the run."""
        return self._recorder.begins

    async def settle(self) -> None:
        """Keep what is recorded so far."""
        await self._recorder.flush()

    def under(self, name: str) -> Self:
        """The same body's steps under a prefix, for a part of it that may run concurrently."""
        return type(self)(self._recorder, self._ports, f"{self._prefix}{name}/")

    def has(self, name: str) -> bool:
        """Whether the result of step `name` is recorded."""
        slot = self._found(f"{self._prefix}{name}")
        return slot is not None and slot.settled > 0

    def recorded(self, key: str) -> Slot | None:
        """What is recorded under the full `key`; None: nothing."""
        return self._found(key)

    def entering(self, key: str, name: str) -> AbstractContextManager[None]:
        """Enclose the function of tool `name`, whose steps are under `key`.

        Logs a warning about code that runs a second time because the tool has waited.
        """
        under = f"{self._prefix}{key}/"
        slots = self._slots.items()
        if not any(k.startswith(under) and s.kind != "step" and s.settled for k, s in slots):
            return nullcontext()
        return watch_reentry(lambda: self._ports.warn_repeated(self.run_id, name))

    async def read(self, raw: Raw, wanted: Any = Any) -> Any:
        """A value of the run's log as `wanted`, fetched if it is too big for the log."""
        return load(await self._ports.inflate(raw), wanted)

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
        confidential: bool = False,
        ladder: LadderOptions = NO_OPTIONS,
        quorum: Quorum | None = None,
    ) -> Coroutine[Any, Any, Answer]:
        """Like `ask`, with context, form and digest that depend on the question's id.

        `bind` gets the id, and the question itself if it has already been asked.
        """
        asked = self._asked(role, question, timeout, agent, name, accept=accept, quorum=quorum)
        bound = bind(asked.id, self._recorder.state.questions.get(asked.id))
        asked = msgspec.structs.replace(
            asked,
            context=bound.context,
            form=schema_of(bound.answer),
            digest=bound.digest,
            call=bound.call() if self._signs(asked) else None,
            confidential=confidential,
        )
        return self._ask(asked, bound.answer, RAISE, ladder)

    def _signs(self, asked: Asked) -> bool:
        return any(role in self._ports.signers for role in roles_of(asked))

    def perform(
        self,
        key: str,
        effect: Callable[[], Awaitable[Any]],
        wanted: Any = Any,
        *,
        retry: Retry,
        note: str | Callable[[Any], str] = "",
        sending: Sending | None = None,
    ) -> Coroutine[Any, Any, Any]:
        """Run `effect` under the full `key` unless its result is recorded.

        Steps of `effect` with `under(key)` are recorded too: entered again, it continues there.
        What `sending` says that it has sent is recorded with it.
        """
        return self._perform(key, effect, wanted, retry=retry, note=note, sending=sending)

    def call(
        self, performer: Performer[T], arguments: Any, *, name: str = "", note: str = ""
    ) -> Coroutine[Any, Any, T]:
        """Call another actor, and wait for it without occupying a worker."""
        key = self._key(name or performer.address)
        return self._call(key, performer, arguments, note)

    def skip_recorded(self) -> None:
        """Let the body end without reaching its recorded steps."""
        for key in self._slots:
            self._recorder.reached(key)

    def repeats_of(self, key: str) -> list[str]:
        """The recorded full keys of all uses of `key`, the first and later ones."""
        numbered = re.compile(rf"{re.escape(key)}(#[0-9]+)?")
        return [each for each in self._slots if numbered.fullmatch(each)]

    def has_within(self, key: str) -> bool:
        """Whether something is recorded inside the full `key`."""
        return any(each.startswith(f"{key}/") for each in self._slots)

    def edited(self, key: str) -> Any:
        """What a person put in place of a step's input; None: nobody did."""
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
        """Retry what failed, as the answer to `question` says. Raises Parked.

        Args:
            steps: The full keys whose records are forgotten.
            question: The question's id: it causes one retry.
            whole: Whether the body itself failed.
            event: Replaces the run's event; null: it stays.
            input: Replaces the input of the first of `steps`; null: it stays.
        """
        await self._recorder.check_may_proceed()
        retried = Retried(
            frame=self._frame,
            steps=list(steps),
            whole=whole,
            event=event,
            input=input,
            question=question,
        )
        await self._recorder.wait(retried, to=self._recorder.frame.actor)

    def streaming(self, key: str, agent: str) -> AbstractContextManager[TextStream | None]:
        """Opens a stream for the text of step `key`; gives None if texts are not streamed."""
        if self._ports.text_streams is None:
            return nullcontext()
        return self._ports.text_streams.open(
            run=self.run_id,
            step=step_name(self._frame, f"{self._prefix}{key}"),
            agent=agent,
            after=self.state.tail,
        )
