"""A run's log as people read it: each record becomes a line. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import msgspec

from .actors.keys import MODEL, ROUTE, TOOL, Key, is_asked
from .actors.kinds import AGENT, kind_of
from .actors.turn import DECISIONS
from .bus.log import LogMessage
from .heard import Heard
from .rows import StepRow, TimelineLine
from .runtime.entry import (
    ROOT,
    Answered,
    Arrived,
    Asked,
    Awaited,
    Blocked,
    Called,
    Cancelled,
    Ended,
    Envelope,
    Expired,
    Failed,
    Joined,
    Record,
    Reopened,
    Retried,
    Returned,
    Slept,
    Spawned,
    Started,
    Stepped,
    Unblocked,
    Withdrawn,
    Woken,
    read,
)
from .runtime.failure import reason_of
from .runtime.times import iso
from .runtime.vouching import Signers
from .titles import mended, title_of

_BRIEF = 300


class Narrator:
    """Tells one run; remembers the names that its earlier records gave."""

    def __init__(self, run: str, signers: Signers | None = None) -> None:
        self.run = run
        self.ticket = ""
        self._heard = Heard(run, signers)
        self._workflow = ""
        self._names: dict[str, str] = {}
        self._tools: dict[tuple[str, Key], str] = {}
        self._deciders: dict[tuple[str, int | None], str] = {}

    def tell(self, message: LogMessage) -> list[tuple[TimelineLine, StepRow]]:
        """The lines of one message of the log, in order."""
        envelope = read(message.data)
        if envelope is None:
            return []
        return [
            self._both(message.n, envelope, line)
            for record in envelope.records
            for line in self._told(record)
        ]

    def _both(
        self, n: int, envelope: Envelope, line: dict[str, Any]
    ) -> tuple[TimelineLine, StepRow]:
        at = iso(envelope.at)
        seconds = line.pop("seconds", None)
        told = TimelineLine(at=at, run=self.run, ticket=self.ticket, **line)
        row = StepRow(
            n=n,
            at=at,
            kind=told.kind,
            name=told.title,
            detail=told.detail,
            actor=told.actor,
            seconds=seconds,
        )
        return told, row

    def _told(self, record: Record) -> list[dict[str, Any]]:
        """The lines of a record; none for one that has the form of an entry and no sense."""
        try:
            return list(self._lines(record))
        except Exception:  # noqa: BLE001  whoever wrote it must not stop the story
            return []

    def _lines(self, record: Record) -> Iterator[dict[str, Any]]:
        teller = _TELLERS.get(type(record))
        line = teller(self, record) if teller else None
        if line is not None:
            yield line

    def who(self, frame: str) -> str:
        """Who acts in a frame."""
        return self._names.get(frame, self._workflow if frame == ROOT else frame)

    def started(self, record: Started) -> dict[str, Any]:
        """The run's first line."""
        self.ticket = self._heard.ticket = record.ticket
        self._workflow = record.workflow
        return {
            "kind": "run.started",
            "actor": record.workflow,
            "title": record.workflow,
            "detail": f"ticket {record.ticket}",
            "data": {"event": _json(record.event)},
        }

    def stepped(self, record: Stepped) -> dict[str, Any] | None:
        """A step, a routing decision, a model's response, or a tool call."""
        line = {"actor": self.who(record.frame), "seconds": round(record.ms / 1e3, 4)}
        if record.error is not None:
            detail = _cut(reason_of(record.error))
            title = self._title(record.frame, record.key)
            return {**line, "kind": "step.failed", "title": title, "detail": detail}
        key, inner = Key.parse(record.key) or (None, "")
        kind = _KINDS.get(key.kind) if key is not None else None
        if record.frame != ROOT and key is not None and kind is not None and not inner:
            names = self._learn_calls(record, key) if key.kind == MODEL else []
            if key.decision is not None and names and DECISIONS.issuperset(names):
                return None  # the decision has a line of its own
            line["actor"] = self._deciders.get((record.frame, key.decision), line["actor"])
            return {**line, **_inner(kind, record)}
        detail = record.note or bytes(record.result).decode()
        title = self._title(record.frame, record.key)
        return {**line, "kind": "step.done", "title": title, "detail": _cut(detail)}

    def _learn_calls(self, record: Stepped, key: Key) -> list[str]:
        """Take note of what the tools are called that a response calls."""
        response = _json(record.result)
        parts = response.get("message", {}).get("parts", ())  # none where it was put away
        names = [part["name"] for part in parts if part.get("type") == "tool_call"]
        for place, name in enumerate(names):
            self._tools[record.frame, key._replace(kind=TOOL, place=place)] = name
        if key.decision is not None:
            decider = response.get("by") or self.who(record.frame)
            self._deciders[record.frame, key.decision] = decider
        return names

    def _title(self, frame: str, key: str) -> str:
        """A key as people know it: `order/pay` for what the log calls `tool#0.1/pay`."""
        call, inner = Key.parse(key) or (None, "")
        if call is None or frame == ROOT:
            return key
        return title_of(call, inner, self._tools.get((frame, call.of(TOOL)))) or key

    def failed(self, record: Failed) -> dict[str, Any]:
        """A failed try that is repeated."""
        return {
            "kind": "step.failed",
            "actor": self.who(record.frame),
            "title": self._title(record.frame, record.key),
            "detail": _cut(f"{reason_of(record.error)}; again at {iso(record.retry_at)}"),
        }

    def called(self, record: Called) -> dict[str, Any]:
        """Another actor's turn begins."""
        self._names[record.child] = record.note or record.actor
        kind = "turn.started" if kind_of(record.actor) == AGENT else "network.started"
        return {"kind": kind, "actor": self.who(record.frame), "title": record.note}

    def returned(self, record: Returned) -> dict[str, Any] | None:
        """Another actor's turn is over; only a failure is worth a line."""
        if record.error is None:
            return None
        return {
            "kind": "step.failed",
            "actor": self.who(record.frame),
            "title": self.who(record.frame),
            "detail": _cut(reason_of(record.error)),
        }

    def asked(self, record: Asked) -> dict[str, Any]:
        """A question to a person."""
        self._heard.ask(record)
        return {
            "kind": "question.asked",
            "actor": record.agent or self.who(record.frame),
            "title": f"asks {record.role}",
            "detail": record.question,
            "data": {
                "id": record.id,
                "role": record.role,
                "question": record.question,
                "context": record.context,
                "agent": record.agent,
                "deadline": iso(record.deadline),
            },
        }

    def answered(self, record: Answered) -> dict[str, Any]:
        """A person's answer, or what does not count as one."""
        return self._heard.line(record)

    def expired(self, record: Expired) -> dict[str, Any]:
        """Nobody answered."""
        self._heard.close(record)
        return {
            "kind": "question.expired",
            "actor": self._heard.role(record.id),
            "title": "nobody answered in time",
            "data": {"id": record.id},
        }

    def slept(self, record: Slept) -> dict[str, Any]:
        """A sleep begins."""
        detail = f"until {iso(record.until)}"
        return {
            "kind": "slept",
            "actor": self.who(record.frame),
            "title": self._title(record.frame, record.key),
            "detail": detail,
        }

    def woken(self, record: Woken) -> dict[str, Any]:
        """A sleep or back-off is over."""
        return {
            "kind": "woke",
            "actor": self.who(record.frame),
            "title": self._title(record.frame, record.key),
        }

    def awaited(self, record: Awaited) -> dict[str, Any]:
        """A wait for an event begins."""
        fields = ", ".join(f"{key} = {value!r}" for key, value in record.match.items())
        detail = f"where {fields}" if fields else ""
        return {
            "kind": "event.awaited",
            "actor": self.who(record.frame),
            "title": f"waits for {record.subject}",
            "detail": _cut(detail),
        }

    def arrived(self, record: Arrived) -> dict[str, Any]:
        """The event has come."""
        return {
            "kind": "event.arrived",
            "actor": self.who(record.frame),
            "title": record.key,
            "detail": _cut(bytes(record.event).decode("utf-8", "replace")),
        }

    def spawned(self, record: Spawned) -> dict[str, Any]:
        """Another workflow was started."""
        return {
            "kind": "child.started",
            "actor": self.who(record.frame),
            "title": record.workflow,
            "detail": f"run {record.run}",
        }

    def joined(self, record: Joined) -> dict[str, Any]:
        """The other workflow is over."""
        failed = record.error is not None
        return {
            "kind": "step.failed" if failed else "child.ended",
            "actor": self.who(record.frame),
            "title": record.key,
            "detail": _cut(reason_of(record.error) if record.error else ""),
        }

    def withdrawn(self, record: Withdrawn) -> dict[str, Any]:
        """A wait was given up."""
        return {
            "kind": "withdrawn",
            "actor": self.who(record.frame),
            "title": self._title(record.frame, record.key),
            "detail": "no longer waited for",
        }

    def blocked(self, record: Blocked) -> dict[str, Any]:
        """The run cannot go on."""
        return {
            "kind": "run.blocked",
            "actor": self.who(record.frame),
            "title": self._title(record.frame, record.key) if record.key else "blocked",
            "detail": _cut(f"{record.reason}. {record.needs}"),
            "data": {"kind": record.kind, "reason": record.reason, "needs": record.needs},
        }

    def unblocked(self, record: Unblocked) -> dict[str, Any]:
        """It is tried again."""
        return {
            "kind": "run.unblocked",
            "actor": record.by or "a worker",
            "title": "tries again",
            "detail": _cut(record.why),
        }

    def reopened(self, record: Reopened) -> dict[str, Any]:
        """A run that was over goes on."""
        return {
            "kind": "run.reopened",
            "actor": record.by,
            "title": "reopened it",
            "detail": _cut(record.why),
            "data": {"by": record.by, "why": record.why},
        }

    def retried(self, record: Retried) -> dict[str, Any]:
        """What failed is done again."""
        steps = ", ".join(
            self._title(record.frame, key) for key in record.steps if not is_asked(key)
        )
        return {
            "kind": "step.retried",
            "actor": self.who(record.frame),
            "title": steps or self.who(record.frame),
            "detail": mended(record),
        }

    def cancelled(self, record: Cancelled) -> dict[str, Any]:
        """Somebody cancelled the run."""
        return {
            "kind": "run.ended",
            "actor": record.by or self._workflow,
            "title": "cancelled",
            "detail": record.reason,
            "data": {"status": "cancelled", "result": None, "error": record.reason or "cancelled"},
        }

    def ended(self, record: Ended) -> dict[str, Any]:
        """The run's last line."""
        result = _json(record.result)
        return {
            "kind": "run.ended",
            "actor": self._workflow,
            "title": record.status,
            "detail": _cut(reason_of(record.failure) if record.failure else record.error),
            "data": {"status": record.status, "result": result, "error": record.error or None},
        }


_KINDS = {ROUTE: "route", MODEL: "model.responded", TOOL: "tool.called"}
_TELLERS: dict[type[Record], Callable[[Narrator, Any], dict[str, Any] | None]] = {
    Started: Narrator.started,
    Stepped: Narrator.stepped,
    Failed: Narrator.failed,
    Called: Narrator.called,
    Returned: Narrator.returned,
    Asked: Narrator.asked,
    Answered: Narrator.answered,
    Expired: Narrator.expired,
    Slept: Narrator.slept,
    Woken: Narrator.woken,
    Awaited: Narrator.awaited,
    Arrived: Narrator.arrived,
    Spawned: Narrator.spawned,
    Joined: Narrator.joined,
    Withdrawn: Narrator.withdrawn,
    Blocked: Narrator.blocked,
    Unblocked: Narrator.unblocked,
    Reopened: Narrator.reopened,
    Retried: Narrator.retried,
    Cancelled: Narrator.cancelled,
    Ended: Narrator.ended,
}


def _inner(kind: str, record: Stepped) -> dict[str, Any]:
    title, _, rest = record.note.partition(": " if kind == "tool.called" else "\n")
    if kind != "tool.called":
        return {"kind": kind, "title": title}
    outcome = _json(record.result)
    failed = isinstance(outcome, dict) and bool(cast("Any", outcome).get("is_error"))
    return {"kind": "tool.failed" if failed else kind, "title": title, "detail": _cut(rest)}


def _json(raw: msgspec.Raw) -> Any:
    return msgspec.json.decode(raw)


def _cut(text: str) -> str:
    return text if len(text) <= _BRIEF else f"{text[: _BRIEF - 1]}…"
