"""One reading of a run's log, shared by its events and its timeline."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from ..actors.keys import MODEL, ROUTE, TOOL, Key
from ..actors.kinds import AGENT, NETWORK, kind_of
from ..actors.models.model import ToolCall
from ..actors.threads.turn import Advice
from ..runtime import entry
from ..runtime.act_records import ClaimedQuestion, Declined, Passed
from ..runtime.ask_back_records import AskedBack, Replied
from ..runtime.card_records import Notified, Undelivered
from ..runtime.entry import ROOT, Failure, Record
from ..runtime.ladder_records import Laddered, PlannedRung, Reached
from ..runtime.opened_records import Heard, OpenedQuestion
from ..runtime.state import Question
from ..runtime.streaming import step_name
from ..runtime.values import BadValue, load
from ..runtime.vouching import Signers
from .counted_answers import CountedAnswers
from .step_titles import title_of

T = TypeVar("T")

_PARTS = {MODEL, TOOL}


class Projection(ABC, Generic[T]):
    """Reads the records of one run in order; a subclass says what each of them becomes.

    What records mean together is worked out here and nowhere else: who acts in a frame, which
    call a key stands for, which answers count.
    """

    def __init__(self, run: str, signers: Signers | None = None) -> None:
        self.run = run
        self.ticket = ""
        self.workflow = ""
        self.answers = CountedAnswers(run, signers)
        self.complete: set[str] = set()
        """Steps whose model has responded: text that still arrives for them is old."""
        self._names: dict[str, str] = {}
        self._addresses: dict[str, str] = {}
        self._calls: dict[tuple[str, Key], ToolCall] = {}
        self._questions: dict[tuple[str, str], str] = {}
        """The newest question of each step."""
        self._ladders: dict[str, list[PlannedRung]] = {}
        self._routers: dict[tuple[str, int | None], str] = {}
        """The routing agents, by the frame and number of their decisions."""

    def read(self, record: Record) -> list[T]:
        """What the next record becomes; nothing if its content makes no sense."""
        visit = self._visits.get(type(record))
        if visit is None:
            return []
        try:
            return list(visit(self, record))
        except Exception:  # noqa: BLE001  a malformed record must not hide the others
            return []

    # -- what the records before say -----------------------------------------------------------

    def name(self, frame: str) -> str:
        """Who acts in a frame; empty if the log does not say."""
        return self._names.get(frame, "")

    def kind(self, frame: str) -> str:
        """What acts in a frame: `agent` or `network`, empty for the workflow itself."""
        return kind_of(self._addresses.get(frame, ""))

    def router(self, frame: str, decision: int | None) -> str | None:
        """The routing agent that made a decision of a frame; None: no agent's model did."""
        return self._routers.get((frame, decision))

    def title(self, frame: str, key: str) -> str:
        """A key as people know it: `order/pay` for what the log calls `tool#0.1/pay`."""
        call, inner = Key.parse(key) or (None, "")
        if call is None or frame == ROOT:
            return key
        tool = self._calls.get((frame, call.of(TOOL)))
        return title_of(call, inner, tool.name if tool is not None else None) or key

    # -- the records that others depend on -----------------------------------------------------

    def _read_started(self, record: entry.Started) -> Iterable[T]:
        self.ticket = self.answers.ticket = record.ticket
        self.workflow = self._names[ROOT] = record.workflow
        return self.started(record)

    def _read_called(self, record: entry.Called) -> Iterable[T]:
        self._names[record.child] = record.note or record.actor
        self._addresses[record.child] = record.actor
        return self.called(record)

    def _read_stepped(self, record: entry.Stepped) -> Iterable[T]:
        key = self._part(record)
        if key is not None and key.kind == MODEL:
            self.complete.add(step_name(record.frame, record.key))
        if record.error is not None:
            return self.step_failed(record, record.error)
        if key is None:
            return self.step_done(record)
        if key.kind == ROUTE:
            return self.routed(record, key)
        if key.kind == TOOL:
            return self.tool_done(record, key, self._calls.get((record.frame, key)))
        return self.model_responded(record, key, self._response(record, key))

    def _part(self, record: entry.Stepped) -> Key | None:
        """The key of a routing decision, response or tool call; None for any other step."""
        found = Key.parse(record.key)
        if found is None or found[1]:
            return None
        key, kind = found[0], self.kind(record.frame)
        if kind == NETWORK and key.decision is None:
            return key if key.kind == ROUTE else None
        known = kind == NETWORK or (kind == AGENT and key.decision is None)
        return key if known and key.kind in _PARTS else None

    def _response(self, record: entry.Stepped, key: Key) -> Advice | None:
        """What a model responded; None if it is in a blob that was not fetched, or malformed."""
        try:
            response: Advice = load(record.result, Advice)
        except BadValue:
            return None
        for place, call in enumerate(response.message.tool_calls):
            self._calls[record.frame, key._replace(kind=TOOL, place=place)] = call
        if key.decision is not None:
            self._routers[record.frame, key.decision] = response.by or self.name(record.frame)
        return response

    def _read_asked(self, record: entry.Asked) -> Iterable[T]:
        self.answers.add(record)
        self._questions[record.frame, record.key] = record.id
        return self.asked(record)

    def _read_laddered(self, record: Laddered) -> Iterable[T]:
        self._ladders[record.id] = record.rungs
        return ()

    def _read_reached(self, record: Reached) -> Iterable[T]:
        rungs = self._ladders[record.id]
        rung = rungs[record.rung]
        number = sum(each.kind == rung.kind for each in rungs[: record.rung + 1])
        return self.reached(record, rung, number)

    def _read_answered(self, record: entry.Answered) -> Iterable[T]:
        why = self.answers.refusal(record)
        return self.answer_refused(record, why) if why else self.answered(record)

    def _read_voted(self, record: entry.Voted) -> Iterable[T]:
        why = self.answers.vote_refusal(record)
        poll = self.answers.poll(record.id)
        if why or poll is None:
            return self.answer_refused(record, why)
        return self.voted(record, poll)

    def _read_withdrawn(self, record: entry.Withdrawn) -> Iterable[T]:
        return self.withdrawn(record, self._questions.get((record.frame, record.key)))

    def _read_expired(self, record: entry.Expired) -> Iterable[T]:
        self.answers.close(record)
        return self.expired(record)

    # -- what each of them becomes -------------------------------------------------------------

    @abstractmethod
    def started(self, record: entry.Started) -> Iterable[T]:
        """The run began."""

    @abstractmethod
    def called(self, record: entry.Called) -> Iterable[T]:
        """The work of an agent or network began."""

    @abstractmethod
    def returned(self, record: entry.Returned) -> Iterable[T]:
        """The work of an agent or network is over."""

    @abstractmethod
    def step_done(self, record: entry.Stepped) -> Iterable[T]:
        """A step succeeded."""

    @abstractmethod
    def step_failed(self, record: entry.Stepped, error: Failure) -> Iterable[T]:
        """A step failed for good, whatever it did."""

    @abstractmethod
    def routed(self, record: entry.Stepped, key: Key) -> Iterable[T]:
        """A router decided who is next."""

    @abstractmethod
    def model_responded(
        self, record: entry.Stepped, key: Key, response: Advice | None
    ) -> Iterable[T]:
        """A model responded; None: its response is not at hand."""

    @abstractmethod
    def tool_done(self, record: entry.Stepped, key: Key, call: ToolCall | None) -> Iterable[T]:
        """A tool call is over; None: what the model asked for is not at hand."""

    @abstractmethod
    def failed(self, record: entry.Failed) -> Iterable[T]:
        """An attempt failed and is repeated."""

    @abstractmethod
    def asked(self, record: entry.Asked) -> Iterable[T]:
        """A person was asked."""

    @abstractmethod
    def answered(self, record: entry.Answered) -> Iterable[T]:
        """A person answered, and the answer counts."""

    @abstractmethod
    def voted(self, record: entry.Voted, poll: Question) -> Iterable[T]:
        """One of several people voted, which may have closed the question `poll`."""

    @abstractmethod
    def answer_refused(self, record: entry.Answered | entry.Voted, reason: str) -> Iterable[T]:
        """An answer does not count."""

    @abstractmethod
    def expired(self, record: entry.Expired) -> Iterable[T]:
        """Nobody answered in time."""

    @abstractmethod
    def withdrawn(self, record: entry.Withdrawn, question: str | None) -> Iterable[T]:
        """The run no longer waits; for an answer to `question`, if it was one."""

    @abstractmethod
    def slept(self, record: entry.Slept) -> Iterable[T]:
        """A sleep began."""

    @abstractmethod
    def woken(self, record: entry.Woken) -> Iterable[T]:
        """A sleep or back-off is over."""

    @abstractmethod
    def reached(self, record: Reached, rung: PlannedRung, number: int) -> Iterable[T]:
        """A rung of a question's ladder was reached, number `number` of its kind."""

    @abstractmethod
    def said(self, record: Heard) -> Iterable[T]:
        """Somebody looked at an open question, said something to it, or got a reply."""

    @abstractmethod
    def notified(self, record: Notified) -> Iterable[T]:
        """It is known what became of a card on a channel."""

    @abstractmethod
    def undelivered(self, record: Undelivered) -> Iterable[T]:
        """All channels of a role have given up a card."""

    @abstractmethod
    def awaited(self, record: entry.Awaited) -> Iterable[T]:
        """The run waits for an event."""

    @abstractmethod
    def arrived(self, record: entry.Arrived) -> Iterable[T]:
        """The event arrived."""

    @abstractmethod
    def spawned(self, record: entry.Spawned) -> Iterable[T]:
        """A run of another workflow was started."""

    @abstractmethod
    def joined(self, record: entry.Joined) -> Iterable[T]:
        """That run is over."""

    @abstractmethod
    def blocked(self, record: entry.Blocked) -> Iterable[T]:
        """The run cannot go on."""

    @abstractmethod
    def unblocked(self, record: entry.Unblocked) -> Iterable[T]:
        """It is tried again."""

    @abstractmethod
    def reopened(self, record: entry.Reopened) -> Iterable[T]:
        """A run that was over goes on."""

    @abstractmethod
    def retried(self, record: entry.Retried) -> Iterable[T]:
        """What failed is done again."""

    @abstractmethod
    def cancelled(self, record: entry.Cancelled) -> Iterable[T]:
        """The run was cancelled."""

    @abstractmethod
    def ended(self, record: entry.Ended) -> Iterable[T]:
        """The run is over."""

    _visits: ClassVar[dict[type[Record], Callable[[Any, Any], Iterable[Any]]]] = {
        entry.Started: _read_started,
        entry.Called: _read_called,
        entry.Returned: lambda to, record: to.returned(record),
        entry.Stepped: _read_stepped,
        entry.Failed: lambda to, record: to.failed(record),
        entry.Asked: _read_asked,
        Laddered: _read_laddered,
        Reached: _read_reached,
        ClaimedQuestion: lambda to, record: to.said(record),
        Passed: lambda to, record: to.said(record),
        Declined: lambda to, record: to.said(record),
        AskedBack: lambda to, record: to.said(record),
        Replied: lambda to, record: to.said(record),
        OpenedQuestion: lambda to, record: to.said(record),
        Notified: lambda to, record: to.notified(record),
        Undelivered: lambda to, record: to.undelivered(record),
        entry.Proposed: _read_asked,
        entry.Addressed: _read_asked,
        entry.Voted: _read_voted,
        entry.Answered: _read_answered,
        entry.Expired: _read_expired,
        entry.Withdrawn: _read_withdrawn,
        entry.Slept: lambda to, record: to.slept(record),
        entry.Woken: lambda to, record: to.woken(record),
        entry.Awaited: lambda to, record: to.awaited(record),
        entry.Arrived: lambda to, record: to.arrived(record),
        entry.Spawned: lambda to, record: to.spawned(record),
        entry.Joined: lambda to, record: to.joined(record),
        entry.Blocked: lambda to, record: to.blocked(record),
        entry.Unblocked: lambda to, record: to.unblocked(record),
        entry.Reopened: lambda to, record: to.reopened(record),
        entry.Retried: lambda to, record: to.retried(record),
        entry.Cancelled: lambda to, record: to.cancelled(record),
        entry.Ended: lambda to, record: to.ended(record),
    }


def seconds_of(record: entry.Stepped) -> float:
    """How long a step took."""
    return round(record.ms / 1e3, 4)


def json_of(raw: msgspec.Raw) -> Any:
    """A recorded value as plain JSON."""
    return msgspec.json.decode(raw)
