"""The catalogue: filled from the streams, followed live, and queried by pages and API."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from ...actors.people.answer import Receipt
from ...bus.connection import Connection
from ...bus.reading import sequence
from ...bus.requests import Requests
from ...bus.wire import Message
from ...runtime.index import BUCKET as RUNS
from ...runtime.times import iso
from ...views.listing import OldIndex, check_index_current, row_of, run_row
from ...views.rows import QuestionRow, RunRow
from . import published
from .claim_clock import ClaimClock
from .ends import Ends
from .entries import Change, Due, HistoryPage, Overview, Progress, QuestionThread, RunPage
from .feed import Feed
from .query import QuestionQuery, RunQuery
from .source import Source
from .store import Store

log = structlog.get_logger("layby.console")

QUESTIONS: Final = "questions"
_LISTED: Final = 1.5
"""Seconds in which a question that was asked is here."""
_NEW: Final = 10.0
"""Seconds after which a question that is not among the open ones was closed."""
_MIGRATING: Final = 5.0
"""Seconds after which an index of an earlier release is looked at again."""
_HISTORY: Final = 200_000
"""Messages of the stream of questions that are read back: questions and receipts."""


class Catalogue:
    """Runs and questions, quick to filter however many there are."""

    def __init__(
        self, connection: Connection, requests: Requests, store: Store, *, history: bool = True
    ) -> None:
        names = requests.names
        self._requests = requests
        self._store = store
        self._feed = Feed()
        self._ends = Ends(requests)
        self._claims = ClaimClock(lambda question: self._tell("question", [question], self._open))
        self._problem = ""
        bucket, stream = names.bucket_stream, names.stream
        follow = partial(Source, connection, requests)
        self._runs = follow(
            bucket(RUNS),
            [names.keys(RUNS, "*.*")],
            take=self._take_runs,
            restart=self._forget_runs,
            keep_only=self._keep_runs,
        )
        self._open = follow(
            bucket(QUESTIONS),
            [names.keys(QUESTIONS, "*.*.*")],
            take=self._take_open,
            restart=self._forget_open,
            keep_only=self._keep_open,
        )
        self._asked = follow(
            stream("QUESTIONS"),
            [],
            take=self._take_published,
            restart=self._forget_history,
            newest=_HISTORY,
        )
        lists = (self._runs, self._open)
        self._sources = (*lists, self._asked) if history else lists

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(
        cls,
        connection: Connection,
        requests: Requests,
        file: Path | None = None,
        *,
        history: bool = True,
    ) -> AsyncGenerator[Catalogue]:
        """A catalogue that is filled and followed while the block is open.

        Args:
            connection: Hints at what is new.
            requests: Read the streams.
            file: Where it is kept; None: in memory.
            history: Whether it has closed questions too.
        """
        async with Store.opened(file) as store:
            catalogue = cls(connection, requests, store, history=history)
            tasks = [asyncio.create_task(source.keep()) for source in catalogue._sources]
            tasks.append(asyncio.create_task(catalogue._announce()))
            tasks.append(asyncio.create_task(catalogue._check_index()))
            try:
                yield catalogue
            finally:
                catalogue._claims.stop()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _announce(self) -> None:
        """Tell when everything that was stored has been read."""
        for source in self._sources:
            await source.live.wait()
        self._feed.tell([Change(kind="progress")])

    async def _check_index(self) -> None:
        """Tell that the index is of an earlier release, for as long as it is."""
        while True:
            try:
                await check_index_current(self._requests)
            except OldIndex as error:
                self._say(str(error))
            except Exception as error:  # noqa: BLE001  the sources tell what is wrong
                log.info("console.index_unknown", error=str(error))
                if not self._problem:
                    return
            else:
                self._say("")
                return
            await asyncio.sleep(_MIGRATING)

    def _say(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._feed.tell([Change(kind="progress")])

    # -- queries ---------------------------------------------------------------------------------

    @property
    def progress(self) -> Progress:
        """How far it is."""
        problem = next((each.problem for each in self._sources if each.problem), self._problem)
        return Progress(
            done=sum(source.done for source in self._sources),
            total=sum(source.total for source in self._sources),
            live=all(source.live.is_set() for source in self._sources),
            problem=problem,
        )

    @property
    def seq(self) -> int:
        """How many changes there have been."""
        return self._feed.seq

    def changes(self) -> AbstractAsyncContextManager[AsyncIterator[list[Change]]]:
        """Batches of changes from now on; a slow reader gets the newest of each thing only."""
        return self._feed.listen()

    async def runs(self, query: RunQuery) -> RunPage:
        """A page of runs. Raises InvalidCursor, and ValueError for an invalid time."""
        return await self._store.do(lambda: self._store.runs.page(query))

    async def counts(self, query: RunQuery | None = None) -> dict[str, int]:
        """How many runs there are by shown status, whatever status the query asks for."""
        return await self._store.do(lambda: self._store.runs.counts(query))

    async def runs_by_workflow(self) -> dict[tuple[str, str], int]:
        """How many runs there are by workflow and shown status."""
        return await self._store.do(self._store.runs.counts_by_workflow)

    async def overview(self, query: RunQuery, bars: int = 48) -> Overview:
        """How many runs fit, and when they were: one look at each of them at most."""
        return await self._store.do(lambda: self._store.runs.overview(query, bars))

    async def run(self, run: str) -> RunRow | None:
        """A run by its id."""
        return await self._store.do(lambda: self._store.runs.get(run))

    async def runs_due(self, before: str, limit: int = 200) -> Due[RunRow]:
        """The runs that sleep or back off until before a time, ISO 8601, the next ones first."""
        return await self._store.do(lambda: self._store.runs.due(before, limit))

    async def workflows(self) -> list[str]:
        """The workflows of all runs."""
        return await self._store.do(self._store.runs.workflows)

    async def roles(self) -> list[str]:
        """The roles that runs wait for."""
        return await self._store.do(self._store.runs.roles)

    async def label_names(self) -> list[str]:
        """The names of the labels of recent runs."""
        return await self._store.do(self._store.runs.label_names)

    async def questions(
        self, role: str | None = None, ticket: str | None = None, text: str | None = None
    ) -> list[QuestionRow]:
        """The open questions, nearest deadline first."""
        return await self._store.do(lambda: self._store.questions.listed(role, ticket, text))

    async def questions_due(self, before: str | None = None, limit: int = 200) -> Due[QuestionRow]:
        """The open questions whose deadline is before a time, the next ones first; None: all."""
        return await self._store.do(lambda: self._store.questions.due(before, limit))

    async def open_by_role(self) -> dict[str, tuple[int, float]]:
        """By role: how many questions are open, and when the oldest was asked, Unix seconds."""
        return await self._store.do(self._store.questions.open_by_role)

    async def oldest_question(self) -> str | None:
        """When the question that has been open longest was asked; None: none is open."""
        return await self._store.do(self._store.questions.oldest)

    async def open_questions(self) -> tuple[Counter[frozenset[str]], QuestionRow | None]:
        """How many questions are open by the roles that are asked, and the one asked last."""
        return await self._store.do(self._store.questions.open_counts)

    async def question(self, question: str) -> QuestionThread | None:
        """A question, open or closed, with its answers."""
        return await self._as_it_ended(await self._question(question))

    async def question_soon(self, question: str) -> QuestionThread | None:
        """The same; one that was asked just now may be on its way here."""
        found = await self._awaited(question, lambda found: found is None or _is_coming(found))
        return await self._as_it_ended(found)

    async def question_changed(self, known: QuestionRow) -> None:
        """Wait until a question is not as it was known: its change may be on its way here."""
        await self._awaited(known.id, lambda found: found is not None and found.question == known)

    async def _awaited(
        self, question: str, is_early: Callable[[QuestionThread | None], bool]
    ) -> QuestionThread | None:
        """A question, read again with each change for a moment while it is too early."""
        async with self.changes() as batches:
            found = await self._question(question)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LISTED):
                    while is_early(found):
                        await anext(batches)
                        found = await self._question(question)
        return found

    async def _question(self, question: str) -> QuestionThread | None:
        return await self._store.do(lambda: self._store.questions.thread(question))

    async def _as_it_ended(self, thread: QuestionThread | None) -> QuestionThread | None:
        """A question with what its log says of its end."""
        return thread if thread is None else await self._ends.with_end(thread)

    async def history(self, query: QuestionQuery | None = None) -> HistoryPage:
        """Closed questions, the one that was asked last first; if wanted, open ones before them.

        Raises:
            InvalidCursor: the cursor is not one of this list.
        """
        wanted = query or QuestionQuery()
        page = await self._store.do(lambda: self._store.questions.page(wanted))
        return HistoryPage(items=await self._ends.with_ends(page.items), next=page.next)

    async def count_questions(self, query: QuestionQuery) -> int:
        """How many questions fit, whatever the page."""
        return await self._store.do(lambda: self._store.questions.count(query))

    async def people(self) -> list[str]:
        """Who has answered."""
        return await self._store.do(self._store.questions.people)

    # -- updates from the streams ----------------------------------------------------------------

    async def _take_runs(self, messages: list[Message]) -> None:
        rows: dict[str, tuple[int, RunRow]] = {}
        gone: list[str] = []
        for message in messages:
            row = await row_of(self._requests, message)
            if row is not None:
                rows[row.id] = (sequence(message), run_row(row))
            elif not message.data:
                run = message.headers["Nats-Subject"].rpartition(".")[2]
                rows.pop(run, None)
                gone.append(run)
        table, questions = self._store.runs, self._store.questions

        def write() -> None:
            table.remove(gone)
            questions.forget(gone)
            table.put(rows.values())

        await self._store.do(write)
        self._tell("run", [*rows, *gone], self._runs)

    async def _take_open(self, messages: list[Message]) -> None:
        rows: dict[str, QuestionRow | None] = {}
        for message in messages:
            key = message.headers["Nats-Subject"].rpartition(".")[2]
            rows[key] = await published.open_row(self._requests, key, message.data)
        for key, row in rows.items():
            self._claims.note(key, row)
        table = self._store.questions

        def write() -> None:
            table.close([key for key, row in rows.items() if row is None])
            table.open([row for row in rows.values() if row is not None])

        await self._store.do(write)
        self._tell("question", list(rows), self._open)
        self._asked.look()  # the first of a role has subjects that nobody has subscribed to yet

    async def _take_published(self, messages: list[Message]) -> None:
        asked: list[tuple[int, QuestionRow]] = []
        receipts: list[Receipt] = []
        for message in messages:
            found = await published.read(self._requests, message)
            if isinstance(found, Receipt):
                receipts.append(found)
            elif found is not None:
                asked.append((sequence(message), found))
        table = self._store.questions

        def write() -> None:
            table.asked(asked)
            table.answered(receipts)

        await self._store.do(write)
        self._tell("receipt", [each.question or "" for each in receipts], self._asked)
        self._tell("question", [row.id for _, row in asked], self._asked)

    def _tell(self, kind: str, ids: list[str], source: Source) -> None:
        if source.live.is_set():
            self._feed.tell([Change(kind=kind, id=id_) for id_ in dict.fromkeys(ids) if id_])  # type: ignore[arg-type]
        else:
            self._feed.tell([Change(kind="progress")])

    async def _forget_runs(self) -> None:
        await self._store.do(self._store.runs.clear)

    async def _forget_open(self) -> None:
        self._claims.stop()
        await self._store.do(self._store.questions.clear_open)

    async def _forget_history(self) -> None:
        self._ends.forget()
        await self._store.do(self._store.questions.clear_history)

    async def _keep_runs(self, kept: set[str]) -> None:
        table, questions = self._store.runs, self._store.questions

        def write() -> list[str]:
            gone = table.keep_only(kept)
            questions.forget(gone)
            return gone

        self._tell("run", await self._store.do(write), self._runs)

    async def _keep_open(self, kept: set[str]) -> None:
        gone = await self._store.do(lambda: self._store.questions.keep_open(kept))
        self._tell("question", gone, self._open)


def _is_coming(thread: QuestionThread) -> bool:
    """Whether a question was published just now, and the list of open ones may lack it as yet."""
    return thread.status == "closed" and thread.question.asked_at > iso(time.time() - _NEW)
