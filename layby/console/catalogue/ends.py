"""What only the logs say about closed questions: how they ended, and what people asked back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from ...actors.people.shown_ask_back import ShownAskBack, shown_ask_backs
from ...bus.bounded import Bounded
from ...bus.errors import BusError
from ...bus.log import Log
from ...bus.requests import Requests
from ...runtime.envelope import UNREADABLE, is_newer, read
from ...runtime.first_stored import entries
from ...runtime.journal import fold, skip
from ...runtime.state import NO_QUORUM, OPEN, RunState
from .entries import QuestionThread

_REMEMBERED: Final = 20_000
_AT_ONCE: Final = 8
"""Logs that are read at a time."""
_CLOSED: Final = "closed"
_SHOWN: Final = {"answered": "answered", "expired": "expired", NO_QUORUM: NO_QUORUM}
"""How a question ended: in the log, and in the catalogue. Otherwise the run needs no answer."""
_ASKS_LOG: Final = frozenset({"expired", _CLOSED})


class _End(NamedTuple):
    """What the log says about a closed question."""

    status: str
    asked_back: tuple[ShownAskBack, ...] = ()


class Ends:
    """Finds in the logs how questions ended, and remembers it: they close once."""

    def __init__(self, requests: Requests) -> None:
        self._log = Log(requests)
        self._known: Bounded[str, _End] = Bounded(_REMEMBERED)
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def with_ends(self, threads: Sequence[QuestionThread]) -> list[QuestionThread]:
        """The same questions; those without an accepted answer with the end that their log says.

        If a log cannot be read, now or ever, they stay as they are.
        """
        missing = dict.fromkeys(
            each.question.run
            for each in threads
            if each.status in _ASKS_LOG and each.question.id not in self._known
        )
        await asyncio.gather(*map(self._look, missing))
        return [self._with_status(each) for each in threads]

    async def with_end(self, thread: QuestionThread) -> QuestionThread:
        """A question; a closed one with its end and what people asked back, from its log."""
        if thread.status == OPEN:
            return thread
        if thread.question.id not in self._known:
            await self._look(thread.question.run)
        end = self._known.get(thread.question.id)
        if end is None:
            return thread
        row = msgspec.structs.replace(thread.question, asked_back=list(end.asked_back))
        return self._with_status(msgspec.structs.replace(thread, question=row))

    def forget(self) -> None:
        """Forget all of it: the streams may be new ones."""
        self._known.clear()

    async def _look(self, run: str) -> None:
        async with self._room:
            try:
                state = await self._folded(run)
            except (BusError, *UNREADABLE):
                return
        for question in state.questions.values():
            if question.status != OPEN:
                asked = shown_ask_backs(state, question)
                if question.confidential:
                    asked = tuple(each.plain for each in asked)
                end = _End(_SHOWN.get(question.status, _CLOSED), asked)
                self._known.put(question.id, end, size=1)

    async def _folded(self, run: str) -> RunState:
        state = RunState(id=run)
        for message in await entries(self._log, run):
            envelope = read(message.data)
            if envelope is None:
                skip(state, message.n, newer=is_newer(message.data))
            else:
                fold(state, message.n, envelope)
        return state

    def _with_status(self, thread: QuestionThread) -> QuestionThread:
        end = self._known.get(thread.question.id)
        if end is None or thread.status not in _ASKS_LOG or end.status == thread.status:
            return thread
        row = msgspec.structs.replace(thread.question, status=end.status)
        return msgspec.structs.replace(thread, question=row, status=end.status)
