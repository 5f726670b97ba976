"""Seeded faults of the console, which a campaign with a console must catch."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

from layby.actors.people.answer import Receipt
from layby.bus.errors import BusError, LaybyError
from layby.client.answer_api import AnswerApi
from layby.console.api.change_log import ChangeLog
from layby.console.catalogue.question_table import QuestionTable
from layby.console.catalogue.run_table import RunTable
from layby.console.catalogue.source import Source
from layby.runtime.times import iso

from .replacing import replace


def catalogue_reads_hints_alone() -> None:
    """After an outage, go on with what is stored from then on."""

    def make(read_on: Any) -> Any:
        async def from_now_on(self: Any) -> float | None:
            if self._missed_removals:
                with contextlib.suppress(BusError):
                    info = await self._requests.api(f"STREAM.INFO.{self._stream}")
                    self._last, self._missed_removals = info["state"]["last_seq"], False
            again: float | None = await read_on(self)
            return again

        return from_now_on

    replace(Source, "_read_on", make)


def catalogue_closes_no_questions() -> None:
    """Leave questions in the inbox when they are closed."""
    replace(QuestionTable, "close", lambda _: _nothing)


def catalogue_keeps_purged_runs() -> None:
    """List runs that were removed."""
    replace(RunTable, "remove", lambda _: _nothing)


def feed_drops_what_was_missed() -> None:
    """Let a reader of the feed that comes back go on with what changes from then on."""

    def make(place: Any) -> Any:
        def newest(self: ChangeLog, number: str) -> int | None:
            return None if place(self, number) is None else self.now

        return newest

    replace(ChangeLog, "place", make)


def answer_acked_before_it_is_stored() -> None:
    """Tell people that their answer was accepted while it is on its way to the stream."""
    under_way: set[asyncio.Task[None]] = set()

    def make(answer: Any) -> Any:
        async def early(self: Any, ticket: str, text: Any, **more: Any) -> Receipt:
            info = await self._requests.api("STREAM.INFO.ANSWERS")
            task = asyncio.create_task(_unheard(answer(self, ticket, text, **more)))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            return Receipt(
                outcome="accepted",
                ticket=ticket,
                question=more["question_id"],
                by=more["by"],
                at=iso(time.time()),
                seq=info["state"]["last_seq"] + 1,
            )

        return early

    replace(AnswerApi, "answer", make)


async def _unheard(work: Any) -> None:
    with contextlib.suppress(LaybyError):
        await work


def _nothing(*_: Any) -> None:
    """Do not do it."""


FAULTS: tuple[tuple[Callable[[], None], str], ...] = (
    (catalogue_reads_hints_alone, "catalogue disagrees with the log"),
    (catalogue_closes_no_questions, "catalogue disagrees with the log"),
    (catalogue_keeps_purged_runs, "catalogue disagrees with the log"),
    (feed_drops_what_was_missed, "feed ended at other rows"),
    (answer_acked_before_it_is_stored, "told otherwise over HTTP"),
)
"""Each with the kind of violation as which it must show."""
