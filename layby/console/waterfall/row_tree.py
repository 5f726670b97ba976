"""The rows of a run as a tree, and how the records of its log find theirs."""

from __future__ import annotations

from hashlib import blake2s
from itertools import count
from typing import Final

from ...actors.keys import APPROVE, FAILED, MODEL, ROUTE, TOOL, Key
from ...actors.models.model import ToolCall
from ...bus.log import LogMessage
from ...runtime import entry
from ...runtime.entry import ROOT
from ...runtime.envelope import read
from ...runtime.vouching import Signers
from ...views.projection import Projection
from .node import Fill, Kind, Node, Part

_Slot = tuple[str, str]
"""A frame, and a key in it."""
LIVE: Final = "live:"
"""How the ids of rows begin that have no record yet."""
_NOTICED: Final = 0.001
"""Seconds; shorter times of queueing are not shown."""
_ASKING: Final = frozenset({APPROVE, FAILED})
"""What people decide about a tool call is shown under the call."""


class RowTree(Projection[None]):
    """The rows of one run, as far as its log has been read."""

    def __init__(self, run: str, signers: Signers | None = None) -> None:
        super().__init__(run, signers)
        self.root: Node | None = None
        self.by_id: dict[str, Node] = {}
        self.frames: dict[str, Node] = {}
        """The rows of frames, by their names."""
        self._slots: dict[_Slot, Node] = {}
        self._mail: dict[int, float] = {}
        """When mail was written that nobody has begun to handle."""
        self._n, self._place, self._at, self._cause = 0, 0, 0.0, 0
        self._last: dict[str, float] = {}
        """When something last happened in a frame."""
        self._spoken: dict[str, Node] = {}
        """The rows of responses, by the ids that their rows had while they had no record."""

    def take(self, message: LogMessage) -> None:
        """Read the next message of the log."""
        envelope = read(message.data)
        if envelope is None:
            return
        self._n, self._at, self._cause = message.n, envelope.at, envelope.cause
        for place, record in enumerate(envelope.records):
            self._place = place
            self.read(record)
        self._mail[message.n] = envelope.at
        self._mail.pop(envelope.cause, None)

    def find(self, row: str) -> Node | None:
        """A row by its id; that of a live row leads to the row that has taken its place."""
        return self.by_id.get(row) or self._spoken.get(row)

    def call(self, frame: str, key: str) -> ToolCall | None:
        """What a model asked for at a key."""
        found = Key.parse(key)
        return self._calls.get((frame, found[0])) if found is not None else None

    def call_of(self, node: Node) -> ToolCall | None:
        """What a model asked for, by the row of the call."""
        slot = next((slot for slot, each in self._slots.items() if each is node), None)
        return self.call(*slot) if slot is not None else None

    def _open(
        self, kind: Kind, name: str, parent: Node | None, start: float, note: str = ""
    ) -> Node:
        node = Node(id=f"{self._n}.{self._place}", kind=kind, name=name, note=note, start=start)
        for more in count(1):
            if node.id not in self.by_id:
                break
            node.id = f"{self._n}.{self._place}.{more}"
        if parent is not None:
            parent.add(node)
        self.by_id[node.id] = node
        return self._touch(node)

    def _touch(self, node: Node) -> Node:
        where = (self._n, self._place)
        if where not in node.records:
            node.records.append(where)
        return node

    def _frame(self, frame: str) -> Node | None:
        return self.frames.get(frame) or self.root

    def _holder(self, frame: str, key: str) -> Node | None:
        """The row that a key belongs under: what a tool does and asks is under its call."""
        found = Key.parse(key)
        if found is not None and (found[1] or found[0].kind in _ASKING):
            part = found[0].of(TOOL) if found[0].kind in _ASKING else found[0]
            held = self._slots.get((frame, str(part)))
            if held is not None:
                return held
        return self._frame(frame)

    def _slot(self, record: entry.Stepped | entry.Failed, start: float) -> Node:
        slot = (record.frame, record.key)
        node = self._slots.get(slot)
        if node is None or node.end is not None:
            kind, name = self._named(record.frame, record.key)
            node = self._slots[slot] = self._open(kind, name, self._holder(*slot), start)
        return self._touch(node)

    def _named(self, frame: str, key: str) -> tuple[Kind, str]:
        found = Key.parse(key)
        if found is not None and not found[1] and frame != ROOT:
            part = found[0]
            if part.kind == MODEL:
                return "model", "model"
            if part.kind == ROUTE:
                return "route", self.name(frame)
            if part.kind == TOOL:
                call = self._calls.get((frame, part))
                return "tool", call.name if call else self.title(frame, key)
        return "step", self.title(frame, key)

    def _worked(self, node: Node, frame: str, seconds: float, fill: Fill = "work") -> None:
        """Add work that has ended now, and the queueing before it."""
        node.parts = [part for part in node.parts if part.end is not None]
        start = max(node.start, self._at - seconds)
        queued = self._mail.pop(self._cause, None)
        if queued is not None and start - queued > _NOTICED:
            before = max(queued, node.parts[-1].end or queued) if node.parts else queued
            if start - before > _NOTICED:
                node.start = min(node.start, before)
                node.parts.append(Part("queue", before, start))
        node.parts.append(Part(fill, start, self._at))
        self._last[frame] = self._at

    def _over(self, frame: str, key: str) -> Node | None:
        """End what a frame waited for; after a back-off, the next try begins."""
        node = self._slots.get((frame, key))
        if node is None:
            return None
        if node.parts and node.parts[-1].fill == "backoff" and node.end is None:
            node.parts[-1] = node.parts[-1]._replace(end=self._at)
            node.parts.append(Part("work", self._at, None))
        elif node.end is None:
            node.close(self._at)
        self._last[frame] = self._at
        return self._touch(node)


def live_id(step: str) -> str:
    """The id of a row that has no record yet, by the name of its step; short, unlike some names."""
    return f"{LIVE}{blake2s(step.encode(), digest_size=8).hexdigest()}"
