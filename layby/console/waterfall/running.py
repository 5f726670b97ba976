"""Rows for what is going on now and has no record yet, as far as the log shows it."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ...actors.keys import MODEL, ROUTE, Key
from ...runtime.entry import ROOT
from ...runtime.streaming import step_name
from .node import Kind, Node, Part
from .outline import Outline
from .row_tree import live_id


def running(outline: Outline, spoken: Collection[str], blocked: Collection[str]) -> list[Node]:
    """The rows of models that speak, and of frames that go on.

    A frame goes on if nothing that it began is open: then its next step is under way, or waits for
    a worker, which the log does not tell. With something open it may do more; that is not known.

    Args:
        outline: The rows that have records.
        spoken: The names of the steps whose text streams.
        blocked: The frames that cannot go on.
    """
    found: list[Node] = []
    busy: set[str] = set()
    for step in spoken:
        frame, parent = _speaker(outline, step)
        if parent is not None:
            busy.add(frame)
            found.append(_row(parent, "model", _model_of(parent), "speaking", step))
    found += [
        _next(outline, frame, node)
        for frame, node in outline.frames.items()
        if node.end is None and frame not in busy and frame not in blocked and not _waits(node)
    ]
    return found


def _waits(frame: Node) -> bool:
    return any(child.end is None for child in frame.children)


def _speaker(outline: Outline, step: str) -> tuple[str, Node | None]:
    """The innermost frame that a step belongs to."""
    inside = [
        frame for frame in outline.frames if frame == ROOT or step.startswith(step_name(frame, ""))
    ]
    name = max(inside, key=len, default="")
    return name, outline.frames.get(name)


def _next(outline: Outline, frame: str, node: Node) -> Node:
    if node.kind == "network":
        decided = sum(child.kind == "route" for child in node.children)
        step = step_name(frame, str(Key(ROUTE, decided)))
        return _row(node, "route", node.name, "running", step)
    if node.kind == "agent" and not _is_answered(node):
        step = step_name(frame, str(Key(MODEL, outline.responses.get(frame, 0))))
        return _row(node, "model", _model_of(node), "running", step)
    return _row(node, "step", "next step", "running", step_name(frame, "next"))


def _is_answered(agent: Node) -> bool:
    """Whether its model has answered and called no tool: then its turn comes to an end."""
    last = agent.children[-1] if agent.children else None
    return last is not None and last.kind == "model" and not last.failed


def _model_of(agent: Node) -> str:
    named = (child.name for child in reversed(agent.children) if child.kind == "model")
    return next(named, "model")


def _row(parent: Node, kind: Kind, name: str, note: str, step: str) -> Node:
    begun = max(_ends(parent), default=parent.start)
    node = Node(id=live_id(step), kind=kind, name=name, note=note, start=begun, step=step)
    node.hang(parent)
    node.parts.append(Part("work", begun, None))
    return node


def _ends(parent: Node) -> Iterator[float]:
    for child in parent.children:
        yield child.end if child.end is not None else child.start
