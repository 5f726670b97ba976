"""Counts a worker's work: the observer behind its metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, get_args

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram

from ..actors.people.answer import Outcome
from ..runtime import clock
from ..runtime.card_records import CardStatus, Notified, Undelivered
from ..runtime.entry import (
    Answered,
    Asked,
    Cancelled,
    Ended,
    Expired,
    Proposed,
    Record,
    Started,
    Stepped,
    Voted,
    Withdrawn,
)
from ..runtime.observing import Undone
from ..runtime.price import undated
from ..runtime.spent import Spent
from ..runtime.state import FAILED, OPEN, STATUSES, Question, RunState
from . import families
from .families import OTHER, Family, bounded

log = structlog.get_logger("layby.worker")

P = ParamSpec("P")
_TIMERS: Final = frozenset({"wake", "question", "rung", "run"})
_OUTCOMES: Final[tuple[str, ...]] = get_args(Outcome)
_CARDS: Final[tuple[str, ...]] = get_args(CardStatus)
_CLOSING: Final = (Answered, Voted, Expired, Withdrawn, Cancelled, Ended)


class Declared:
    """The names that an app declares: nothing else becomes a label.

    Args:
        workflows: Names of workflows.
        roles: Names of roles.
        actors: Names of agents and networks, by address.
        models: Names of models.
        channels: Names of channels.
    """

    def __init__(
        self,
        *,
        workflows: Iterable[str],
        roles: Iterable[str],
        actors: dict[str, str],
        models: Iterable[str],
        channels: Iterable[str] = (),
    ) -> None:
        self.workflows: Final = frozenset(workflows)
        self.roles: Final = frozenset(roles)
        self._actors = actors
        self.channels: Final = frozenset(channels)
        self._models = frozenset(models)

    def agent(self, address: str) -> str:
        """The name of the agent or network at an address."""
        return self._actors.get(address, OTHER)

    def model(self, reported: str) -> str:
        """The declared name of a model; providers report it with a date behind it."""
        return reported if reported in self._models else bounded(undated(reported), self._models)


def _harmless(
    count: Callable[Concatenate[WorkMetrics, P], None],
) -> Callable[Concatenate[WorkMetrics, P], None]:
    """Count, and let no fault in counting stop work."""

    @wraps(count)
    def counted(self: WorkMetrics, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            count(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001  work goes on without this number
            self.give_up(error)

    return counted


class WorkMetrics:
    """An `Observer` that counts in a registry."""

    def __init__(self, registry: CollectorRegistry, declared: Declared) -> None:
        self._declared = declared
        self._is_wrong = False
        self._started = counter(registry, families.RUNS_STARTED)
        self._run_seconds = histogram(registry, families.RUN_SECONDS)
        self._attempts = counter(registry, families.STEP_ATTEMPTS)
        self._succeeded, self._retried, self._failed = (
            self._attempts.labels(each) for each in ("succeeded", "retried", "failed")
        )
        self._asked = counter(registry, families.QUESTIONS_ASKED)
        self._question_seconds = histogram(registry, families.QUESTION_SECONDS)
        self._cards = counter(registry, families.CARDS)
        self._undelivered = counter(registry, families.UNDELIVERED)
        self._to_resume = histogram(registry, families.ANSWER_TO_RESUME)
        self._receipts = counter(registry, families.RECEIPTS)
        self._undone = counter(registry, families.UNDONE)
        self._dead = counter(registry, families.DEAD)
        self._late = histogram(registry, families.TIMER_LATE)
        self._responses = counter(registry, families.MODEL_RESPONSES)
        self._tokens = counter(registry, families.MODEL_TOKENS)
        self._cost = counter(registry, families.MODEL_COST)
        self._counts: Final[Mapping[type[Record], Callable[[RunState, Any], None]]] = {
            Started: self._began,
            Stepped: self._stepped,
            Asked: self._was_asked,
            Proposed: self._was_asked,
            Notified: self._notified,
            Undelivered: self._reached_nobody,
            Ended: self._ended,
            Cancelled: self._ended,
        }
        self._begin(declared)

    def _begin(self, declared: Declared) -> None:
        """Show what is not counted yet: an increase is seen only after a 0."""
        for workflow in declared.workflows:
            self._started.labels(workflow)
            self._run_seconds.labels(workflow, FAILED)
        for outcome in _OUTCOMES:
            self._receipts.labels(outcome)
        for role in declared.roles:
            self._asked.labels(role)
            self._undelivered.labels(role)
            self._question_seconds.labels(role, "expired")
        for channel in declared.channels:
            for status in _CARDS:
                self._cards.labels(channel, status)

    def give_up(self, error: Exception) -> None:
        """Note a fault in counting; the first one is logged."""
        if not self._is_wrong:
            self._is_wrong = True
            log.error("metrics.failed", error=repr(error), exc_info=error)

    def add_mailboxes(self, names: Iterable[str]) -> None:
        """Show these mailboxes from the start."""
        for name in names:
            self._dead.labels(name)

    @_harmless
    def appended(self, state: RunState, records: Sequence[Record]) -> None:
        """Count what was recorded."""
        for record in records:
            count = self._counts.get(type(record))
            if count is not None:
                count(state, record)
        if any(isinstance(each, _CLOSING) for each in records):
            for question in _closed(state, records):
                self._closed(question)

    def _stepped(self, state: RunState, record: Stepped) -> None:
        del state
        if record.error is None:
            self._succeeded.inc()

    def _began(self, state: RunState, record: Started) -> None:
        del state
        self._started.labels(self._workflow(record.workflow)).inc()

    def _was_asked(self, state: RunState, record: Asked) -> None:
        del state
        self._asked.labels(self._role(record.role)).inc()

    def _notified(self, state: RunState, record: Notified) -> None:
        del state
        channel = bounded(record.channel, self._declared.channels)
        self._cards.labels(channel, bounded(record.status, _CARDS)).inc()

    def _reached_nobody(self, state: RunState, record: Undelivered) -> None:
        del state
        self._undelivered.labels(self._role(record.role)).inc()

    def _ended(self, state: RunState, record: Record) -> None:
        del record
        status = bounded(state.status, STATUSES)
        took = max(0.0, state.updated_at - state.started_at)
        self._run_seconds.labels(self._workflow(state.workflow), status).observe(took)

    def _closed(self, question: Question) -> None:
        took = max(0.0, question.at - question.asked_at)
        self._question_seconds.labels(self._role(question.role), question.status).observe(took)

    @_harmless
    def resumed(self, state: RunState, record: Record) -> None:
        """Count how long an answer took to have an effect."""
        del state
        if isinstance(record, Answered | Voted) and record.at:
            self._to_resume.observe(max(0.0, clock.now() - record.at))

    @_harmless
    def failed(self, *, final: bool) -> None:
        """Count a try that failed."""
        (self._failed if final else self._retried).inc()

    @_harmless
    def receipt(self, outcome: str) -> None:
        """Count a receipt."""
        self._receipts.labels(bounded(outcome, _OUTCOMES)).inc()

    @_harmless
    def due(self, kind: str, late: float) -> None:
        """Count a timer."""
        self._late.labels(bounded(kind, _TIMERS)).observe(max(0.0, late))

    @_harmless
    def undone(self, mailbox: str, what: Undone) -> None:
        """Count a message that was not handled. A worker knows no mailboxes but its own."""
        if what == "dead":
            self._dead.labels(mailbox).inc()
        else:
            self._undone.labels(mailbox, what).inc()

    @_harmless
    def responded(self, actor: str, model: str, spent: Spent | None) -> None:
        """Count a response of a model, and what it took."""
        who = self._declared.agent(actor), self._declared.model(model)
        self._responses.labels(*who).inc()
        if spent is not None:
            self._tokens.labels(*who, "input").inc(spent.input_tokens)
            self._tokens.labels(*who, "output").inc(spent.output_tokens)
            self._cost.labels(*who).inc(spent.cost or 0.0)

    def _workflow(self, name: str) -> str:
        return bounded(name, self._declared.workflows)

    def _role(self, name: str) -> str:
        return bounded(name, self._declared.roles)


def _closed(state: RunState, records: Sequence[Record]) -> Iterable[Question]:
    """The questions that these records, the newest of the run, have closed; each once."""
    found: dict[str, Question] = {}
    for record in records:
        if isinstance(record, Ended | Cancelled):
            # The end of a run cancels its open questions, and dates that as it dates itself.
            ended = [q for q in state.questions.values() if q.at == state.updated_at]
            found |= {each.id: each for each in ended if each.status == "cancelled"}
            continue
        question = _named(state, record)
        if question is not None and question.status != OPEN:
            found[question.id] = question
    return found.values()


def _named(state: RunState, record: Record) -> Question | None:
    """The question that a record names."""
    if isinstance(record, Answered | Voted | Expired):
        return state.questions.get(record.id)
    if isinstance(record, Withdrawn):
        slot = state.slot(record.frame, record.key)
        return state.questions.get(slot.ref) if slot is not None and slot.kind == "ask" else None
    return None


def counter(registry: CollectorRegistry, family: Family) -> Counter:
    """A counter of the table."""
    return Counter(family.name, family.help, family.labels, registry=registry)


def histogram(registry: CollectorRegistry, family: Family) -> Histogram:
    """A histogram of the table."""
    return Histogram(
        family.name, family.help, family.labels, registry=registry, buckets=family.buckets
    )
