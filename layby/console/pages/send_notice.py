"""What became of an event, where that is not simply the run that it started."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...runtime.ids import run_id
from ...views.rows import Dispatched


class Notice(NamedTuple):
    """What became of an event that opens no run."""

    title: str
    text: str
    links: tuple[tuple[str, str], ...] = ()
    """Paths of the console, and their words."""
    good: bool = False


def notice(sent: Dispatched, workflows: Sequence[str] = ()) -> Notice:
    """What became of an event that did not start exactly one run that was seen.

    `workflows` are the names of those that it starts: what was sent knows their mailboxes only.
    """
    if sent.runs:
        links = tuple((f"/runs/{run.id}", f"The run of {run.workflow}") for run in sent.runs)
        return Notice(f"It started {len(sent.runs)} runs.", _place(sent), links, good=True)
    if sent.duplicate:
        text = f"An event with this id was sent before: {sent.stream} has it as number {sent.seq}."
        return Notice("Nothing new has started.", text, _expected(sent, workflows))
    if sent.refused:
        text = (
            f"{'; '.join(sent.refused)}. It is a dead letter now. Change the event, and send it "
            "again."
        )
        return Notice("A worker cannot read the event.", text, (("/health", "Dead letters"),))
    if sent.workflows and sent.told and not sent.elsewhere:
        return _waits(sent, workflows)
    return _unseen(sent)


def _waits(sent: Dispatched, workflows: Sequence[str]) -> Notice:
    """Some workflow takes it, later."""
    links = _expected(sent, workflows)
    if sent.worker:
        text = f"{_place(sent)} The run appears once one has. Do not send it again."
        return Notice("It is stored, and no worker has taken it yet.", text, links)
    text = f"{_place(sent)} The run starts once a worker does. Do not send it again."
    return Notice("It is stored and waits: no worker is running.", text, links)


def _unseen(sent: Dispatched) -> Notice:
    """Nothing is to be seen here of what takes it."""
    place = _place(sent)
    if not sent.told:
        return Notice("It is stored.", f"{place} You may not see whether a run starts.", good=True)
    if sent.elsewhere:
        return Notice("Another app takes it.", f"{place} Its console shows the run.", good=True)
    if sent.awaited:
        text = f"{place} It starts no workflow; runs that wait for it receive it."
        return Notice("It is stored.", text, good=True)
    text = f"{place} No workflow takes events on this subject: check it against on= of yours."
    return Notice("It is stored, and nothing will act on it.", text)


def _place(sent: Dispatched) -> str:
    return f"{sent.stream} has it as number {sent.seq}, with the id {sent.event_id}."


def _expected(sent: Dispatched, workflows: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The runs that it starts, whose ids are known before."""
    names: Sequence[str] = () if sent.elsewhere else workflows
    return tuple((f"/runs/{run_id(name, sent.event_id)}", f"The run of {name}") for name in names)
