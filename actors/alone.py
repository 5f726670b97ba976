"""An agent alone in a script: the same loop in memory, without a server and without durability."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Self, TypeVar

import msgspec

from ..runtime.duration import seconds
from ..runtime.entry import Raw
from ..runtime.errors import LaybyError, StepFailed
from ..runtime.failure import failure_of
from ..runtime.retry import Retry
from ..runtime.step import Step
from ..runtime.values import dump, load, returned_type
from ..runtime.waiting import Performer
from ..tools.source import close, sources
from .attachment import Attachment, checked_attachments
from .history import past_of, repaired, say
from .loop import Turn
from .model import Message, Model
from .state import StateType, Values
from .toolbox import equipped
from .turn import NetworkInput, TurnInput, TurnResult

if TYPE_CHECKING:
    from .agent import Agent

T = TypeVar("T")


class NeedsServer(LaybyError):
    """An agent alone in a script cannot do this: it takes a run on a server."""

    retryable = False


class _Alone(NamedTuple):
    """What stands in for a network."""

    default_model: Model | None
    state_type: StateType


async def run_alone(
    agent: Agent,
    task: str,
    *,
    model: Model | None = None,
    state: Any = None,
    messages: Sequence[Message] = (),
    attachments: Sequence[Attachment] = (),
) -> TurnResult:
    """Let `agent` take one turn in memory; see `Agent.run`."""
    kind = StateType(None if state is None or isinstance(state, dict) else type(state))
    around = _Alone(model, kind)
    shown = checked_attachments(f"agent {agent.name!r}", attachments)
    work = NetworkInput(network="", input=task, state=kind.opening(state), attachments=shown)
    try:
        turn = await _play(agent, around, work, uuid.uuid4().hex, messages)
    finally:
        each_tools = (getattr(each, "tools", ()) for each in agent.performers())
        await close(source for tools in each_tools for source in sources(tools))
    return agent.typed(msgspec.structs.replace(turn, messages=[say(task, shown), *turn.messages]))


async def _play(
    agent: Agent,
    around: _Alone,
    work: NetworkInput,
    run_id: str,
    messages: Sequence[Message] = (),
) -> TurnResult:
    past = past_of(agent.name, work)
    step = MemoryStep(around, run_id)
    turn = Turn(
        await equipped(agent, step),
        agent.model or around.default_model,
        step,
        task=work,
        before=repaired([*messages, *await past.messages(agent.history)], past.task()),
        values=Values(around.state_type, work.state),
    )
    return await turn.take()


class MemoryStep(Step):
    """The verbs of a body that keep nothing: what needs a server raises NeedsServer."""

    def __init__(self, around: _Alone, run_id: str, prefix: str = "") -> None:
        self._around = around
        self._run = run_id
        self._prefix = prefix
        self._used = {}

    @property
    def run_id(self) -> str:
        """A random id."""
        return self._run

    @property
    def ticket(self) -> str:
        """There is none."""
        return ""

    def under(self, name: str) -> Self:
        """The same verbs, named apart."""
        return type(self)(self._around, self._run, f"{self._prefix}{name}/")

    def has(self, name: str) -> bool:
        """Nothing is kept."""
        del name
        return False

    async def read(self, raw: Raw, wanted: Any = Any) -> Any:
        """A value as `wanted`."""
        return load(raw, wanted)

    def idempotency_key(self, name: str = "") -> str:
        """A key for the outside world that is the same on every try."""
        return f"{self._run}/{self._prefix}{name}"

    def speaking(self, key: str, agent: str = "") -> Any:
        """Nobody listens."""
        del key, agent
        return contextlib.nullcontext()

    def run(
        self,
        name: str,
        fn: Callable[..., Any],
        *args: Any,
        retry: Retry | None = None,
        timeout: str | float | None = None,
        note: str = "",
    ) -> Coroutine[Any, Any, Any]:
        """Run `fn(*args)`, again after an error as `retry` says."""
        limit = None if timeout is None else seconds(timeout)

        async def effect() -> Any:
            async with asyncio.timeout(limit):
                return await _called(fn, *args)

        return self.perform(name, effect, returned_type(fn), retry=retry or Retry(), note=note)

    async def perform(
        self,
        key: str,
        effect: Callable[[], Awaitable[Any]],
        wanted: Any = Any,
        *,
        retry: Retry,
        note: str | Callable[[Any], str] = "",
    ) -> Any:
        """Run `effect` until it works; its value goes through JSON, as on a server."""
        del note
        attempt = 1
        while True:
            try:
                return load(dump(await effect()), wanted)
            except (NeedsServer, StepFailed):
                raise
            except Exception as error:
                pause = retry.pause(attempt, error)
                if pause is None:
                    failed = failure_of(error, attempt)
                    raise StepFailed(
                        key, failed.message, failed.type, attempt, failed.place, failed.causes
                    ) from error
                await asyncio.sleep(pause)
                attempt += 1

    async def gather(self, *branches: Awaitable[Any]) -> list[Any]:
        """Run branches side by side; their results in order."""
        return list(await asyncio.gather(*branches))

    def sleep(self, duration: str | float | timedelta) -> Coroutine[Any, Any, None]:
        """Wait."""
        return asyncio.sleep(seconds(duration))

    def sleep_until(self, when: datetime) -> Coroutine[Any, Any, None]:
        """Wait until a point in time."""
        return asyncio.sleep(max(0.0, when.timestamp() - time.time()))

    def call(
        self, performer: Performer[T], arguments: Any, *, name: str = "", note: str = ""
    ) -> Coroutine[Any, Any, T]:
        """Let another agent take a turn, in memory too."""
        del name, note
        return self._turn(performer, arguments)

    async def _turn(self, performer: Any, asked: Any) -> Any:
        if not isinstance(asked, TurnInput) or asked.task is None:
            raise NeedsServer(f"{performer.address} can be called only by a run on a server")
        turn = await _play(performer, self._around, asked.task, self._run)
        return performer.accept(dump(turn))

    def ask(self, role: str, question: str, **_more: Any) -> NoReturn:
        """Raise NeedsServer: nobody could answer."""
        raise NeedsServer(
            f"a {role} cannot be asked {question!r}: an agent alone in a script has nowhere to "
            "wait for the answer; give it to a Network of an App, and run that on a server"
        )

    def wait_for_event(self, subject: str, **_more: Any) -> NoReturn:
        """Raise NeedsServer: no event could come."""
        raise NeedsServer(f"an agent alone in a script cannot wait for events on {subject!r}")

    def send_event(self, subject: str, data: Any) -> NoReturn:
        """Raise NeedsServer: there is nowhere to send it."""
        del data
        raise NeedsServer(f"an agent alone in a script cannot send events on {subject!r}")

    def workflow(
        self, workflow: Callable[..., Any] | str, data: Any, *, name: str = ""
    ) -> NoReturn:
        """Raise NeedsServer: there is nobody to run it."""
        del data, name
        raise NeedsServer(f"an agent alone in a script cannot start the workflow {workflow!r}")


async def _called(fn: Callable[..., Any], *args: Any) -> Any:
    if inspect.iscoroutinefunction(fn):
        return await fn(*args)
    result = await asyncio.to_thread(fn, *args)
    return await result if inspect.isawaitable(result) else result
