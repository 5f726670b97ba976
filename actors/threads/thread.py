"""Threads: conversations that span several runs, what they hold and where they are stored."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

import msgspec

from ...runtime.actor_step import ActorStep
from ...runtime.errors import InvalidSetup
from ...runtime.times import iso
from ..models.model import Message, Text
from .turn import USER, CallRecord, Said, TurnResult

LAST = 100
"""How many messages of a thread a network gets, unless the store has a limit of its own."""
_LONGEST = 2_000
"""Characters of a tool's result that a thread keeps."""


@runtime_checkable
class HistoryStore(Protocol):
    """Stores threads. An append takes effect once per `key`, however often it is called."""

    async def create_thread(self, thread: str) -> None:
        """Prepare for a thread, which may exist already; called before other calls for it."""
        ...

    async def load(self, thread: str) -> list[Said]:
        """The messages of a thread, oldest first; empty for a new thread.

        A store may return only the latest messages, to limit what agents see.
        """
        ...

    async def append_user_message(self, thread: str, key: str, said: Said) -> None:
        """Add a user's message, before agents work on it."""
        ...

    async def append_results(self, thread: str, key: str, said: Sequence[Said]) -> None:
        """Add the agents' messages when their network is done, all or none of them."""
        ...

    async def erase(self, thread: str) -> int:
        """Delete a thread permanently. Returns how many entries it had; 0: there was none."""
        ...

    async def aclose(self) -> None:
        """Close connections; they open again when they are needed."""
        ...


class MemoryHistory:
    """Stores threads in memory, for tests: they end with the process."""

    def __init__(self, *, last: int = LAST) -> None:
        self._last = checked_last(last)
        self._threads: dict[str, dict[str, list[Said]]] = {}

    async def create_thread(self, thread: str) -> None:
        """Prepare for a thread."""
        self._threads.setdefault(thread, {})

    async def load(self, thread: str) -> list[Said]:
        """The latest `last` messages of a thread, oldest first."""
        found = [said for entry in self._threads.get(thread, {}).values() for said in entry]
        return found[-self._last :]

    async def append_user_message(self, thread: str, key: str, said: Said) -> None:
        """Add a user's message."""
        self._threads[thread].setdefault(f"{key}-user", [said])

    async def append_results(self, thread: str, key: str, said: Sequence[Said]) -> None:
        """Add the agents' messages."""
        self._threads[thread].setdefault(f"{key}-results", list(said))

    async def erase(self, thread: str) -> int:
        """Delete a thread. Returns how many entries it had."""
        return len(self._threads.pop(thread, {}))

    async def aclose(self) -> None:
        """Do nothing: there is no connection."""


class Conversation:
    """One network's part in a thread: one step of the run before it works, and one after."""

    def __init__(self, step: ActorStep, thread: str, begin: str, end: str) -> None:
        store = step.ports.history
        if store is None:
            raise InvalidSetup(
                f"thread={thread!r} needs a store: give the app one, App(history=nats_history())"
            )
        self._store: HistoryStore = store
        self._step = step
        self._thread = thread
        self._begin = begin
        self._end = end
        self._key = store_key(step.run_id, begin)

    async def begin(self, text: str) -> list[Said]:
        """The messages so far; then adds the user's. Recorded, so read only once."""

        async def effect() -> list[Said]:
            await self._store.create_thread(self._thread)
            before = [s for s in await self._store.load(self._thread) if s.key != self._key]
            said = Said(key=self._key, at=iso(time.time()), text=text)
            await self._store.append_user_message(self._thread, self._key, said)
            return before

        def summary(before: list[Said]) -> str:
            return f"thread {self._thread}: {len(before)} before"

        return cast("list[Said]", await self._perform(self._begin, effect, list[Said], summary))

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
        retry = self._step.ports.retry
        return await self._step.perform(key, effect, kind, retry=retry, note=note)

    def _said(self, turn: TurnResult) -> Said:
        calls = [_cut(call) for call in turn.calls]
        at = iso(time.time())
        return Said(key=self._key, at=at, who=turn.agent, text=turn.text, calls=calls)


def store_key(run: str, step: str) -> str:
    """The key of one call of a network: the run, and a digest of the call's place in it."""
    return f"{run}-{hashlib.blake2b(step.encode(), digest_size=4).hexdigest()}"


def run_of(key: str) -> str:
    """The run in a store's key."""
    return key.partition("-")[0]


def checked_last(last: int) -> int:
    """`last`, if it is positive. Raises InvalidSetup."""
    if last < 1:
        raise InvalidSetup(f"last={last}: give 1 or more")
    return last


def checked_store(store: Any) -> HistoryStore:
    """`store`, if it is a `HistoryStore`. Raises InvalidSetup."""
    if not isinstance(store, HistoryStore):
        raise InvalidSetup(
            f"history={store!r} is not a store: give nats_history(), postgres_history(...) or an "
            "object with the methods of layby.history.HistoryStore"
        )
    return store


class Earlier(NamedTuple):
    """One turn of a thread before this run, as messages to an agent."""

    who: str
    """The agent that took it; empty where no agent has answered."""
    asked: list[Message]
    """What the user said before it."""
    said: list[Message]


def earlier_of(before: Sequence[Said], agent: str) -> list[Earlier]:
    """A thread, turn by turn, as messages to `agent`."""
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
    """A thread as messages to `agent`: its own as they were, those of others retold."""
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
