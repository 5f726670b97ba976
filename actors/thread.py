"""Conversations that go on over several runs: what a thread holds, and where it may be kept."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

import msgspec

from ..runtime.actor_step import ActorStep
from ..runtime.errors import InvalidSetup
from ..runtime.times import iso
from .model import Message, Text
from .turn import USER, CallRecord, Said, TurnResult

LAST = 100
"""Things said that a network is told, unless the store was made with another number."""
_LONGEST = 2_000
"""Letters of a tool's result that a thread keeps."""


@runtime_checkable
class HistoryStore(Protocol):
    """Keeps threads. Each append happens once for its `key`, however often it is called."""

    async def create_thread(self, thread: str) -> None:
        """Make ready for a thread; called before every other call for it, so often in vain."""
        ...

    async def load(self, thread: str) -> list[Said]:
        """What was said, oldest first; empty for a thread that is new.

        Return less than all to bound what agents see, the newest for instance.
        """
        ...

    async def append_user_message(self, thread: str, key: str, said: Said) -> None:
        """Add what a user said, before agents work on it."""
        ...

    async def append_results(self, thread: str, key: str, said: Sequence[Said]) -> None:
        """Add what agents said, when their network is done. All of it or nothing."""
        ...

    async def erase(self, thread: str) -> int:
        """Forget a thread for good; how many entries it had. 0 for one that there is not."""
        ...

    async def aclose(self) -> None:
        """Let go of connections; they open again when they are needed."""
        ...


class MemoryHistory:
    """Keeps threads in this process, for tests: nothing outlives it."""

    def __init__(self, *, last: int = LAST) -> None:
        self._last = checked_last(last)
        self._threads: dict[str, dict[str, list[Said]]] = {}

    async def create_thread(self, thread: str) -> None:
        """Make ready for a thread."""
        self._threads.setdefault(thread, {})

    async def load(self, thread: str) -> list[Said]:
        """What was said, the newest `last` of it, oldest first."""
        found = [said for entry in self._threads.get(thread, {}).values() for said in entry]
        return found[-self._last :]

    async def append_user_message(self, thread: str, key: str, said: Said) -> None:
        """Add what a user said."""
        self._threads[thread].setdefault(f"{key}-user", [said])

    async def append_results(self, thread: str, key: str, said: Sequence[Said]) -> None:
        """Add what agents said."""
        self._threads[thread].setdefault(f"{key}-results", list(said))

    async def erase(self, thread: str) -> int:
        """Forget a thread; how many entries it had."""
        return len(self._threads.pop(thread, {}))

    async def aclose(self) -> None:
        """Nothing is open."""


class Conversation:
    """One network's part in a thread: two steps of the run, before it works and after."""

    def __init__(self, step: ActorStep, thread: str, begin: str, end: str) -> None:
        store = step.services.history
        if store is None:
            raise InvalidSetup(
                f"thread={thread!r} needs a store: App(history=nats_history()) for instance"
            )
        self._store: HistoryStore = store
        self._step = step
        self._thread = thread
        self._begin = begin
        self._end = end
        self._key = store_key(step.run_id, begin)

    async def begin(self, text: str) -> list[Said]:
        """What was said before; then add what the user says now. Recorded, so read once."""

        async def effect() -> list[Said]:
            await self._store.create_thread(self._thread)
            before = [s for s in await self._store.load(self._thread) if s.key != self._key]
            said = Said(key=self._key, at=iso(time.time()), text=text)
            await self._store.append_user_message(self._thread, self._key, said)
            return before

        def told(before: list[Said]) -> str:
            return f"thread {self._thread}: {len(before)} before"

        return cast("list[Said]", await self._perform(self._begin, effect, list[Said], told))

    async def end(self, turns: Sequence[TurnResult]) -> None:
        """Add what the agents said."""

        async def effect() -> int:
            said = [self._said(turn) for turn in turns if turn.text or turn.calls]
            if said:
                await self._store.append_results(self._thread, self._key, said)
            return len(said)

        await self._perform(self._end, effect, int, lambda n: f"thread {self._thread}: {n} more")

    async def _perform(
        self, key: str, effect: Callable[[], Awaitable[Any]], kind: Any, note: Callable[[Any], str]
    ) -> Any:
        retry = self._step.services.retry
        return await self._step.perform(key, effect, kind, retry=retry, note=note)

    def _said(self, turn: TurnResult) -> Said:
        calls = [_cut(call) for call in turn.calls]
        at = iso(time.time())
        return Said(key=self._key, at=at, who=turn.agent, text=turn.text, calls=calls)


def store_key(run: str, step: str) -> str:
    """The key of one call of a network: the run, and a digest of where in it the call is."""
    return f"{run}-{hashlib.blake2b(step.encode(), digest_size=4).hexdigest()}"


def run_of(key: str) -> str:
    """The run of a store's key."""
    return key.partition("-")[0]


def checked_last(last: int) -> int:
    """`last`, if it is a number of things said. Raises InvalidSetup."""
    if last < 1:
        raise InvalidSetup(f"last={last}: give 1 or more")
    return last


def checked_store(store: Any) -> HistoryStore:
    """`store`, if it is one. Raises InvalidSetup."""
    if not isinstance(store, HistoryStore):
        raise InvalidSetup(
            f"history={store!r} is no store: give nats_history(), postgres_history(...) or an "
            "object with the methods of layby.history.HistoryStore"
        )
    return store


class Earlier(NamedTuple):
    """One turn of a thread before this run, as messages to an agent."""

    who: str
    """The agent that took it; empty where nobody has answered."""
    asked: list[Message]
    """What the user said before it."""
    said: list[Message]


def earlier_of(before: Sequence[Said], agent: str) -> list[Earlier]:
    """What was said, turn by turn, as messages to `agent`."""
    turns: list[Earlier] = []
    asked: list[Message] = []
    for said in before:
        message = _message(said, agent)
        if said.who == USER:
            asked.append(message)
        else:
            turns.append(Earlier(said.who, asked, [message]))
            asked = []
    return [*turns, Earlier(USER, asked, [])] if asked else turns


def messages_of(before: Sequence[Said], agent: str) -> list[Message]:
    """What was said, as messages to `agent`: its own words as its own, the others' retold."""
    return [_message(said, agent) for said in before]


def _message(said: Said, agent: str) -> Message:
    if said.who == agent and said.text:
        return Message(role="assistant", parts=[Text(text=said.text)])
    if said.who == USER:
        return Message(role="user", parts=[Text(text=said.text or "(nothing)")])
    lines = [f"[{said.who}, earlier in this conversation]"]
    lines += [
        f"- It called {call.name} with {call.arguments}: {call.content}" for call in said.calls
    ]
    if said.text:
        lines.append(f"- It said: {said.text}")
    return Message(role="user", parts=[Text(text="\n".join(lines))])


def _cut(call: CallRecord) -> CallRecord:
    if len(call.content) <= _LONGEST:
        return call
    return msgspec.structs.replace(call, content=f"{call.content[:_LONGEST]}…")
