"""What a run waits for that comes by itself: deadlines, sleeps, back-offs and timeouts."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Literal, NamedTuple, TypeAlias

from ..app import App
from ..runtime.ports import Due
from ..runtime.state import NEVER, RunState

_WHAT = {
    "": "a deadline, sleep, back-off or timeout",
    "question": "a question's deadline",
    "step": "a back-off",
    "event": "the timeout of a wait for an event",
    "timeout": "a timeout whose time passes",
}

Kind: TypeAlias = Literal["question", "sleep", "step", "event", "timeout"]


class Fired(NamedTuple):
    """A deadline that came early."""

    kind: str
    """`question`, `sleep`, `step` (a back-off), `event`, or `timeout` (the workflow's own)."""
    name: str
    """The question's text, or the name of the step or workflow."""
    due: datetime
    """When it would have come."""


class WakeUp(NamedTuple):
    """What moves a run by itself some day."""

    fired: Fired
    body: Due
    """What the timer would publish."""

    def is_for(self, due: Due) -> bool:
        """Whether `due` is of the same wait."""
        one = self.body
        if one.kind != due.kind:
            return False
        if one.kind == "question":
            return one.question == due.question
        return (one.frame, one.key, one.at) == (due.frame, due.key, due.at)


def wake_ups(state: RunState) -> list[WakeUp]:
    """What a run waits for that comes by itself some day."""
    found: list[WakeUp] = []
    for question in state.open_questions():
        due = Due(
            kind="question",
            run=state.id,
            at=time.time(),
            role=question.role,
            ticket=state.ticket,
            question=question.id,
            early=True,
        )
        at = datetime.fromtimestamp(question.deadline, UTC)
        found.append(WakeUp(Fired("question", question.question, at), due))
    for frame in state.frames.values():
        for key, slot in frame.slots.items():
            if slot.settled or not 0 < slot.wake_at < NEVER or frame.done:
                continue
            due = Due(kind="wake", run=state.id, at=slot.wake_at, frame=frame.id, key=key)
            at = datetime.fromtimestamp(slot.wake_at, UTC)
            found.append(WakeUp(Fired(slot.kind, key, at), due))
    return [] if state.ended else found


def timeouts(app: App, state: RunState) -> list[WakeUp]:
    """The workflow's own timeout, where it has one and its time passes."""
    workflow = app.workflows.get(state.workflow)
    limit = workflow.options.timeout if workflow is not None else None
    if limit is None or state.ended or state.asking_since:
        return []
    at = state.started_at + state.people_took + limit
    due = Due(kind="run", run=state.id, at=at, limit=limit, early=True)
    return [WakeUp(Fired("timeout", state.workflow, datetime.fromtimestamp(at, UTC)), due)]


def first(found: list[WakeUp], kind: Kind | None) -> WakeUp | None:
    """The one that comes first, of this kind."""
    of_kind = [each for each in found if kind in {None, each.fired.kind}]
    return min(of_kind, key=lambda each: each.fired.due, default=None)


def named(kind: Kind | None) -> str:
    """What a test waits for, in words."""
    return _WHAT.get(kind or "", f"a {kind}")
