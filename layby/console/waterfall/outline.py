"""Reads a run's log into the rows of its waterfall, record by record."""

from __future__ import annotations

from collections.abc import Iterable

from typing_extensions import override

from ...actors.keys import TOOL, Key
from ...actors.kinds import AGENT
from ...actors.models.model import ToolCall, Usage
from ...actors.threads.turn import DECISIONS, Advice
from ...runtime import entry
from ...runtime.card_records import Notified, Undelivered
from ...runtime.entry import ROOT, Failure
from ...runtime.ladder_records import PlannedRung, Reached
from ...runtime.opened_records import Heard
from ...runtime.quorum import roles_of
from ...runtime.state import ANSWERED, NO_QUORUM, Question
from ...runtime.streaming import step_name
from ...runtime.vouching import Signers
from .node import Kind, Node, Part, every, ordinal
from .row_tree import RowTree, live_id


class Outline(RowTree):
    """What each record does to the rows."""

    def __init__(self, run: str, signers: Signers | None = None) -> None:
        super().__init__(run, signers)
        self.questions: dict[str, Node] = {}
        self.refused: dict[str, str] = {}  # why answers do not count, by their records
        self.usage = Usage()
        """What all responses used so far."""
        self.version = ""
        """The version of the code that began the run."""
        self.responses: dict[str, int] = {}
        """How many responses a frame has had."""
        self._rounds: dict[str, int] = {}
        self._cut_off: list[Node] = []
        """What had not ended when the run did."""

    @override
    def started(self, record: entry.Started) -> Iterable[None]:
        self.version = record.version
        self.root = self.frames[ROOT] = self._open("workflow", record.workflow, None, self._at)
        return ()

    @override
    def called(self, record: entry.Called) -> Iterable[None]:
        agent = self.kind(record.child) == AGENT
        holder = self._holder(record.frame, record.key)
        note = "network"
        if agent:
            turn = self._rounds[record.frame] = self._rounds.get(record.frame, 0) + 1
            note = f"turn {turn}"
        node = self._open(
            "agent" if agent else "network", self.name(record.child), holder, self._at
        )
        node.note = note
        self.frames[record.child] = self._slots[record.frame, record.key] = node
        return ()

    @override
    def returned(self, record: entry.Returned) -> Iterable[None]:
        node = self.frames.get(record.frame)
        if node is not None:
            self._touch(node).failed = record.error is not None
            node.close(self._at)
        return ()

    def _done(self, record: entry.Stepped, note: str = "") -> Node:
        seconds = record.ms / 1e3
        node = self._slot(record, self._at - seconds)
        self._worked(node, record.frame, seconds)
        if record.spent is not None:
            node.spend(record.spent)
        node.note = note or node.note
        if node.tries > 1:
            node.note = f"{node.note}, {node.tries} tries".strip(", ")
        node.close(self._at)
        return node

    @override
    def step_done(self, record: entry.Stepped) -> Iterable[None]:
        self._done(record)
        return ()

    @override
    def step_failed(self, record: entry.Stepped, error: Failure) -> Iterable[None]:
        seconds = record.ms / 1e3
        node = self._slot(record, self._at - seconds)
        self._worked(node, record.frame, seconds, "failed")
        node.failed, node.note, node.tries = True, error.type, error.attempts
        node.close(self._at)
        return ()

    @override
    def routed(self, record: entry.Stepped, key: Key) -> Iterable[None]:
        self._done(record, record.note.partition("\n")[0])
        return ()

    @override
    def model_responded(
        self, record: entry.Stepped, key: Key, response: Advice | None
    ) -> Iterable[None]:
        node = self._done(record, ordinal(key.number + 1))
        self._spoken[live_id(step_name(record.frame, record.key))] = node
        self.responses[record.frame] = key.number + 1
        node.name = (response.model if response else "") or "model"
        if response is not None:
            self.usage += response.usage
        for place, call in enumerate(response.message.tool_calls if response else ()):
            if key.decision is not None and call.name in DECISIONS:
                continue
            slot = record.frame, str(key._replace(kind=TOOL, place=place))
            tool = self._open("tool", call.name, self._holder(*slot), self._at)
            tool.parts.append(Part("work", self._at, None))
            self._slots[slot] = tool
        return ()

    @override
    def tool_done(self, record: entry.Stepped, key: Key, call: ToolCall | None) -> Iterable[None]:
        seconds = record.ms / 1e3
        node = self._slot(record, self._at - seconds)
        if any(child.kind != "people" for child in node.children):
            node.parts = []  # what it did is in its rows
        else:
            if not node.children and all(part.end is None for part in node.parts):
                node.start = max(node.start, self._at - seconds)
            self._worked(node, record.frame, min(seconds, self._at - _last_end(node)))
        node.close(self._at)
        return ()

    @override
    def failed(self, record: entry.Failed) -> Iterable[None]:
        begun = self._last.get(record.frame, self._mail.get(self._cause, self._at))
        node = self._slot(record, begun)
        node.parts = [part for part in node.parts if part.end is not None]
        start = node.parts[-1].end or begun if node.parts else begun
        node.parts.append(Part("failed", min(start, self._at), self._at))
        node.parts.append(Part("backoff", self._at, None))
        node.deadline = record.retry_at
        node.tries = record.error.attempts + 1
        node.note = record.error.type
        self._last[record.frame] = self._at
        return ()

    def _waiting(
        self, kind: Kind, record: entry.Slept | entry.Awaited | entry.Spawned, name: str
    ) -> Node:
        slot = (record.frame, record.key)
        node = self._slots[slot] = self._open(kind, name, self._holder(*slot), self._at)
        node.parts.append(Part("wait", self._at, None))
        return node

    @override
    def asked(self, record: entry.Asked) -> Iterable[None]:
        slot = (record.frame, record.key)
        holder = self._holder(*slot)
        node = self._open("people", " and ".join(roles_of(record)), holder, self._at)
        node.note, node.question, node.deadline = "open", record.id, record.deadline
        node.parts.append(Part("unseen", self._at, None))
        self._slots[slot] = self.questions[record.id] = node
        if holder is not None and holder.kind == "tool":
            holder.parts = []
        return ()

    def _closed(self, question: str, note: str) -> None:
        node = self.questions.get(question)
        if node is None or node.end is not None:
            return
        self._touch(node).note = note
        node.close(self._at)
        held = node.parent
        if held is not None and held.kind == "tool" and held.end is None and not held.parts:
            held.parts.append(Part("work", self._at, None))

    @override
    def answered(self, record: entry.Answered) -> Iterable[None]:
        self._closed(record.id, record.by or "answered")
        return ()

    @override
    def voted(self, record: entry.Voted, poll: Question) -> Iterable[None]:
        if poll.status == ANSWERED:
            self._closed(record.id, poll.by)
        elif poll.status == NO_QUORUM:
            self._closed(record.id, "no agreement")
        elif (node := self.questions.get(record.id)) is not None:
            self._touch(node)
        return ()

    @override
    def answer_refused(self, record: entry.Answered | entry.Voted, reason: str) -> Iterable[None]:
        if (node := self.questions.get(record.id)) is not None:
            n, place = self._touch(node).records[-1]
            self.refused[f"{n}.{place}"] = reason
        return ()

    @override
    def reached(self, record: Reached, rung: PlannedRung, number: int) -> Iterable[None]:
        return self._touched(record.id)

    @override
    def notified(self, record: Notified) -> Iterable[None]:
        return self._touched(record.id)

    @override
    def undelivered(self, record: Undelivered) -> Iterable[None]:
        return self._touched(record.id)

    def _touched(self, question: str) -> Iterable[None]:
        if (node := self.questions.get(question)) is not None:
            self._touch(node)
        return ()

    @override
    def said(self, record: Heard) -> Iterable[None]:
        if (node := self.questions.get(record.id)) is not None:
            self._touch(node).see(self._at)
        return ()

    @override
    def expired(self, record: entry.Expired) -> Iterable[None]:
        self._closed(record.id, "no answer")
        return ()

    @override
    def withdrawn(self, record: entry.Withdrawn, question: str | None) -> Iterable[None]:
        if question is not None:
            self._closed(question, "withdrawn")
        elif (node := self._over(record.frame, record.key)) is not None:
            self._leave(node)
        return ()

    @override
    def slept(self, record: entry.Slept) -> Iterable[None]:
        node = self._waiting("sleep", record, self.title(record.frame, record.key))
        node.note, node.deadline = "sleep", record.until
        return ()

    @override
    def woken(self, record: entry.Woken) -> Iterable[None]:
        self._over(record.frame, record.key)
        return ()

    @override
    def awaited(self, record: entry.Awaited) -> Iterable[None]:
        node = self._waiting("event", record, self.title(record.frame, record.key))
        node.note, node.deadline = record.subject, record.until
        return ()

    @override
    def arrived(self, record: entry.Arrived) -> Iterable[None]:
        self._over(record.frame, record.key)
        return ()

    @override
    def spawned(self, record: entry.Spawned) -> Iterable[None]:
        node = self._waiting("child", record, record.workflow)
        node.note, node.run = f"child run {record.run[:4]}", record.run
        return ()

    @override
    def joined(self, record: entry.Joined) -> Iterable[None]:
        node = self._over(record.frame, record.key)
        if node is not None:
            node.failed = record.error is not None
        return ()

    @override
    def blocked(self, record: entry.Blocked) -> Iterable[None]:
        node = self._slots.get((record.frame, record.key)) or self._frame(record.frame)
        if node is not None:
            self._touch(node)
        return ()

    @override
    def unblocked(self, record: entry.Unblocked) -> Iterable[None]:
        return ()

    @override
    def reopened(self, record: entry.Reopened) -> Iterable[None]:
        if self.root is not None:
            self._touch(self.root)
        return ()

    def go_on(self, frames: Iterable[str], *, anew: bool) -> None:
        """Reopen the rows of frames that are entered again; `anew`: the run itself is.

        Which frames these are follows from the whole log: the fold knows it.
        """
        for frame in frames:
            if (node := self.frames.get(frame)) is not None:
                node.reopen(self._at)
        if anew:
            for node in self._cut_off:
                if node.kind != "people":  # they are asked again, in a row of its own
                    node.reopen(self._at)
            self._cut_off = []

    @override
    def retried(self, record: entry.Retried) -> Iterable[None]:
        return ()

    @override
    def cancelled(self, record: entry.Cancelled) -> Iterable[None]:
        self._end(failed=False)
        return ()

    @override
    def ended(self, record: entry.Ended) -> Iterable[None]:
        self._end(failed=record.status != "completed")
        return ()

    def _end(self, *, failed: bool) -> None:
        if self.root is not None:
            self._touch(self.root).failed = failed
        self._cut_off = [node for node in self.by_id.values() if node.end is None]
        for question in self.questions:
            self._closed(question, "withdrawn")
        for node in self._cut_off:
            if node.end is None:
                node.close(self._at)

    def _leave(self, node: Node) -> None:
        """End a row that nobody waits for any more, and everything in it."""
        for each in every(node):
            if each.end is None:
                self._closed(each.question, "withdrawn")
                each.close(self._at)


def _last_end(node: Node) -> float:
    """When the last of what is in a row was over; its start if nothing is in it."""
    return max((each.end or each.start for each in node.children), default=node.start)
