"""Enters a workflow's body over a recorded log, as a worker would, and without any effect.

Every message of the log is a point at which a worker may have died, or parked the run: at each of
them the body must still reach what was recorded until then, and nothing else before it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import msgspec

from ..actors.kinds import human_address
from ..actors.workflows.children import prepared
from ..actors.workflows.workflow import Workflow
from ..app import App
from ..bus.errors import LaybyError
from ..bus.log_subject import NOBODY
from ..runtime.actor_step import ActorStep
from ..runtime.blockers import Blocker
from ..runtime.entry import (
    Answered,
    Awaited,
    Cancelled,
    Ended,
    Origin,
    Raw,
    Record,
    Reopened,
    Started,
    Voted,
)
from ..runtime.envelope import Envelope, decode
from ..runtime.errors import Parked, Undeclared, WorkflowChanged
from ..runtime.journal import fold
from ..runtime.memory import NoTimers
from ..runtime.ports import Ports
from ..runtime.recorder import Armed
from ..runtime.repairs import expected
from ..runtime.replay_progress import ReplayProgress
from ..runtime.state import COMPLETED, Question, RunState
from ..runtime.strand import entering, strand
from ..runtime.vouching import Refusal, refused
from .history import History


async def replay(app: App, history: History | str | Path) -> None:
    """Check a workflow of `app` against a recorded run.

    No step, tool, model or person is asked again: the body gets what was recorded.

    Raises:
        WorkflowChanged: the body no longer matches; the message names the step.
        LaybyError: the app has no such workflow.
    """
    if not isinstance(history, History):
        history = History.load(history)
    workflow = app.workflows.get(history.workflow)
    if workflow is None:
        raise LaybyError(f"app {app.name!r} no longer has a workflow {history.workflow!r}")
    ports = _ports(app, history)
    envelopes = [decode(msgspec.json.encode(message.entry)) for message in history.messages]
    for last in range(1, len(envelopes) + 1):
        state, end = _fold(history.run, envelopes[:last], app)
        upcoming = envelopes[last].records if last < len(envelopes) else []
        if end is None and len(upcoming) == 1:
            end = _end_in(upcoming)
        await _Pass(workflow, state, ports).check(end)


def _fold(run: str, envelopes: list[Envelope], app: App) -> tuple[RunState, Record | None]:
    """The state before the run ended, and how it did."""

    def refuses(state: RunState, question: Question, answer: Answered | Voted) -> Refusal | None:
        return refused(state.ticket, state.id, question, answer, app.signers)

    state = RunState(id=run)
    end: Record | None = None
    reopened = [n for n, each in enumerate(envelopes, 1) if _reopens(each)]
    for n, envelope in enumerate(envelopes, 1):
        end = None if reopened and n < reopened[-1] else _end_in(envelope.records)
        records = [each for each in envelope.records if each is not end]
        fold(state, n, msgspec.structs.replace(envelope, records=records), refuses)
    return state, end


def _reopens(envelope: Envelope) -> bool:
    return any(isinstance(record, Reopened) for record in envelope.records)


def _end_in(records: list[Record]) -> Record | None:
    return next((r for r in records if isinstance(r, Ended | Cancelled)), None)


class _Pass:
    """One entering of the body."""

    def __init__(self, workflow: Workflow, state: RunState, ports: Ports) -> None:
        self._workflow = workflow
        self._state = state
        self._recorder = ReplayRecorder(state)
        self._step = ActorStep(self._recorder, ports)

    async def check(self, end: Record | None) -> None:
        """Raise WorkflowChanged unless the body ends, or waits, as the recorded run did next."""
        root = self._state.root
        self._recorder.expect(expected(root))
        began = max(root.opened, root.reopened)
        with entering(began, began):
            try:
                await self._workflow.enter(self._step, root, self._state)
                await self._recorder.check_replayed()
            except Parked:
                await self._recorder.check_replayed()
                self._check_waits(end)
            except WorkflowChanged:
                raise
            except Undeclared as error:
                raise WorkflowChanged(str(error)) from None
            except Exception as error:  # noqa: BLE001  the body may raise anything
                self._check_fails(end, error)
            else:
                self._check_ended(end)

    def _check_waits(self, end: Record | None) -> None:
        new = self._recorder.new
        if isinstance(end, Ended) and end.status == COMPLETED and new:
            raise WorkflowChanged(
                f"the body goes on to step {new[0]!r}, where the recorded run was complete"
            )

    def _check_fails(self, end: Record | None, error: Exception) -> None:
        if not isinstance(end, Ended) or end.status == COMPLETED:
            raise WorkflowChanged(
                f"the body raises {type(error).__name__} ({error}) after {self._last}, "
                "where the recorded run went on"
            ) from error

    def _check_ended(self, end: Record | None) -> None:
        if end is None and self._state.waits:
            raise WorkflowChanged(
                f"the body returns after {self._last}, where the recorded run waited"
            )

    @property
    def _last(self) -> str:
        return f"step {self._recorder.last!r}" if self._recorder.last else "its start"


class ReplayRecorder(ReplayProgress):
    """The record of a run, to which nothing is added: the body is left where the record ends."""

    begins = False
    redelivered = False

    def __init__(self, state: RunState) -> None:
        super().__init__(state, state.root)
        self.new: list[str] = []
        """Keys that the body came to and that are not recorded."""
        self.last = ""
        """The key that it came to last."""

    def owns(self, owner: int) -> bool:
        """The log is replayed as a whole, whichever worker handled its mail."""
        del owner
        return True

    def enters_for_branch(self, key: str) -> bool:
        """Nothing is left to another handler."""
        del key
        return True

    def reached(self, key: str) -> None:
        """Note that the body has come to `key`, new or not."""
        super().reached(key)
        if key.endswith("!"):  # of a question that was refused: there may be one
            return
        self.last = key
        if self.state.slot(self.frame.id, key) is None:
            self.new.append(key)

    def needs_server(self, what: str) -> None:
        """What it gave is recorded, or the body is left."""

    def propagates(self, error: Exception) -> bool:
        """No effect runs, so none fails."""
        del error
        return False

    def block(self, blocker: Blocker) -> None:
        """No effect runs, so none fails."""

    async def check_may_proceed(self) -> NoReturn:
        """Leave the body, if it has reached all that is recorded.

        Raises:
            Parked: it has.
            WorkflowChanged: it has not.
        """
        if not strand.get().frozen:
            await self.check_replayed()
        raise Parked

    async def before_effect(self, key: str) -> NoReturn:
        """Leave the body before the effect."""
        del key
        await self.check_may_proceed()

    async def before_retry(self, key: str) -> NoReturn:
        """Leave the body before the effect."""
        del key
        await self.check_may_proceed()

    def record(self, record: Record) -> NoReturn:
        """Leave the body."""
        del record
        raise Parked

    async def flush(self, *, to: str = NOBODY, mail: Record | None = None) -> None:
        """Leave the body where it would add something."""
        del to
        if mail is not None:
            raise Parked

    async def wait(
        self, record: Record, *, to: str = NOBODY, armed: Armed | None = None
    ) -> NoReturn:
        """Leave the body."""
        del record, to, armed
        raise Parked


def _ports(app: App, history: History) -> Ports:
    return Ports(
        timers=NoTimers(),
        blobs=_Values(history.values),
        events=_NoEvents(),
        children=_NoChildren(app),
        ask_timeout=app.ask_timeout,
        max_questions=app.max_questions,
        roles=app.roles,
        signers=app.signers,
        ladders=app.ladders,
        role_address=human_address,
        retry=app.retry,
    )


class _Values:
    """The big values of a history."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    async def deflate(self, raw: Raw, run: str) -> Raw:
        del run
        return raw

    async def inflate(self, raw: Raw) -> Raw:
        data = bytes(raw)
        if not data.startswith(b'{"$blob":'):
            return raw
        return Raw(msgspec.json.encode(self._values[msgspec.json.decode(data)["$blob"]]))


class _NoEvents:
    """Takes waits for events, which a replay never registers."""

    def check(self, subject: str) -> None:
        """Every subject will do."""

    async def register(self, run: str, record: Awaited, since: float) -> None:
        """Nobody waits."""


class _NoChildren:
    """Knows the app's workflows, and starts none."""

    def __init__(self, app: App) -> None:
        self._workflows = app.workflows

    def prepare(self, workflow: str, data: Any, origin: Origin) -> tuple[str, Started, str]:
        return prepared(self._workflows, workflow, data, origin)

    async def again(self, run: str, parent: str, n: int) -> None:
        """Nothing is started."""

    async def ensure(self, run: str, started: Started, actor: str) -> None:
        """Nothing is started."""

    async def end(self, run: str, parent: str, at: int) -> None:
        """Nothing is ended."""
