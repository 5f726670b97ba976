"""What answers say: the catalogue knows their receipts, the stream of answers their texts."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import replace
from typing import Final

import msgspec

from ...actors.people.answer import Given, read
from ...bus.errors import BusError
from ...bus.requests import Requests
from .inbox_source import Answer, Thread

_KEPT: Final = 2_000
_LONGEST: Final = 32_000
_AT_ONCE: Final = 10
"""Answers of one question whose texts are shown."""


class AnswerTexts:
    """Reads the texts of answers, and remembers them: they never change."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._known: OrderedDict[int, str] = OrderedDict()

    async def of(self, threads: list[Thread]) -> list[Thread]:
        """The threads, with the texts that are still stored."""
        return list(await asyncio.gather(*(self._of(thread) for thread in threads)))

    async def _of(self, thread: Thread) -> Thread:
        shown = thread.answers[:_AT_ONCE]
        ticket = thread.question.ticket
        found = await asyncio.gather(*(self._with_text(each, ticket) for each in shown))
        return replace(thread, answers=(*found, *thread.answers[_AT_ONCE:]))

    async def _with_text(self, answer: Answer, ticket: str) -> Answer:
        if answer.text or not answer.seq:
            return answer
        if answer.seq not in self._known:
            text = await self._read(answer.seq, ticket)
            if text is None:
                return answer
            self._known[answer.seq] = text[:_LONGEST]
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return replace(answer, text=self._known[answer.seq])

    async def _read(self, seq: int, ticket: str) -> str | None:
        """What an answer says; None if it cannot be read now."""
        stream = self._requests.names.stream("ANSWERS")
        body = msgspec.json.encode({"seq": seq})
        try:
            message = await self._requests.read(f"$JS.API.DIRECT.GET.{stream}", body)
        except BusError:
            return None
        if message.status:
            return ""
        given = read(message.data, ticket)
        return given.text if isinstance(given, Given) else ""
