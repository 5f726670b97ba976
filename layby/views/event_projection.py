"""A run's log as events. Every reader of a log gets the same events from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from typing_extensions import override

from .. import events
from ..actors.keys import TOOL, Key, is_asked
from ..actors.kinds import AGENT, NETWORK
from ..actors.models.model import ToolCall, Usage
from ..actors.threads.turn import (
    DECISIONS,
    Advice,
    CallOutcome,
    Decision,
    NetworkResult,
    TurnResult,
)
from ..bus.blobs import Blobs
from ..bus.log import LogMessage
from ..runtime import entry
from ..runtime.act_records import ClaimedQuestion, Passed
from ..runtime.ask_back_records import AskedBack, Replied
from ..runtime.card_records import Notified, Undelivered
from ..runtime.choice import choice_of
from ..runtime.entry import ROOT, Failure, Record
from ..runtime.envelope import read
from ..runtime.ladder_records import ESCALATION, REMINDER, PlannedRung, Reached
from ..runtime.opened_records import Heard, OpenedQuestion
from ..runtime.question_fields import fields_of
from ..runtime.state import ANSWERED, NO_QUORUM, Question
from ..runtime.streaming import step_name
from ..runtime.tally import standing_of
from ..runtime.times import iso
from ..runtime.values import load
from ..runtime.vouching import Signers
from .projection import Projection, json_of, seconds_of

_Fact = tuple[type[Any], dict[str, Any]]
"""An event's type and fields, before it has a number."""
_Facts = Iterator[_Fact]


class EventProjection(Projection[_Fact]):
    """The events of one run."""

    def __init__(self, run: str, blobs: Blobs, signers: Signers | None = None) -> None:
        super().__init__(run, signers)
        self._blobs = blobs
        self._origins: dict[str, str] = {}
        """The step that waits for the work in a frame."""
        self._spent = Usage()

    async def project(self, message: LogMessage) -> list[events.AnyEvent]:
        """The events of the next message of the log, in order."""
        envelope = read(message.data)
        found: list[events.AnyEvent] = []
        if envelope is None:
            return found
        for record in envelope.records:
            for kind, fields in self.read(await self._inflated(record)):
                common: dict[str, Any] = {
                    "id": f"{message.n}.{len(found)}",
                    "run": self.run,
                    "at": iso(envelope.at),
                }
                found.append(kind(**common, **fields))
        return found

    async def _inflated(self, record: Record) -> Record:
        """The record with its value, where a blob holds that."""
        raw = getattr(record, "result", None)
        if raw is None:
            return record
        value = await self._blobs.inflate(raw)
        return record if value is raw else msgspec.structs.replace(record, result=value)

    def _about(self, frame: str, key: str = "") -> dict[str, Any]:
        return {"agent": self.name(frame), "step": step_name(frame, key) if key else ""}

    def _about_question(self, question: str) -> dict[str, Any]:
        asked = self.answers.question(question)
        return self._about(asked.frame, asked.key) if asked else {}

    def _about_part(self, record: entry.Stepped, key: Key) -> dict[str, Any]:
        """What a response or call belongs to: a routing agent's to that agent."""
        about = self._about(record.frame, record.key)
        return {**about, "agent": self.router(record.frame, key.decision) or about["agent"]}

    @override
    def started(self, record: entry.Started) -> _Facts:
        fields = {"workflow": record.workflow, "ticket": record.ticket}
        yield events.RunStarted, {**self._about(ROOT), **fields, "event": json_of(record.event)}

    @override
    def called(self, record: entry.Called) -> _Facts:
        self._origins[record.child] = step_name(record.frame, record.key)
        about = {**self._about(record.child), "step": self._origins[record.child]}
        if self.kind(record.child) == AGENT:
            yield events.AgentStarted, about
        else:
            yield events.NetworkStarted, {**about, "network": self.name(record.child)}

    @override
    def returned(self, record: entry.Returned) -> _Facts:
        about = {**self._about(record.frame), "step": self._origins.get(record.frame, "")}
        kind = self.kind(record.frame)
        if record.error is not None:
            yield _error(about, record.error)
        elif kind == AGENT:
            turn: TurnResult = load(record.result, TurnResult)
            yield events.AgentEnded, {**about, "text": turn.text, "stop": turn.stop}
        elif kind == NETWORK:
            done: NetworkResult = load(record.result, NetworkResult)
            fields = {"network": done.network, "text": done.text, "status": done.status}
            yield events.NetworkEnded, {**about, **fields}

    @override
    def step_done(self, record: entry.Stepped) -> _Facts:
        fields = {
            "result": json_of(record.result),
            "note": record.note,
            "seconds": seconds_of(record),
        }
        yield events.StepDone, {**self._about(record.frame, record.key), **fields}

    @override
    def step_failed(self, record: entry.Stepped, error: Failure) -> Iterable[_Fact]:
        return [_error(self._about(record.frame, record.key), error)]

    @override
    def model_responded(self, record: entry.Stepped, key: Key, response: Advice | None) -> _Facts:
        if response is None:
            return
        about = self._about_part(record, key)
        fields = {"text": response.message.text, "stop_reason": response.stop_reason}
        model = {"model": response.model, "seconds": seconds_of(record)}
        yield events.ModelResponded, {**about, **fields, **model}
        for place, call in enumerate(response.message.tool_calls):
            if key.decision is not None and call.name in DECISIONS:
                continue  # the `route` event says it
            step = step_name(record.frame, str(key._replace(kind=TOOL, place=place)))
            called = {"call": call.id, "tool": call.name, "arguments": call.arguments}
            yield events.ToolCalled, {**about, "step": step, **called}
        yield self._usage(about, response.usage, response.model)

    def _usage(self, about: dict[str, Any], usage: Usage, model: str) -> _Fact:
        self._spent += usage
        fields = {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cache_read_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "run_input_tokens": self._spent.input_tokens,
            "run_output_tokens": self._spent.output_tokens,
        }
        return events.UsageReported, {**about, "model": model, **fields}

    @override
    def tool_done(self, record: entry.Stepped, key: Key, call: ToolCall | None) -> _Facts:
        outcome: CallOutcome = load(record.result, CallOutcome)
        fields = {
            "call": call.id if call else "",
            "tool": call.name if call else record.note.partition(":")[0],
            "output": outcome.content,
            "is_error": outcome.is_error,
            "seconds": seconds_of(record),
        }
        yield events.ToolDone, {**self._about_part(record, key), **fields}

    @override
    def routed(self, record: entry.Stepped, key: Key) -> _Facts:
        about = self._about(record.frame, record.key)
        decision: Decision = load(record.result, Decision)
        fields = {"agents": decision.agents, "by": decision.by, "summary": decision.summary}
        yield events.Routed, {**about, **fields}
        if decision.usage != Usage() and self.router(record.frame, key.number) is None:
            yield self._usage(about, decision.usage, "")  # an older log has only the sum

    @override
    def failed(self, record: entry.Failed) -> Iterable[_Fact]:
        about = self._about(record.frame, record.key)
        return [_error(about, record.error, again_at=iso(record.retry_at))]

    @override
    def asked(self, record: entry.Asked) -> _Facts:
        fields = {
            "question_id": record.id,
            **fields_of(record, ("role", "question", "context", "form")),
            "deadline": iso(record.deadline),
        }
        yield events.QuestionAsked, {**self._about_question(record.id), **fields}

    @override
    def answered(self, record: entry.Answered) -> _Facts:
        fields = {
            "question_id": record.id,
            "text": record.text,
            "by": record.by,
            "vouched": self.answers.vouched(record),
        }
        yield events.QuestionAnswered, {**self._about_question(record.id), **fields}

    @override
    def voted(self, record: entry.Voted, poll: Question) -> _Facts:
        about = {**self._about_question(record.id), "question_id": record.id}
        yield (
            events.QuestionVoted,
            {
                **about,
                "by": record.by,
                "role": record.role,
                "choice": choice_of(poll, record.text),
                "text": record.text,
                "vouched": record.vouched,
                "standing": standing_of(poll, poll.votes, record),
            },
        )
        if poll.status == ANSWERED:
            fields = {"text": poll.text, "by": poll.by, "vouched": poll.vouched}
            yield events.QuestionAnswered, {**about, **fields}
        elif poll.status == NO_QUORUM:
            yield events.QuestionUndecided, about

    @override
    def answer_refused(self, record: entry.Answered | entry.Voted, reason: str) -> Iterable[_Fact]:
        return ()  # programs need what counts, people the attempt

    @override
    def expired(self, record: entry.Expired) -> _Facts:
        about = self._about_question(record.id)
        yield events.QuestionExpired, {**about, "question_id": record.id}

    @override
    def reached(self, record: Reached, rung: PlannedRung, number: int) -> _Facts:
        fields: dict[str, Any] = {
            "question_id": record.id,
            "told": tuple(record.told),
            "nobody": record.nobody,
        }
        about = self._about_question(record.id)
        if rung.kind == ESCALATION:
            fields |= {"to": rung.to, "early": record.early}
            yield events.QuestionEscalated, {**about, **fields}
        elif rung.kind == REMINDER:
            fields |= {"number": number, "claimed": record.claimed}
            yield events.QuestionReminded, {**about, **fields}
        else:
            yield events.QuestionOnDuty, {**about, **fields}

    @override
    def said(self, record: Heard) -> _Facts:
        about = {**self._about_question(record.id), "question_id": record.id, "by": record.by}
        if isinstance(record, OpenedQuestion):
            yield events.QuestionOpened, {**about, "channel": record.channel}
        elif isinstance(record, AskedBack):
            fields: dict[str, Any] = {"text": record.text, "seq": record.seq}
            yield events.QuestionAskedBack, {**about, **fields}
        elif isinstance(record, Replied):
            fields = {"text": record.text, "seq": record.seq, "failed": record.failed}
            yield events.QuestionReplied, {**about, **fields}
        elif isinstance(record, ClaimedQuestion):
            is_released = record.until <= record.at
            until = "" if is_released else iso(record.until)
            yield events.QuestionClaimed, {**about, "until": until}
        elif isinstance(record, Passed):
            fields = {"to": record.to, "told": tuple(record.told), "nobody": record.nobody}
            yield events.QuestionPassed, {**about, **fields}
        else:
            yield events.QuestionDeclined, about

    @override
    def notified(self, record: Notified) -> _Facts:
        fields: dict[str, Any] = {
            "question_id": record.id,
            "role": record.role,
            "channel": record.channel,
            "status": record.status,
            "rung": record.rung,
            "reason": record.reason,
            "until": iso(record.until) if record.until else "",
        }
        yield events.QuestionNotified, {**self._about_question(record.id), **fields}

    @override
    def undelivered(self, record: Undelivered) -> _Facts:
        fields = {"question_id": record.id, "role": record.role, "rung": record.rung}
        yield events.QuestionUndelivered, {**self._about_question(record.id), **fields}

    @override
    def withdrawn(self, record: entry.Withdrawn, question: str | None) -> _Facts:
        if question is not None:
            about = self._about(record.frame, record.key)
            yield events.QuestionWithdrawn, {**about, "question_id": question}

    @override
    def slept(self, record: entry.Slept) -> _Facts:
        yield events.Slept, {**self._about(record.frame, record.key), "until": iso(record.until)}

    @override
    def woken(self, record: entry.Woken) -> _Facts:
        yield events.Woke, self._about(record.frame, record.key)

    @override
    def awaited(self, record: entry.Awaited) -> _Facts:
        fields = {"subject": record.subject, "match": record.match}
        yield events.EventAwaited, {**self._about(record.frame, record.key), **fields}

    @override
    def arrived(self, record: entry.Arrived) -> _Facts:
        about = self._about(record.frame, record.key)
        yield events.EventArrived, {**about, "event": json_of(record.event)}

    @override
    def spawned(self, record: entry.Spawned) -> _Facts:
        fields = {"child": record.run, "workflow": record.workflow}
        yield events.ChildStarted, {**self._about(record.frame, record.key), **fields}

    @override
    def joined(self, record: entry.Joined) -> _Facts:
        about = self._about(record.frame, record.key)
        if record.error is not None:
            yield _error(about, record.error)
        else:
            yield events.ChildEnded, {**about, "result": json_of(record.result)}

    @override
    def blocked(self, record: entry.Blocked) -> _Facts:
        fields = {"kind": record.kind, "reason": record.reason, "needs": record.needs}
        yield events.RunBlocked, {**self._about(record.frame, record.key), **fields}

    @override
    def unblocked(self, record: entry.Unblocked) -> _Facts:
        yield events.RunUnblocked, {**self._about(ROOT), "by": record.by, "why": record.why}

    @override
    def reopened(self, record: entry.Reopened) -> _Facts:
        yield events.RunReopened, {**self._about(ROOT), "by": record.by, "why": record.why}

    @override
    def retried(self, record: entry.Retried) -> _Facts:
        steps = tuple(key for key in record.steps if not is_asked(key))
        fields = {"question_id": record.question, "steps": steps}
        yield events.StepRetried, {**self._about(record.frame), **fields}

    @override
    def cancelled(self, record: entry.Cancelled) -> _Facts:
        error = record.reason or "cancelled"
        yield events.RunEnded, {**self._about(ROOT), "status": "cancelled", "error": error}

    @override
    def ended(self, record: entry.Ended) -> _Facts:
        fields = {"status": record.status, "result": json_of(record.result)}
        yield events.RunEnded, {**self._about(ROOT), **fields, "error": record.error or None}


def _error(about: dict[str, Any], failure: Failure, again_at: str | None = None) -> _Fact:
    fields = {
        "error": failure.type,
        "message": failure.message,
        "attempts": failure.attempts,
        "place": str(failure.place or ""),
    }
    return events.ErrorRaised, {**about, **fields, "again_at": again_at}
