"""Writes down a run's log as events. Two scribes that read the same log write the same events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from . import events
from .actors.keys import MODEL, ROUTE, TOOL, Key, is_asked
from .actors.kinds import AGENT, NETWORK, kind_of
from .actors.model import ToolCall, Usage
from .actors.turn import (
    DECISIONS,
    Advice,
    CallOutcome,
    Decision,
    NetworkResult,
    TurnResult,
)
from .bus.blobs import Blobs
from .bus.log import LogMessage
from .heard import Heard
from .runtime import entry
from .runtime.entry import ROOT, Failure, Record
from .runtime.speech import step_name
from .runtime.times import iso
from .runtime.values import load
from .runtime.vouching import Signers


class Scribe:
    """Tells one run; remembers what its earlier records said."""

    def __init__(self, run: str, blobs: Blobs, signers: Signers | None = None) -> None:
        self._run = run
        self._heard = Heard(run, signers)
        self._blobs = blobs
        self._names: dict[str, str] = {}
        """Who acts in a frame."""
        self._actors: dict[str, str] = {}
        self._origins: dict[str, str] = {}
        """The step that a frame settles."""
        self._asked: dict[tuple[str, str], str] = {}
        self._calls: dict[tuple[str, Key], list[ToolCall]] = {}
        self._deciders: dict[tuple[str, int | None], str] = {}
        """Which routing agent came to a decision, by its frame and the decision's number."""
        self._spent = Usage()
        self.answered: set[str] = set()
        """Steps whose text is complete: what is still said of them is old."""

    async def tell(self, message: LogMessage) -> list[events.AnyEvent]:
        """The events of the next message of the log, in order."""
        envelope = entry.read(message.data)
        told: list[events.AnyEvent] = []
        if envelope is None:
            return told
        for record in envelope.records:
            whole = await self._inflated(record)
            for kind, fields in self._known(whole):
                about: dict[str, Any] = {
                    "id": f"{message.n}.{len(told)}",
                    "run": self._run,
                    "at": iso(envelope.at),
                    **fields,
                }
                told.append(kind(**about))
        return told

    async def _inflated(self, record: Record) -> Record:
        """The record with its value as it was before it was put away for its size."""
        raw = getattr(record, "result", None)
        if raw is None:
            return record
        found = await self._blobs.inflate(raw)
        return record if found is raw else msgspec.structs.replace(record, result=found)

    def _known(self, record: Record) -> list[_Fact]:
        """The facts of a record; none of one that has the form of an entry and no sense."""
        try:
            return list(self._facts(record))
        except Exception:  # noqa: BLE001  whoever wrote it must not stop the others
            return []

    def _facts(self, record: Record) -> Iterator[tuple[type[Any], dict[str, Any]]]:
        teller = _TELLERS.get(type(record))
        if teller is not None:
            yield from teller(self, record)

    def _about(self, frame: str, key: str = "") -> dict[str, Any]:
        return {
            "agent": self._names.get(frame, ""),
            "step": step_name(frame, key) if key else "",
        }

    def started(self, record: entry.Started) -> _Facts:
        """The run began."""
        self._names[ROOT] = record.workflow
        self._heard.ticket = record.ticket
        fields = {"workflow": record.workflow, "ticket": record.ticket}
        yield events.RunStarted, {**self._about(ROOT), **fields, "event": _json(record.event)}

    def called(self, record: entry.Called) -> _Facts:
        """Another actor's work begins."""
        self._names[record.child] = record.note or record.actor
        self._actors[record.child] = record.actor
        self._origins[record.child] = step_name(record.frame, record.key)
        about = {**self._about(record.child), "step": self._origins[record.child]}
        if kind_of(record.actor) == AGENT:
            yield events.AgentStarted, about
        else:
            yield events.NetworkStarted, {**about, "network": self._names[record.child]}

    def returned(self, record: entry.Returned) -> _Facts:
        """Another actor's work is over."""
        about = {**self._about(record.frame), "step": self._origins.get(record.frame, "")}
        kind = kind_of(self._actors.get(record.frame, ""))
        if record.error is not None:
            yield _error(about, record.error)
        elif kind == AGENT:
            turn: TurnResult = load(record.result, TurnResult)
            yield events.AgentEnded, {**about, "text": turn.text, "stop": turn.stop}
        elif kind == NETWORK:
            done: NetworkResult = load(record.result, NetworkResult)
            fields = {"network": done.network, "text": done.text, "status": done.status}
            yield events.NetworkEnded, {**about, **fields}

    def stepped(self, record: entry.Stepped) -> _Facts:
        """A step, a routing decision, a model's answer, or a tool call."""
        about = self._about(record.frame, record.key)
        seconds = round(record.ms / 1e3, 4)
        key = self._key(record)
        if key is not None and key.kind == MODEL:
            self.answered.add(about["step"])
        if record.error is not None:
            yield _error(about, record.error)
        elif key is not None and key.kind == MODEL:
            yield from self._answer(record, about, key, seconds)
        elif key is not None and key.kind == TOOL:
            yield self._outcome(record, about, key, seconds)
        elif key is not None:
            yield from self._route(record, about, key)
        else:
            fields = {"result": _json(record.result), "note": record.note, "seconds": seconds}
            yield events.StepDone, {**about, **fields}

    def _key(self, record: entry.Stepped) -> Key | None:
        """Which decision, response or call it is; None for what has no event of its own."""
        found = Key.parse(record.key)
        if found is None or found[1]:
            return None
        key, actor = found[0], kind_of(self._actors.get(record.frame, ""))
        if actor == NETWORK and key.decision is None:
            return key if key.kind == ROUTE else None
        known = actor == NETWORK or (actor == AGENT and key.decision is None)
        return key if known and key.kind in _WITHIN else None

    def _answer(
        self,
        record: entry.Stepped,
        about: dict[str, Any],
        key: Key,
        seconds: float,
    ) -> _Facts:
        response: Advice = load(record.result, Advice)
        if key.decision is not None:
            about["agent"] = self._deciders[record.frame, key.decision] = response.by or record.note
        self._calls[record.frame, key] = response.message.tool_calls
        fields = {"text": response.message.text, "stop_reason": response.stop_reason}
        yield (
            events.ModelResponded,
            {**about, **fields, "model": response.model, "seconds": seconds},
        )
        for place, call in enumerate(response.message.tool_calls):
            if key.decision is not None and call.name in DECISIONS:
                continue  # the `route` event tells it
            step = step_name(record.frame, str(key._replace(kind=TOOL, place=place)))
            named = {"call": call.id, "tool": call.name, "arguments": call.arguments}
            yield events.ToolCalled, {**about, "step": step, **named}
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

    def _outcome(
        self,
        record: entry.Stepped,
        about: dict[str, Any],
        key: Key,
        seconds: float,
    ) -> _Fact:
        outcome: CallOutcome = load(record.result, CallOutcome)
        calls = self._calls.get((record.frame, key._replace(kind=MODEL, place=None)), [])
        if key.decision is not None:
            about["agent"] = self._deciders.get((record.frame, key.decision), about["agent"])
        call = calls[key.place] if key.place is not None and key.place < len(calls) else None
        fields = {
            "call": call.id if call else "",
            "tool": call.name if call else record.note.partition(":")[0],
            "output": outcome.content,
            "is_error": outcome.is_error,
            "seconds": seconds,
        }
        return events.ToolDone, {**about, **fields}

    def _route(self, record: entry.Stepped, about: dict[str, Any], key: Key) -> _Facts:
        decision: Decision = load(record.result, Decision)
        fields = {"agents": decision.agents, "by": decision.by, "summary": decision.summary}
        yield events.Routed, {**about, **fields}
        if decision.usage != Usage() and (record.frame, key.number) not in self._deciders:
            yield self._usage(about, decision.usage, "")  # of a log that has only the sum

    def failed(self, record: entry.Failed) -> _Facts:
        """A try that is repeated."""
        about = self._about(record.frame, record.key)
        yield _error(about, record.error, again_at=iso(record.retry_at))

    def asked(self, record: entry.Asked) -> _Facts:
        """A question to a person."""
        self._asked[record.frame, record.key] = record.id
        self._heard.ask(record)
        fields = {
            "question_id": record.id,
            "role": record.role,
            "question": record.question,
            "context": record.context,
            "deadline": iso(record.deadline),
            "form": record.form,
        }
        yield events.QuestionAsked, {**self._of_question(record.id), **fields}

    def _of_question(self, question: str) -> dict[str, Any]:
        asked = self._heard.question(question)
        return self._about(asked.frame, asked.key) if asked else {}

    def answered_by(self, record: entry.Answered) -> _Facts:
        """A person's answer."""
        if self._heard.why_not(record):
            return
        fields = {
            "question_id": record.id,
            "text": record.text,
            "by": record.by,
            "vouched": self._heard.vouched(record),
        }
        yield events.QuestionAnswered, {**self._of_question(record.id), **fields}

    def expired(self, record: entry.Expired) -> _Facts:
        """Nobody answered."""
        self._heard.close(record)
        about = self._of_question(record.id)
        yield events.QuestionExpired, {**about, "question_id": record.id}

    def withdrawn(self, record: entry.Withdrawn) -> _Facts:
        """A wait was given up; worth telling where somebody was asked."""
        question = self._asked.get((record.frame, record.key))
        if question is not None:
            about = self._about(record.frame, record.key)
            yield events.QuestionWithdrawn, {**about, "question_id": question}

    def slept(self, record: entry.Slept) -> _Facts:
        """A sleep begins."""
        yield events.Slept, {**self._about(record.frame, record.key), "until": iso(record.until)}

    def woken(self, record: entry.Woken) -> _Facts:
        """A sleep or back-off is over."""
        yield events.Woke, self._about(record.frame, record.key)

    def awaited(self, record: entry.Awaited) -> _Facts:
        """A wait for an event begins."""
        fields = {"subject": record.subject, "match": record.match}
        yield events.EventAwaited, {**self._about(record.frame, record.key), **fields}

    def arrived(self, record: entry.Arrived) -> _Facts:
        """The event has come."""
        about = self._about(record.frame, record.key)
        yield events.EventArrived, {**about, "event": _json(record.event)}

    def spawned(self, record: entry.Spawned) -> _Facts:
        """Another workflow was started."""
        fields = {"child": record.run, "workflow": record.workflow}
        yield events.ChildStarted, {**self._about(record.frame, record.key), **fields}

    def joined(self, record: entry.Joined) -> _Facts:
        """The other workflow is over."""
        about = self._about(record.frame, record.key)
        if record.error is not None:
            yield _error(about, record.error)
        else:
            yield events.ChildEnded, {**about, "result": _json(record.result)}

    def blocked(self, record: entry.Blocked) -> _Facts:
        """The run cannot go on."""
        fields = {"kind": record.kind, "reason": record.reason, "needs": record.needs}
        yield events.RunBlocked, {**self._about(record.frame, record.key), **fields}

    def unblocked(self, record: entry.Unblocked) -> _Facts:
        """It is tried again."""
        yield events.RunUnblocked, {**self._about(ROOT), "by": record.by, "why": record.why}

    def reopened(self, record: entry.Reopened) -> _Facts:
        """A run that was over goes on."""
        yield events.RunReopened, {**self._about(ROOT), "by": record.by, "why": record.why}

    def retried(self, record: entry.Retried) -> _Facts:
        """What failed is done again."""
        fields = {
            "question_id": record.question,
            "steps": tuple(key for key in record.steps if not is_asked(key)),
        }
        yield events.StepRetried, {**self._about(record.frame), **fields}

    def cancelled(self, record: entry.Cancelled) -> _Facts:
        """Somebody cancelled the run."""
        error = record.reason or "cancelled"
        yield events.RunEnded, {**self._about(ROOT), "status": "cancelled", "error": error}

    def ended(self, record: entry.Ended) -> _Facts:
        """The run is over."""
        fields = {"status": record.status, "result": _json(record.result)}
        yield events.RunEnded, {**self._about(ROOT), **fields, "error": record.error or None}


_Fact = tuple[type[Any], dict[str, Any]]
_Facts = Iterator[_Fact]
_WITHIN = {MODEL, TOOL}

_TELLERS: dict[type[Record], Callable[[Scribe, Any], _Facts]] = {
    entry.Started: Scribe.started,
    entry.Called: Scribe.called,
    entry.Returned: Scribe.returned,
    entry.Stepped: Scribe.stepped,
    entry.Failed: Scribe.failed,
    entry.Asked: Scribe.asked,
    entry.Answered: Scribe.answered_by,
    entry.Expired: Scribe.expired,
    entry.Withdrawn: Scribe.withdrawn,
    entry.Slept: Scribe.slept,
    entry.Woken: Scribe.woken,
    entry.Awaited: Scribe.awaited,
    entry.Arrived: Scribe.arrived,
    entry.Spawned: Scribe.spawned,
    entry.Joined: Scribe.joined,
    entry.Blocked: Scribe.blocked,
    entry.Unblocked: Scribe.unblocked,
    entry.Reopened: Scribe.reopened,
    entry.Retried: Scribe.retried,
    entry.Cancelled: Scribe.cancelled,
    entry.Ended: Scribe.ended,
}


def _error(about: dict[str, Any], failure: Failure, again_at: str | None = None) -> _Fact:
    fields = {
        "error": failure.type,
        "message": failure.message,
        "attempts": failure.attempts,
        "place": str(failure.place or ""),
    }
    return events.ErrorRaised, {**about, **fields, "again_at": again_at}


def _json(raw: msgspec.Raw) -> Any:
    return msgspec.json.decode(raw)
