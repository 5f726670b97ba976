"""What the page of a run shows, put together from its log."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ...client import Client
from ...runtime.entry import Failure
from ...runtime.state import BLOCKED, RETRYABLE, Block, RunState
from ...runtime.times import iso
from ...views.workers import Workers
from ..waterfall.chart import Chart, chart
from ..waterfall.detail import Detail, detail
from ..waterfall.facts import Facts, facts
from ..waterfall.look import BLOCK, Look
from ..waterfall.node import Node, every
from ..waterfall.thread import Thread, threads
from ..waterfall.watched import WatchedRun
from . import run_svg

_TITLE = 200
_TABS = {"entry": "Entry", "tools": "Tools"}
_WORDS = {"parked": "sleeping", "max_turns": "turn limit"}
"""Words of statuses, as the list of runs has them."""


class _Titled(msgspec.Struct):
    title: str = ""
    subject: str = ""
    summary: str = ""


_decode_title = msgspec.json.Decoder(_Titled).decode


@dataclass(slots=True, kw_only=True)
class RunView:
    """One run as one person looks at it.

    Attributes:
        run: Its log, as far as it is known.
        look: What the person has chosen.
        chart: The waterfall.
        node: The selected row.
        detail: What is known of that.
        facts: Its figures.
        threads: Its questions.
        workers: Those that are heard.
    """

    run: WatchedRun
    look: Look
    chart: Chart
    node: Node
    detail: Detail
    facts: Facts
    threads: list[Thread]
    workers: Workers
    svg: Any = field(default=run_svg)

    @property
    def state(self) -> RunState:
        """The state that its log says."""
        return self.run.state

    @property
    def status(self) -> str:
        """Its status for people: `waiting` means for people."""
        state = self.state
        if state.status != "waiting":
            return "running" if state.status == "running" else state.status
        if self.question is not None:
            return "waiting"
        return "retrying" if self._waits_for("backoff") else "parked"

    def _waits_for(self, fill: str) -> bool:
        nodes = every(self.chart.root)
        return any(p.fill == fill and p.end is None for node in nodes for p in node.parts)

    @property
    def status_words(self) -> str:
        """The status in words."""
        if self.status == "waiting" and self.question is not None:
            return f"waiting for {' and '.join(self.question.roles)}"
        return _WORDS.get(self.status, self.status.replace("_", " "))

    @property
    def question(self) -> Thread | None:
        """The open question with the nearest deadline."""
        return next((each for each in self.threads if each.open and not self.state.ended), None)

    @property
    def block(self) -> Block | None:
        """What people must fix before it continues."""
        return self.state.blocked[0][1] if self.state.blocked else None

    @property
    def failure(self) -> Failure | None:
        """The exception that ended it."""
        return self.state.failure if self.state.ended else None

    @property
    def error(self) -> str:
        """Why it ended as it did; empty if it completed."""
        return self.state.error if self.state.ended else ""

    @property
    def retryable(self) -> bool:
        """Whether people can retry it."""
        return self.state.status == BLOCKED or self.state.status in RETRYABLE

    @property
    def started_at(self) -> str:
        """When it began."""
        return iso(self.chart.root.start)

    @property
    def title(self) -> str:
        """What the event says that it is about; empty if it does not."""
        try:
            event = _decode_title(self.state.event)
        except msgspec.MsgspecError:
            return ""
        return (event.title or event.subject or event.summary)[:_TITLE]

    @property
    def shown_blocks(self) -> list[int]:
        """The blocks that the page has at once: the one that is asked for, and its neighbours."""
        first = self.first_block
        return [first] if self.chart.blocks > 1 else [0]

    @property
    def first_block(self) -> int:
        """The block that is shown first."""
        wanted = self.look.block
        if wanted is None:
            wanted = self.chart.block_of(self.node.id) if self.look.row else 0
        return min(max(0, wanted), self.chart.blocks - 1)

    def rows_in(self, block: int) -> tuple[int, int]:
        """The numbers of the first and the last row of a block, from 1."""
        return block * BLOCK + 1, min((block + 1) * BLOCK, len(self.chart.rows))

    def worker(self, writer: str) -> str:
        """A worker by its name in the log, with its machine and process if it is heard."""
        beat = self.workers.of_writer(writer)
        return writer if beat is None else f"{beat.host}, process {beat.pid}"

    def left(self, asked: Thread) -> float:
        """The part of a question's time that is left, from 0 to 1."""
        whole = asked.asked.deadline - asked.node.start
        return min(1.0, self.seconds_left(asked) / whole) if whole > 0 else 0.0

    def seconds_left(self, asked: Thread) -> float:
        """Seconds until a question is over without an answer."""
        return max(0.0, asked.asked.deadline - self.chart.now)

    def spent(self, fill: str) -> float:
        """Seconds that the selected row spent on something."""
        now = self.chart.now
        parts = [part for part in self.node.parts if part.fill == fill]
        return sum((part.end if part.end is not None else now) - part.start for part in parts)

    @property
    def tabs(self) -> list[tuple[str, str]]:
        """The tabs of the detail: the ids and the words of its sections."""
        found: dict[str, str] = {"failure": "Error"} if self.detail.failure else {}
        for section in self.detail.sections:
            found.setdefault(section.id, _TABS.get(section.id, section.id.capitalize()))
        return [*found.items()]

    def regions(self) -> list[str]:
        """The regions that change while the run grows, in the order of the page."""
        return ["head", "banner", "facts", "tools", "axis", "back", "detail", "threads"]


async def view(client: Client, run: WatchedRun, look: Look, workers: Workers) -> RunView | None:
    """The page of a run; None if its log does not say how it began."""
    root = run.outline.root
    if root is None:
        return None
    now = time.time()
    live = [] if run.ended else run.live
    drawn = chart(root, look, now, running=not run.ended, live=live)
    node = run.find(look.row) if look.row else None
    asked = threads(run)
    node = node or _first_choice(root, asked)
    return RunView(
        run=run,
        look=look,
        chart=drawn,
        node=node,
        detail=await detail(client, run, node),
        facts=facts(root, drawn.now),
        threads=asked,
        workers=workers,
    )


def _first_choice(root: Node, asked: list[Thread]) -> Node:
    """The row that a person most likely wants: the open question, or what failed."""
    waiting = next((each.node for each in asked if each.open and each.node.end is None), None)
    if waiting is not None:
        return waiting
    if root.failed:
        failed = [node for node in every(root) if node.failed and not node.children]
        if failed:
            return failed[-1]
    return root
