"""A run's log as people read it: lines of a timeline, from the records alone. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from typing_extensions import override

from ..actors.keys import Key, is_asked
from ..actors.kinds import AGENT
from ..actors.models.model import ToolCall
from ..actors.threads.turn import DECISIONS, Advice
from ..bus.log import LogMessage
from ..runtime import entry
from ..runtime.card_records import Notified, Undelivered
from ..runtime.choice import choice_of
from ..runtime.entry import NULL, Failure
from ..runtime.envelope import Envelope, read
from ..runtime.failure import reason_of
from ..runtime.ladder_records import ESCALATION, REMINDER, PlannedRung, Reached, told
from ..runtime.opened_records import Heard
from ..runtime.question_fields import fields_of
from ..runtime.quorum import roles_of
from ..runtime.signature import Signature
from ..runtime.state import ANSWERED, NO_QUORUM, Question
from ..runtime.tally import standing_of
from ..runtime.times import iso
from ..runtime.vouched import SIGNATURE
from .card_lines import card_line, undelivered_line
from .projection import Projection, json_of, seconds_of
from .rows import StepRow, TimelineLine
from .said_line import said_line

_BRIEF = 300
"""Characters of a line's detail."""

_Line = dict[str, Any]
"""The fields of a `TimelineLine`, and the `seconds` of a row."""


class TimelineProjection(Projection[_Line]):
    """The timeline of one run.

    It shows what the log says in its notes, and fetches no blobs: a timeline costs one read of the
    log however big the values are.
    """

    def project(self, message: LogMessage) -> list[tuple[TimelineLine, StepRow]]:
        """The lines of the next message of the log, in order."""
        envelope = read(message.data)
        if envelope is None:
            return []
        return [
            self._line_and_row(message.n, envelope, fields)
            for record in envelope.records
            for fields in self.read(record)
        ]

    def _line_and_row(
        self, n: int, envelope: Envelope, fields: _Line
    ) -> tuple[TimelineLine, StepRow]:
        at = iso(envelope.at)
        seconds = fields.pop("seconds", None)
        line = TimelineLine(at=at, run=self.run, ticket=self.ticket, **fields)
        row = StepRow(
            n=n,
            at=at,
            kind=line.kind,
            name=line.title,
            detail=line.detail,
            actor=line.actor,
            seconds=seconds,
        )
        return line, row

    def _actor(self, frame: str) -> str:
        return self.name(frame) or frame

    def _of_step(self, kind: str, record: Any, detail: str = "") -> _Line:
        """A line about a step, or what it waits for."""
        return {
            "kind": kind,
            "actor": self._actor(record.frame),
            "title": self.title(record.frame, record.key),
            "detail": _cut(detail),
        }

    @override
    def started(self, record: entry.Started) -> Iterable[_Line]:
        yield {
            "kind": "run.started",
            "actor": record.workflow,
            "title": record.workflow,
            "detail": f"ticket {record.ticket}",
            "data": {"event": json_of(record.event)},
        }

    @override
    def step_done(self, record: entry.Stepped) -> Iterable[_Line]:
        detail = record.note or bytes(record.result).decode()
        yield {**self._of_step("step.done", record, detail), "seconds": seconds_of(record)}

    @override
    def step_failed(self, record: entry.Stepped, error: Failure) -> Iterable[_Line]:
        line = self._of_step("step.failed", record, reason_of(error))
        yield {**line, "seconds": seconds_of(record)}

    def _of_part(self, kind: str, record: entry.Stepped, key: Key) -> _Line:
        """A line about a routing decision, a response or a call."""
        actor = self.router(record.frame, key.decision) or self._actor(record.frame)
        return {"kind": kind, "actor": actor, "seconds": seconds_of(record)}

    @override
    def routed(self, record: entry.Stepped, key: Key) -> Iterable[_Line]:
        yield {**self._of_part("route", record, key), "title": _first_line(record.note)}

    @override
    def model_responded(
        self, record: entry.Stepped, key: Key, response: Advice | None
    ) -> Iterable[_Line]:
        calls = response.message.tool_calls if response is not None else []
        names = {call.name for call in calls}
        if key.decision is not None and names and names <= DECISIONS:
            return  # the decision has a line of its own
        title = _first_line(record.note)
        yield {**self._of_part("model.responded", record, key), "title": title}

    @override
    def tool_done(self, record: entry.Stepped, key: Key, call: ToolCall | None) -> Iterable[_Line]:
        outcome = json_of(record.result)
        failed = isinstance(outcome, dict) and bool(cast("Any", outcome).get("is_error"))
        title, _, detail = record.note.partition(": ")
        line = self._of_part("tool.failed" if failed else "tool.called", record, key)
        yield {**line, "title": title, "detail": _cut(detail)}

    @override
    def failed(self, record: entry.Failed) -> Iterable[_Line]:
        detail = f"{reason_of(record.error)}; again at {iso(record.retry_at)}"
        yield self._of_step("step.failed", record, detail)

    @override
    def called(self, record: entry.Called) -> Iterable[_Line]:
        kind = "turn.started" if self.kind(record.child) == AGENT else "network.started"
        yield {"kind": kind, "actor": self._actor(record.frame), "title": record.note}

    @override
    def returned(self, record: entry.Returned) -> Iterable[_Line]:
        if record.error is not None:  # success shows in what follows
            actor = self._actor(record.frame)
            detail = _cut(reason_of(record.error))
            yield {"kind": "step.failed", "actor": actor, "title": actor, "detail": detail}

    @override
    def asked(self, record: entry.Asked) -> Iterable[_Line]:
        yield {
            "kind": "question.asked",
            "actor": record.agent or self._actor(record.frame),
            "title": f"asks {' and '.join(roles_of(record))}",
            "detail": record.question,
            "data": {
                **fields_of(record, ("id", "role", "question", "context", "agent")),
                "deadline": iso(record.deadline),
                **({"quorum": record.quorum} if record.quorum is not None else {}),
            },
        }

    @override
    def answered(self, record: entry.Answered) -> Iterable[_Line]:
        vouched = self.answers.vouched(record)
        key = {}
        if vouched == SIGNATURE:
            signature = Signature.parse(record.signature)
            key = {"key": signature.key} if signature is not None else {}
        yield {
            "kind": "question.answered",
            "actor": record.by or self.answers.role(record.id),
            "title": f"{record.by or 'somebody'} answered{self._signed(vouched)}",
            "detail": record.text,
            "data": {
                "id": record.id,
                "text": record.text,
                "by": record.by,
                "vouched": vouched,
                **key,
            },
        }

    @override
    def voted(self, record: entry.Voted, poll: Question) -> Iterable[_Line]:
        choice = choice_of(poll, record.text)
        roles = roles_of(poll)
        yield {
            "kind": "question.voted",
            "actor": record.by,
            "title": f"{record.by} voted{f' for {record.role}' if len(roles) > 1 else ''}"
            f"{self._signed(record.vouched)}",
            "detail": _cut(f"{record.text} ({standing_of(poll, poll.votes, record)})"),
            "data": {
                **{name: getattr(record, name) for name in ("id", "by", "role", "text", "vouched")},
                "choice": choice,
            },
        }
        if poll.status == ANSWERED:
            yield {
                "kind": "question.answered",
                "actor": poll.by,
                "title": f"{poll.by} decided",
                "detail": poll.text,
                "data": {"id": poll.id, "text": poll.text, "by": poll.by, "vouched": poll.vouched},
            }
        elif poll.status == NO_QUORUM:
            yield {
                "kind": "question.no_quorum",
                "actor": self.answers.role(record.id),
                "title": "people can no longer agree",
                "data": {"id": record.id},
            }

    def _signed(self, vouched: str) -> str:
        if vouched != SIGNATURE:
            return ""
        return " (signed)" if self.answers.keys_known else " (signed, key not checked)"

    @override
    def answer_refused(self, record: entry.Answered | entry.Voted, reason: str) -> Iterable[_Line]:
        yield {
            "kind": "answer.refused",
            "actor": self.answers.role(record.id),
            "title": "an answer that does not count",
            "detail": reason,
            "data": {"id": record.id, "reason": reason},
        }

    @override
    def expired(self, record: entry.Expired) -> Iterable[_Line]:
        poll = self.answers.poll(record.id)
        voted = poll is not None and poll.votes
        yield {
            "kind": "question.expired",
            "actor": self.answers.role(record.id),
            "title": "too few people voted in time" if voted else "nobody answered in time",
            "data": {"id": record.id},
        }

    @override
    def reached(self, record: Reached, rung: PlannedRung, number: int) -> Iterable[_Line]:
        who = told(record)
        if rung.kind == ESCALATION:
            kind, title = "question.escalated", f"asks {rung.to} too"
        elif rung.kind == REMINDER:
            kind, title = "question.reminded", f"reminder {number}"
        else:
            kind, title = "question.on_duty", "on duty"
        yield {
            "kind": kind,
            "actor": self.answers.role(record.id),
            "title": title,
            "detail": who,
            "data": {
                "id": record.id,
                "number": number,
                "to": rung.to,
                "told": record.told,
                "absent": record.absent,
                "nobody": record.nobody,
                "early": record.early,
                "claimed": record.claimed,
            },
        }

    @override
    def said(self, record: Heard) -> Iterable[_Line]:
        yield said_line(record)

    @override
    def notified(self, record: Notified) -> Iterable[_Line]:
        yield card_line(record)

    @override
    def undelivered(self, record: Undelivered) -> Iterable[_Line]:
        yield undelivered_line(record)

    @override
    def slept(self, record: entry.Slept) -> Iterable[_Line]:
        yield self._of_step("slept", record, f"until {iso(record.until)}")

    @override
    def woken(self, record: entry.Woken) -> Iterable[_Line]:
        yield self._of_step("woke", record)

    @override
    def awaited(self, record: entry.Awaited) -> Iterable[_Line]:
        fields = ", ".join(f"{key} = {value!r}" for key, value in record.match.items())
        yield {
            "kind": "event.awaited",
            "actor": self._actor(record.frame),
            "title": f"waits for {record.subject}",
            "detail": _cut(f"where {fields}" if fields else ""),
        }

    @override
    def arrived(self, record: entry.Arrived) -> Iterable[_Line]:
        detail = bytes(record.event).decode("utf-8", "replace")
        yield {**self._of_step("event.arrived", record, detail), "title": record.key}

    @override
    def spawned(self, record: entry.Spawned) -> Iterable[_Line]:
        detail = f"run {record.run}"
        line = self._of_step("child.started", record, detail)
        yield {**line, "title": record.workflow}

    @override
    def joined(self, record: entry.Joined) -> Iterable[_Line]:
        kind = "child.ended" if record.error is None else "step.failed"
        detail = "" if record.error is None else reason_of(record.error)
        yield {**self._of_step(kind, record, detail), "title": record.key}

    @override
    def withdrawn(self, record: entry.Withdrawn, question: str | None) -> Iterable[_Line]:
        yield self._of_step("withdrawn", record, "no longer waited for")

    @override
    def blocked(self, record: entry.Blocked) -> Iterable[_Line]:
        line = self._of_step("run.blocked", record, f"{record.reason}. {record.needs}")
        title = line["title"] if record.key else "blocked"
        data = {"kind": record.kind, "reason": record.reason, "needs": record.needs}
        yield {**line, "title": title, "data": data}

    @override
    def unblocked(self, record: entry.Unblocked) -> Iterable[_Line]:
        yield {
            "kind": "run.unblocked",
            "actor": record.by or "a worker",
            "title": "tries again",
            "detail": _cut(record.why),
        }

    @override
    def reopened(self, record: entry.Reopened) -> Iterable[_Line]:
        yield {
            "kind": "run.reopened",
            "actor": record.by,
            "title": "reopened it",
            "detail": _cut(record.why),
            "data": {"by": record.by, "why": record.why},
        }

    @override
    def retried(self, record: entry.Retried) -> Iterable[_Line]:
        steps = ", ".join(
            self.title(record.frame, key) for key in record.steps if not is_asked(key)
        )
        actor = self._actor(record.frame)
        yield {
            "kind": "step.retried",
            "actor": actor,
            "title": steps or actor,
            "detail": _changed(record),
        }

    @override
    def cancelled(self, record: entry.Cancelled) -> Iterable[_Line]:
        yield {
            "kind": "run.ended",
            "actor": record.by or self.workflow,
            "title": "cancelled",
            "detail": record.reason,
            "data": {"status": "cancelled", "result": None, "error": record.reason or "cancelled"},
        }

    @override
    def ended(self, record: entry.Ended) -> Iterable[_Line]:
        result = json_of(record.result)
        yield {
            "kind": "run.ended",
            "actor": self.workflow,
            "title": record.status,
            "detail": _cut(reason_of(record.failure) if record.failure else record.error),
            "data": {"status": record.status, "result": result, "error": record.error or None},
        }


def _changed(record: entry.Retried) -> str:
    """What a person changed for the retry; empty: nothing."""
    if record.event != NULL:
        return "with another event"
    return "with another input" if record.input != NULL else ""


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


def _cut(text: str) -> str:
    return text if len(text) <= _BRIEF else f"{text[: _BRIEF - 1]}…"
