"""Logs that are written record by record, as the page of a run reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import msgspec

from layby.bus.log import LogMessage
from layby.client import Client
from layby.console.waterfall.node import Node, every
from layby.console.waterfall.watched import WatchedRun
from layby.runtime.entry import ROOT, Asked, Called, Failed, Failure, Raw, Record, Started, Stepped
from layby.runtime.envelope import Envelope, decode, encode
from layby.runtime.vouching import Signers
from layby.views.recording import History

TEAM = "w/team"
TURN = "w/team/turn#0.0"
STARTED = Started(
    workflow="desk", actor="workflow-desk", version="1", ticket="T1", event=Raw(b'{"id": 1}')
)


def network(frame: str = ROOT, key: str = "team", **fields: Any) -> Called:
    """A frame calls the network `team`."""
    child = f"{frame}/{key}"
    return Called(frame=frame, key=key, child=child, actor="network-team", note="team", **fields)


def turn(number: int = 0, place: int = 0, *, name: str = "Anna", frame: str = TEAM) -> Called:
    """A network has an agent take a turn."""
    key = f"turn#{number}.{place}"
    return Called(
        frame=frame, key=key, child=f"{frame}/{key}", actor=f"agent-{name.lower()}", note=name
    )


def stepped(key: str, result: Any = None, *, frame: str = ROOT, ms: float = 1_000.0) -> Stepped:
    """A step that took a second."""
    return Stepped(frame=frame, key=key, result=Raw(msgspec.json.encode(result)), ms=ms)


def broken(key: str, *, frame: str = ROOT, error: str = "ValueError", attempts: int = 1) -> Stepped:
    """A step that failed for good."""
    failure = Failure(type=error, message="it broke", attempts=attempts)
    return Stepped(frame=frame, key=key, error=failure, ms=1_000.0)


def tried(key: str, retry_at: float, *, frame: str = ROOT, attempts: int = 1) -> Failed:
    """A try that failed and is repeated."""
    failure = Failure(type="OSError", message="no line", attempts=attempts)
    return Failed(frame=frame, key=key, error=failure, retry_at=retry_at)


def asked(id_: str = "q1", key: str = "ask", *, frame: str = ROOT, **fields: Any) -> Asked:
    """A developer is asked."""
    return Asked(
        frame=frame, key=key, id=id_, role="developer", question="Well?", deadline=9_000.0, **fields
    )


class WrittenLog:
    """A log that grows by one message at each call, ten seconds after the last by default."""

    def __init__(self, *records: Record, signers: Signers | None = None) -> None:
        self.run = WatchedRun(cast("Client", None), "r1", signers)
        self.at = -10.0
        for record in (STARTED, *records):
            self.add(record)

    def add(self, *records: Record, at: float | None = None, cause: int = 0) -> int:
        """Write one message; its position."""
        self.at = self.at + 10.0 if at is None else at
        n = len(self.run.messages) + 1
        envelope = Envelope(op=f"wk{n}-{n}", at=self.at, cause=cause, records=[*records])
        self.run.take(LogMessage(n=n, to="log", data=encode(envelope)))
        return n

    @property
    def root(self) -> Node:
        """The first row."""
        root = self.run.outline.root
        assert root is not None
        return root

    def node(self, name: str) -> Node:
        """The one row with a name."""
        [found] = [node for node in every(self.root) if node.name == name]
        return found

    def drawn(self) -> list[str]:
        """The rows as text: indented, with what filled their time."""
        return [draw(node) for node in every(self.root)]


def draw(node: Node) -> str:
    """A row as text: `  model gpt | work 10-12`."""
    parts = ", ".join(
        f"{part.fill} {part.start:g}-{'' if part.end is None else f'{part.end:g}'}"
        for part in node.parts
    )
    end = "" if node.end is None else f"{node.end:g}"
    mark = "! " if node.failed else ""
    time = parts or f"{node.start:g}-{end}"
    note = f" ({node.note})" if node.note else ""
    return f"{'  ' * (node.level - 1)}{mark}{node.kind} {node.name}{note} | {time}"


def read(path: Path) -> WatchedRun:
    """The log of a recorded history."""
    history = History.load(path)
    run = WatchedRun(cast("Client", None), history.run)
    for n, message in enumerate(history.messages, 1):
        envelope = decode(msgspec.json.encode(message.entry))
        run.take(LogMessage(n=n, to=message.to, data=encode(envelope)))
    return run
