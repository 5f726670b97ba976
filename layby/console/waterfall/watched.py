"""The logs of the runs that people look at, each read and followed once for all of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncGenerator

from ...bus.errors import BusError, Erased, KeyMissing
from ...bus.log import LogMessage
from ...client import Client, NoSuchRun
from ...runtime.entry import Answered, Voted
from ...runtime.envelope import Envelope, is_newer, read
from ...runtime.journal import fold, skip
from ...runtime.state import Question, RunState
from ...runtime.streaming import TextDelta
from ...runtime.vouching import Refusal, Signers, refused
from .node import Node
from .outline import Outline
from .running import running

_KEPT_BYTES = 64 * 1024 * 1024
"""Bytes of the logs of ended runs, and of runs that nobody looks at, that are kept."""
_LONGEST_TEXT = 256 * 1024
"""Characters of one response that are shown while it streams."""


class WatchedRun:
    """One run: its log as far as it is known here, and what its models are saying."""

    def __init__(self, client: Client, run: str, signers: Signers | None = None) -> None:
        self.id = run
        self._signers = signers
        self._begin()
        self.closed: BusError | None = None
        """Why its log cannot be read; None: it can."""
        self.version = 0
        """Counts the changes."""
        self.users = 0
        self._client = client
        self._changed = asyncio.Condition()
        self.following: asyncio.Task[None] | None = None
        """Reads on; None: nobody looks."""

    def _begin(self) -> None:
        """Know nothing of the log."""
        self.messages: list[LogMessage] = []
        self.outline = Outline(self.id, self._signers)
        self.state = RunState(id=self.id)
        self.size = 0
        self.texts: dict[str, str] = {}
        """By step: what a model has said so far of a response that is not recorded yet."""
        self._answers: dict[str, str] = {}

    @property
    def ended(self) -> bool:
        """Whether the run is over, as far as its log is known."""
        return self.closed is not None or self.state.ended

    async def load(self) -> None:
        """Read the log on from where it is known. Raises NoSuchRun.

        Its last entry is read once more: if the key of it is gone, what is known here must go too.
        """
        if self.messages:
            self._client.logs.reload_key(self.id)
        try:
            found = await self._client.logs.entries(self.id, max(0, len(self.messages) - 1))
        except (Erased, KeyMissing) as why:
            await self._close(why)
            return
        if not found and not (self.messages and await self._client.logs.exists(self.id)):
            self._begin()
            raise NoSuchRun(f"there is no run {self.id!r}")
        self.closed = None
        version = self.version
        for message in found:
            self.take(message)
        if self.version != version:
            await self._tell()

    def take(self, message: LogMessage) -> None:
        """Read the next message of the log; any other is skipped."""
        if message.n != len(self.messages) + 1:
            return
        self.messages.append(message)
        self.size += len(message.data)
        self.outline.take(message)
        self._fold(message)
        again = [name for name, frame in self.state.frames.items() if frame.reopened == message.n]
        self.outline.go_on(again, anew=self.state.reopened == message.n)
        for step in self.texts.keys() & self.outline.complete:
            del self.texts[step]
        self.version += 1

    def _fold(self, message: LogMessage) -> None:
        envelope = read(message.data)
        if envelope is None:
            skip(self.state, message.n, newer=is_newer(message.data))
        else:
            fold(self.state, message.n, envelope, self._refuses)

    def _refuses(
        self, state: RunState, question: Question, record: Answered | Voted
    ) -> Refusal | None:
        return refused(state.ticket, state.id, question, record, self._signers)

    def envelope(self, n: int) -> Envelope | None:
        """What a position holds; None: it cannot be read, or is no longer known."""
        return read(self.messages[n - 1].data) if 0 < n <= len(self.messages) else None

    def find(self, row: str) -> Node | None:
        """A row by its id, if there is one."""
        return self.outline.find(row) or next((n for n in self.live if n.id == row), None)

    @property
    def live(self) -> list[Node]:
        """Rows for what is going on now and has no record yet."""
        if self.ended:
            return []
        return running(self.outline, self.texts, {block.frame for _, block in self.state.blocked})

    def text_of(self, node: Node) -> str:
        """What a model has said so far, for a row of `live`."""
        return self.texts.get(node.step, "") if node.step else ""

    def hear(self, delta: TextDelta) -> None:
        """Take text that a model has just produced."""
        if delta.step in self.outline.complete:
            return
        if self._answers.get(delta.step) != delta.answer:
            self._answers[delta.step] = delta.answer
            self.texts[delta.step] = ""
        text = self.texts.get(delta.step, "")
        self.texts[delta.step] = (text + delta.text)[:_LONGEST_TEXT]
        self.version += 1

    async def follow(self) -> None:
        """Read on for as long as somebody looks."""
        tail = self._client.logs.tail(self.id).follow()
        try:
            async with contextlib.aclosing(tail):
                async for item in tail:
                    if isinstance(item, TextDelta):
                        self.hear(item)
                    else:
                        self.take(item)
                    await self._tell()
        except (Erased, KeyMissing) as why:
            await self._close(why)
        except BusError:
            return  # `check` and the next viewer begin again

    async def _close(self, why: BusError) -> None:
        """Forget what was read, and tell those who look."""
        self._begin()
        self.closed = why
        self.version += 1
        await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def changed_since(self, version: int) -> None:
        """Return when it is no longer as it was."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.version != version)

    def use(self) -> None:
        """Begin to follow it, if nobody else looks."""
        self.users += 1
        self._keep_following()

    async def check(self) -> None:
        """Find out whether it can still be read, and follow it again if the connection was lost."""
        with contextlib.suppress(BusError, NoSuchRun):
            await self.load()
        self._keep_following()

    def _keep_following(self) -> None:
        if self.users and (self.following is None or self.following.done()):
            self.following = asyncio.create_task(self.follow())

    def leave(self) -> None:
        """Stop following it, if nobody else looks."""
        self.users -= 1
        if not self.users and self.following is not None:
            self.following.cancel()
            self.following = None


class WatchedRuns:
    """The runs that people look at, and those that they have looked at last."""

    def __init__(self, most: int = _KEPT_BYTES) -> None:
        self._most = most
        self._runs: OrderedDict[tuple[int, str], WatchedRun] = OrderedDict()

    @property
    def looked_at(self) -> bool:
        """Whether somebody follows a run."""
        return any(each.users for each in self._runs.values())

    async def get(self, client: Client, run: str) -> WatchedRun:
        """A run as it is now, read with the rights of `client`. Raises NoSuchRun, BusError."""
        key = (id(client), run)
        found = self._runs.get(key) or WatchedRun(client, run, client.logs.signers)
        await found.load()
        self._runs[key] = found
        self._runs.move_to_end(key)
        self._forget()
        return found

    def _forget(self) -> None:
        size = sum(each.size for each in self._runs.values())
        for key, each in [*self._runs.items()][:-1]:
            if size <= self._most:
                return
            if not each.users:
                size -= each.size
                del self._runs[key]

    @contextlib.asynccontextmanager
    async def following(self, client: Client, run: str) -> AsyncGenerator[WatchedRun]:
        """A run that is followed while the block is open."""
        found = await self.get(client, run)
        found.use()
        try:
            yield found
        finally:
            found.leave()
