"""What the page Health shows, gathered from what is known at this moment."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Final, NamedTuple

from ...health.traffic import MailboxRow, Traffic
from ...runtime.times import iso
from ...views.apps import AppRow
from ...views.rows import Finding
from ...views.workers import NOTIFIER, WorkerRow
from ..catalogue.query import RunQuery
from ..console import Console
from ..vitals import Examination, Letters
from .timers import HOUR, Timers, timers
from .words import size


class Figures(NamedTuple):
    """The strip at the top."""

    started: int
    waiting: int
    oldest: str | None
    workers: int
    older: int
    lost: int
    lag: int | None
    letters: int | None


class WorkerLine(NamedTuple):
    """A worker; `heard` changes only once it is lost, so that a beat alone draws nothing."""

    id: str
    app: str
    place: str
    release: str
    older: bool
    """Whether a worker of its app that was started later has another release."""
    busy: int
    mailboxes: int
    memory: str
    heard: str | None
    """When a lost worker was heard last."""
    notifies: bool = False
    """Whether it only shows questions on channels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthView:
    """Everything on the page."""

    figures: Figures
    examination: Examination | None
    traffic: Traffic | None
    letters: Letters
    timers: Timers
    workers: list[WorkerLine]
    apps: list[AppRow]
    trouble: str
    idle: bool
    """Whether mailboxes with nothing in them are shown too."""

    @property
    def errors(self) -> list[Finding]:
        """What must be repaired."""
        return self._of("error")

    @property
    def warnings(self) -> list[Finding]:
        """What should be looked at."""
        return self._of("warn")

    @property
    def fine(self) -> list[Finding]:
        """What is as it should be."""
        return self._of("ok")

    def _of(self, level: str) -> list[Finding]:
        findings = self.examination.findings if self.examination else []
        return [
            each for each in findings if each.level == level and not _LETTER.search(each.subject)
        ]

    @property
    def mailboxes(self) -> list[MailboxRow]:
        """The mailboxes to show."""
        found = self.traffic.mailboxes if self.traffic else []
        return [each for each in found if self.idle or not each.is_idle]


async def health_view(console: Console, *, idle: bool) -> HealthView:
    """What there is to show now; waits for nothing but the catalogue."""
    now = time.time()
    catalogue, vitals = console.catalogue, console.vitals
    counts = await catalogue.counts(RunQuery(since=iso(now - HOUR)))
    asked = await catalogue.questions_due(limit=0)
    traffic = vitals.traffic.found
    workers = worker_lines(console.workers.rows())
    return HealthView(
        figures=Figures(
            started=sum(counts.values()),
            waiting=asked.total,
            oldest=await catalogue.oldest_question(),
            workers=sum(each.heard is None and not each.notifies for each in workers),
            older=sum(each.older and each.heard is None for each in workers),
            lost=sum(each.heard is not None for each in workers),
            lag=None if traffic is None else traffic.lag,
            letters=None if traffic is None else vitals.letters.total,
        ),
        examination=vitals.examination.found,
        traffic=traffic,
        letters=vitals.letters,
        timers=await timers(catalogue, now),
        workers=workers,
        apps=vitals.apps,
        trouble=vitals.trouble,
        idle=idle,
    )


def worker_lines(rows: list[WorkerRow]) -> list[WorkerLine]:
    """The workers as the page shows them."""
    newest: dict[str, WorkerRow] = {}
    for row in rows:
        if not row.lost and (row.app not in newest or row.started_at > newest[row.app].started_at):
            newest[row.app] = row
    return [
        WorkerLine(
            id=row.id,
            app=row.app,
            place=f"{row.host}, process {row.pid}",
            release=row.fingerprint[:12],
            older=row.app in newest and newest[row.app].fingerprint != row.fingerprint,
            busy=row.busy,
            mailboxes=row.mailboxes,
            memory=size(row.memory) if row.memory else "",
            heard=row.heard_at if row.lost else None,
            notifies=row.kind == NOTIFIER,
        )
        for row in rows
    ]


_LETTER: Final = re.compile(r" #\d+$")
"""The subject of a finding about one dead letter, which the page lists anyway."""


def kept(seconds: float | None) -> str:
    """How long a stream keeps its messages."""
    if seconds is None:
        return "for ever"
    return f"{seconds / 86400:.0f} d" if seconds >= 86400 else f"{seconds / 3600:.0f} h"  # noqa: PLR2004


def command(advice: str) -> str:
    """The command in a piece of advice; empty if it has none that can be run as it is."""
    found = _COMMAND.search(advice)
    line = (found[1] or found[2]).strip().rstrip(".") if found else ""
    return "" if _OPEN.search(line) else line


_COMMAND: Final = re.compile(r"`([^`]+)`|\b((?:layby|nats) [^.;,]+)")
_OPEN: Final = re.compile(r"\b[A-Z]{2,}\b")
"""A word in capitals stands for what a person fills in."""
