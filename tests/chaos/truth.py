"""What people are shown against what the logs say. Pure: no clock, no network."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from layby.console.catalogue.entries import QuestionThread
from layby.runtime.state import Question, RunState
from layby.views.rows import QuestionRow, RunDetail, RunRow

from .history import History
from .reader import Lists
from .violation import Violation

_KIND = "catalogue disagrees with the log"
_FEED = "feed ended at other rows"
_SHOWN = {"open": "open", "answered": "answered", "expired": "expired", "cancelled": "closed"}
"""The status of a question as people see it, by its status in the log."""


class Commands(NamedTuple):
    """What `layby runs`, `questions` and `show` print."""

    runs: list[RunRow]
    questions: list[QuestionRow]
    details: dict[str, RunDetail]


class Shown(NamedTuple):
    """What was shown at one moment."""

    live: bool
    lists: Lists
    closed: AbstractSet[str] = frozenset()
    commands: Commands | None = None
    threads: dict[str, QuestionThread | None] = {}  # noqa: RUF012  never changed


def disagreements(shown: Shown, history: History, purged: AbstractSet[str]) -> Iterator[Violation]:
    """Where a catalogue shows what the logs and the lists in NATS do not say."""
    if not shown.live:
        yield Violation(_KIND, "it is not complete")
    states = {run: state for run, state in history.states.items() if run not in purged}
    for run in shown.lists.runs.keys() - states.keys():
        how = "was purged" if run in purged else "has no log"
        yield Violation(_KIND, f"run {run} is listed and {how}")
    for run, state in states.items():
        yield from _run(state, shown.lists.runs.get(run))
    is_open = {q.id for state in states.values() for q in state.open_questions()}
    if (listed := shown.lists.open.keys()) != is_open:
        yield Violation(_KIND, f"questions {sorted(listed ^ is_open)} are listed wrongly")
    if shown.commands is not None:
        yield from _commands(shown.lists, shown.commands, states)
    yield from _threads(shown, history, purged)


def _run(state: RunState, row: RunRow | None) -> Iterator[Violation]:
    name = f"run {state.id} is {state.status}"
    if row is None:
        yield Violation(_KIND, f"{name} and not listed")
        return
    roles = {question.role for question in state.open_questions()}
    if row.status != state.status or (row.ended_at is not None) != state.ended:
        yield Violation(_KIND, f"{name}, shown {row.status}, ended {row.ended_at}")
    elif set(row.roles) != roles or (row.waits == "people") != bool(roles):
        yield Violation(_KIND, f"{name} for {roles}, shown {row.waits} for {row.roles}")


def _commands(lists: Lists, said: Commands, states: dict[str, RunState]) -> Iterator[Violation]:
    for what, there, here in (
        ("runs", {row.id: row for row in said.runs}, lists.runs),
        ("questions", {row.id: row for row in said.questions}, lists.open),
    ):
        wrong = [each for each in there.keys() | here.keys() if there.get(each) != here.get(each)]
        if wrong:
            pair = there.get(wrong[0]), here.get(wrong[0])
            yield Violation(_KIND, f"{what} {wrong}, as listed by the command and here: {pair}")
    for run, detail in said.details.items():
        asked = {row.id for row in detail.questions}
        wanted = {question.id for question in states[run].open_questions()}
        if detail.status != states[run].status or asked != wanted:
            yield Violation(_KIND, f"run {run}: `show` says {detail.status}, open {asked}")


def _threads(shown: Shown, history: History, purged: AbstractSet[str]) -> Iterator[Violation]:
    for run, state in history.states.items():
        for question in state.questions.values():
            name = f"question {question.id} of run {run}"
            listed = question.id in shown.closed
            if run in purged:
                if listed:
                    yield Violation(_KIND, f"{name}, which was purged, is listed")
            elif question.id in shown.threads:
                if listed != (question.status != "open"):
                    how = "listed" if listed else "not listed"
                    yield Violation(_KIND, f"{name} is {question.status} and {how} as closed")
                yield from _thread(question, shown.threads[question.id], name)


def _thread(question: Question, thread: QuestionThread | None, name: str) -> Iterator[Violation]:
    if thread is None:
        yield Violation(_KIND, f"{name} is {question.status} and cannot be found")
        return
    if thread.status != _SHOWN[question.status]:
        yield Violation(_KIND, f"{name} is {question.status}, shown {thread.status}")
    won = thread.won
    theirs = (won.seq, won.by) if won is not None else (0, "")
    ours = (question.seq, question.by) if question.status == "answered" else (0, "")
    if theirs != ours:
        yield Violation(_KIND, f"{name} was answered by {ours}, shown {theirs}")
    if thread.question.run not in name:
        yield Violation(_KIND, f"{name} is shown as one of run {thread.question.run}")


def strayed(feed: Lists, lists: Lists) -> Iterator[Violation]:
    """Where the lists of who follows the feed are not those of who reads them."""
    for what, ours, theirs in (
        ("runs", feed.runs, lists.runs),
        ("questions", feed.open, lists.open),
    ):
        keys = ours.keys() | theirs.keys()
        wrong = sorted(each for each in keys if ours.get(each) != theirs.get(each))
        if wrong:
            pair = ours.get(wrong[0]), theirs.get(wrong[0])
            yield Violation(_FEED, f"{what} {wrong}, by the feed and as listed: {pair}")
