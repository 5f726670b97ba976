"""The demo itself: send the event, tell what happens, take the answer, show the result."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..login import login
from ..rows import QuestionRow, RunDetail, TimelineLine
from . import keyboard, times
from .children import WorkerProcess
from .demo_screen import Screen
from .demo_stage import WORKERS, Stage, examples_folder, forget, stage
from .output import stderr, stdout

if TYPE_CHECKING:
    from ..client import Client

EVENT = "support.ticket.created"
WORKFLOW = "support_ticket"

_SHOWN_WITHIN, _TOLD_AGAIN, _POLL = 10.0, 0.5, 0.02

Happening = TimelineLine | str
"""Something happened in the run, or a person has typed a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the demo is to do.

    Attributes:
        ticket: Which ticket opens.
        answer: Answer every question with this text; None leaves it to people.
        deadline: How long the developer has, as the example reads it.
        data: The folder of all the demo's data.
        fresh: Forget what earlier demos did.
        quiet: Leave stdout alone: the story is told on stderr.
    """

    ticket: str
    answer: str | None
    deadline: str
    data: Path
    fresh: bool
    quiet: bool


async def play(plan: Plan) -> RunDetail:
    """Play the demo and return its run as it ended.

    Raises:
        CliError: The example is missing, the folder is in use, or a worker did not start.
    """
    from ..bus.settings import ConnectionSettings
    from ..client import Client

    data = plan.data.absolute()
    examples_folder()
    if plan.fresh:
        forget(data)
    screen = Screen(stderr() if plan.quiet else stdout(), typing=_someone_types(plan))
    screen.opening(plan.ticket, plan.data, claude=bool(os.environ.get("ANTHROPIC_API_KEY")))
    async with (
        stage(data, plan.deadline) as set_,
        Client.connect(ConnectionSettings(servers=(set_.url,))) as client,
    ):
        screen.staged(set_.address, WORKERS)
        return await Story(plan, set_, client, screen).tell()


def _someone_types(plan: Plan) -> bool:
    return plan.answer is None and keyboard.is_terminal()


class Story:
    """One run, told while it happens."""

    def __init__(self, plan: Plan, stage_: Stage, client: Client, screen: Screen) -> None:
        self._plan = plan
        self._stage = stage_
        self._client = client
        self._screen = screen
        self._happenings: asyncio.Queue[Happening] = asyncio.Queue()
        self._open: list[QuestionRow] = []
        self._early: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._resumed_at: datetime | None = None

    async def tell(self) -> RunDetail:
        """Start the run, or go on with the one that an earlier demo left, until it has ended."""
        run = await self._run()
        async with self._listening(run):
            while True:
                happening = await self._happenings.get()
                if isinstance(happening, str):
                    self._typed(happening.strip())
                    continue
                await self._happened(happening)
                if happening.kind == "run.ended":
                    break
        detail = await self._client.show(run)
        self._screen.ended(detail)
        return detail

    async def _run(self) -> str:
        """The id of the run to tell of."""
        for row in await self._client.runs(ticket=self._plan.ticket):
            if row.status in {"running", "waiting", "blocked"}:
                self._screen.note("An earlier demo left this run open; here it goes on.\n")
                self._resumed_at = times.now()
                return row.id
        event_id = f"demo-{os.urandom(6).hex()}"
        event = {"ticketId": self._plan.ticket}
        await self._client.send(EVENT, event, event_id=event_id)

        from ..runtime.ids import run_id

        return run_id(WORKFLOW, event_id)

    @asynccontextmanager
    async def _listening(self, run: str) -> AsyncGenerator[None]:
        """While this is open, what happens and what is typed goes into the queue."""
        if self._plan.answer is None:
            keyboard.listen(self._happenings.put_nowait)
        async with asyncio.TaskGroup() as self._group:
            work = [self._follow(run), *(self._keep(worker) for worker in self._stage.workers)]
            self._tasks = [self._group.create_task(each) for each in work]
            try:
                yield
            finally:
                for task in self._tasks:
                    task.cancel()

    async def _follow(self, run: str) -> None:
        async for line in self._client.follow(run, wait=True):
            self._happenings.put_nowait(line)

    async def _keep(self, worker: WorkerProcess) -> None:
        """Put another worker in the place of one that dies: its runs go on meanwhile."""
        while True:
            await worker.exited()
            self._screen.note(f"{worker.name} died; a new one takes its place.")
            await worker.start()
            await worker.ready()

    async def _happened(self, line: TimelineLine) -> None:
        self._screen.line(line)
        if line.kind == "question.asked":
            if await self._is_open(line):
                self._asked(_question(line))
        elif line.kind in {"question.answered", "question.expired"}:
            self._open = [each for each in self._open if each.id != line.data.get("id")]

    async def _is_open(self, line: TimelineLine) -> bool:
        """Whether a question waits for an answer.

        The run's log tells it a moment before it can be answered. One that is told again from an
        earlier demo may have been closed long ago.
        """
        told_again = self._resumed_at is not None and times.parse(line.at) < self._resumed_at
        with suppress(TimeoutError):
            async with asyncio.timeout(_TOLD_AGAIN if told_again else _SHOWN_WITHIN):
                while True:
                    if line.data["id"] in {each.id for each in await self._client.questions()}:
                        return True
                    await asyncio.sleep(_POLL)
        return False

    def _asked(self, question: QuestionRow) -> None:
        self._open.append(question)
        stage = self._stage
        self._screen.question(question, _subject(question), stage.before, stage.before_nats)
        if self._plan.answer is not None:
            self._give(self._plan.answer)
        elif self._early:
            self._give(self._early.pop(0))

    def _typed(self, text: str) -> None:
        self._screen.typed()
        if not self._open:
            self._early += [text] if text else []
        elif text:
            self._give(text)
        else:
            self._screen.prompt()

    def _give(self, text: str) -> None:
        """Answer the oldest open question; what becomes of it is told when it is known."""
        answering = self._answer(self._open.pop(0), text)
        self._tasks.append(self._group.create_task(answering))

    async def _answer(self, question: QuestionRow, text: str) -> None:
        from ..client import NoReceipt

        try:
            receipt = await self._client.answer(
                question.ticket, text, role=question.role, question_id=question.id, by=login()
            )
        except NoReceipt:
            self._screen.note("The answer is stored; it counts as soon as a worker runs.")
            return
        if receipt.outcome != "accepted":
            self._screen.refused(receipt)
        if receipt.outcome == "invalid":
            self._open.insert(0, question)
            self._screen.prompt()


def _subject(question: QuestionRow) -> str:
    from ..bus.token import encode

    return f"{question.role}.response.{encode(question.ticket)}"


def _question(line: TimelineLine) -> QuestionRow:
    return QuestionRow(
        id=line.data["id"],
        ticket=line.ticket,
        role=line.data["role"],
        question=line.data["question"],
        context=line.data["context"],
        agent=line.actor,
        run=line.run,
        asked_at=line.at,
        deadline=line.data["deadline"],
    )
