"""The demo itself: send the event, show what happens, take the answer, show the result."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ...login import login
from ...views.rows import QuestionRow, RunDetail, TimelineLine
from ..process.children import WorkerProcess
from ..process.local_console import last_look, local_console
from ..screen import times
from ..screen.output import stderr, stdout
from . import keyboard
from .processes import WORKERS, DemoProcesses, demo_processes, examples_folder, forget
from .screen import Screen

if TYPE_CHECKING:
    from ...client import Client

EVENT = "support.ticket.created"
WORKFLOW = "support_ticket"

_OPEN_TIMEOUT, _REPLAY_TIMEOUT, _POLL = 10.0, 0.5, 0.02

Input = TimelineLine | str
"""A line of the timeline of the run, or a line that a person has typed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the demo is to do.

    Attributes:
        ticket: The ticket to open.
        answer: Answer every question with this text; None leaves it to people.
        deadline: How long the developer has, as the example reads it.
        data: The folder of all the demo's data.
        fresh: Delete the data of earlier demos first.
        quiet: Print on stderr only.
        console: Whether to serve the console.
        console_port: Its port; None: the usual one if it is free.
    """

    ticket: str
    answer: str | None
    deadline: str
    data: Path
    fresh: bool
    quiet: bool
    console: bool = True
    console_port: int | None = None


async def play(plan: Plan) -> RunDetail:
    """Play the demo and return its run as it ended.

    Raises:
        CliError: The example is missing, the folder is in use, or a worker did not start.
    """
    from ...bus.settings import ConnectionSettings
    from ...client import Client

    data = plan.data.absolute()
    examples_folder()
    if plan.fresh:
        forget(data)
    screen = Screen(stderr() if plan.quiet else stdout(), typing=_can_type(plan))
    screen.opening(plan.ticket, plan.data, claude=bool(os.environ.get("ANTHROPIC_API_KEY")))
    async with demo_processes(data, plan.deadline) as set_:
        settings = ConnectionSettings(servers=(set_.url,))
        async with (
            Client.connect(settings) as client,
            local_console(settings, wanted=plan.console, port=plan.console_port) as console,
        ):
            screen.started(set_.address, WORKERS, "" if console is None else console.entry)
            detail = await Story(plan, set_, client, screen).run()
            if _can_type(plan):
                await last_look(console)
            return detail


def _can_type(plan: Plan) -> bool:
    return plan.answer is None and keyboard.is_terminal()


class Story:
    """One run, shown while it happens."""

    def __init__(
        self, plan: Plan, processes: DemoProcesses, client: Client, screen: Screen
    ) -> None:
        self._plan = plan
        self._processes = processes
        self._client = client
        self._screen = screen
        self._inputs: asyncio.Queue[Input] = asyncio.Queue()
        self._open: list[QuestionRow] = []
        self._early: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._resumed_at: datetime | None = None

    async def run(self) -> RunDetail:
        """Start the run, or continue the one that an earlier demo left, until it has ended."""
        run = await self._run_id()
        async with self._listening(run):
            while True:
                input_ = await self._inputs.get()
                if isinstance(input_, str):
                    self._typed(input_.strip())
                    continue
                await self._show(input_)
                if input_.kind == "run.ended":
                    break
        detail = await self._client.show(run)
        self._screen.ended(detail)
        return detail

    async def _run_id(self) -> str:
        """The id of the run to show."""
        for row in await self._client.runs(ticket=self._plan.ticket):
            if row.status in {"running", "waiting", "blocked"}:
                self._screen.note("An earlier demo left this run open; it continues here.\n")
                self._resumed_at = times.now()
                return row.id
        event_id = f"demo-{os.urandom(6).hex()}"
        event = {"ticketId": self._plan.ticket}
        await self._client.send(EVENT, event, event_id=event_id)

        from ...runtime.ids import run_id

        return run_id(WORKFLOW, event_id)

    @asynccontextmanager
    async def _listening(self, run: str) -> AsyncGenerator[None]:
        """While this is open, what happens and what is typed goes into the queue."""
        if self._plan.answer is None:
            keyboard.listen(self._inputs.put_nowait)
        async with asyncio.TaskGroup() as self._group:
            work = [self._follow(run), *(self._keep(worker) for worker in self._processes.workers)]
            self._tasks = [self._group.create_task(each) for each in work]
            try:
                yield
            finally:
                for task in self._tasks:
                    task.cancel()

    async def _follow(self, run: str) -> None:
        async for line in self._client.follow(run, wait=True):
            self._inputs.put_nowait(line)

    async def _keep(self, worker: WorkerProcess) -> None:
        """Replace a worker that dies; its runs continue on the other one."""
        while True:
            await worker.exited()
            self._screen.note(f"{worker.name} died; a new one replaces it.")
            await worker.start()
            await worker.ready()

    async def _show(self, line: TimelineLine) -> None:
        self._screen.line(line)
        if line.kind == "question.asked":
            if await self._is_open(line):
                self._asked(_question(line))
        elif line.kind in {"question.answered", "question.expired"}:
            self._open = [each for each in self._open if each.id != line.data.get("id")]

    async def _is_open(self, line: TimelineLine) -> bool:
        """Whether a question waits for an answer.

        The run's log has it a moment before it can be answered. One replayed from an earlier demo
        may have been closed long ago.
        """
        replayed = self._resumed_at is not None and times.parse(line.at) < self._resumed_at
        with suppress(TimeoutError):
            async with asyncio.timeout(_REPLAY_TIMEOUT if replayed else _OPEN_TIMEOUT):
                while True:
                    if line.data["id"] in {each.id for each in await self._client.questions()}:
                        return True
                    await asyncio.sleep(_POLL)
        return False

    def _asked(self, question: QuestionRow) -> None:
        self._open.append(question)
        demo_processes = self._processes
        self._screen.question(
            question, _subject(question), demo_processes.before, demo_processes.before_nats
        )
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
        """Answer the oldest open question; the outcome is shown once it is known."""
        answering = self._answer(self._open.pop(0), text)
        self._tasks.append(self._group.create_task(answering))

    async def _answer(self, question: QuestionRow, text: str) -> None:
        from ...client import NoReceipt

        try:
            receipt = await self._client.answer(
                question.ticket, text, role=question.role, question_id=question.id, by=login()
            )
        except NoReceipt:
            self._screen.note("The answer is stored; a worker applies it as soon as one runs.")
            return
        if receipt.outcome != "accepted":
            self._screen.refused(receipt)
        if receipt.outcome == "invalid":
            self._open.insert(0, question)
            self._screen.prompt()


def _subject(question: QuestionRow) -> str:
    from ...bus.token import encode

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
