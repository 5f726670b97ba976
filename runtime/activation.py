"""One handling of one mail: a body of code run over the log of its run.

The body is entered from its start and first replays its recorded steps; after them it runs live. It
is left (`Parked`) where it waits for something that the log does not hold yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, NoReturn

from ..bus.log_subject import NOBODY
from .blockers import Blocker
from .conflicts import conflicts
from .entry import Record, Started, Stepped
from .errors import Fenced, Interrupted, InvalidSetup, Parked, WorkflowChanged
from .failure import as_error
from .freshness import Freshness
from .pending import FlushTimer, PendingRecords
from .recorder import Armed
from .replay_progress import ReplayProgress
from .run import LiveRun
from .state import Frame
from .strand import Strand, strand
from .tracing import NO_SEGMENT, Segment


class Outcome(NamedTuple):
    """How a body was left."""

    parked: bool
    value: Any = None
    error: Exception | None = None


class Activation(ReplayProgress):
    """The handling of mail `cause` for one frame of a run."""

    def __init__(
        self,
        live: LiveRun,
        frame: Frame,
        cause: int,
        timer: FlushTimer,
        fresh: Freshness,
        *,
        redelivered: bool,
        opening: Started | None = None,
    ) -> None:
        super().__init__(live.state, frame, opening)
        self.live = live
        self.cause = cause
        self.redelivered = redelivered
        self._fresh = fresh
        self._has_appended = False
        self.segment: Segment = NO_SEGMENT
        """The span in which the body runs."""
        self.blocker: Blocker | None = None
        """Why the body was left, when people must fix something first."""
        self._pending = PendingRecords(self, timer)
        self._entered_for_branch: set[str] = set()
        """The steps that were entered to continue one of their branches."""
        self._task: asyncio.Task[Any] | None = None
        self._stopped: BaseException | None = None

    @property
    def begins(self) -> bool:
        """Whether this handles the mail that started the run, or reopened it."""
        return self.cause in {1, self.state.reopened}

    def owns(self, owner: int) -> bool:
        """Whether this handles the mail at position `owner`."""
        return owner == self.cause

    def enters_for_branch(self, key: str) -> bool:
        """True once: after that, the branches have done what they can do for this mail."""
        if key in self._entered_for_branch:
            return False
        self._entered_for_branch.add(key)
        return True

    def needs_server(self, what: str) -> None:
        """Nothing to check: there is one."""

    def propagates(self, error: Exception) -> bool:
        """Every error of a step is recorded."""
        del error
        return False

    def block(self, blocker: Blocker) -> None:
        """Leave the body, because people must fix something first. Raises Parked."""
        self.blocker = self.blocker or blocker
        raise Parked

    async def check_may_proceed(self) -> None:
        """Let the body do something new.

        Raises:
            WorkflowChanged: it has not reached everything that is recorded.
            Parked: the handler of another mail is the one to continue.
        """
        if strand.get().frozen:
            raise Parked
        await self.check_replayed()
        self.check_owner()

    async def before_effect(self, key: str) -> None:
        """Let step `key` take effect: append what led to it first.

        The opening of a run that cannot have begun before may wait for the result of its first
        step, and share a message with it. Raises what `check_may_proceed` does, and Fenced.
        """
        await self.check_may_proceed()
        if self.redelivered or not self._pending.only_opening:
            self._pending.enqueue()
        await self._pending.drain()  # a concurrent branch may be appending what led to it
        await self._fresh.ensure(self.live)
        self._check_not_done_elsewhere(key)

    async def before_retry(self, key: str) -> None:
        """Check that nobody did the step while this handler waited. Raises Fenced."""
        await self._fresh.ensure(self.live)
        self._check_not_done_elsewhere(key)

    def _check_not_done_elsewhere(self, key: str) -> None:
        """Check that the log does not hold another worker's result of the step. Raises Fenced.

        An append that waits long for its acknowledgement reads the log. So it learns whether this
        worker was taken for dead, and how far others have come, perhaps to the end of the frame.
        """
        if self.live.handled.get(self.cause) and not self._has_appended:
            raise Fenced(f"run {self.live.id}: another worker continues with mail {self.cause}")
        if self.state.frames and conflicts(self.state, Stepped(frame=self.frame.id, key=key)):
            raise Fenced(f"run {self.live.id}: another worker has done step {key!r}")

    def check_owner(self) -> None:
        """Leave the body if the handler of another mail is the one to continue. Raises Parked."""
        if not strand.get().may_continue(self.cause):
            raise Parked

    def record(self, record: Record) -> None:
        """Add a record. It is appended before the next effect, and soon in any case."""
        self._pending.add(record)

    async def flush(self, *, to: str = NOBODY, mail: Record | None = None) -> None:
        """Append what is recorded as one message, with `mail` last and addressed to actor `to`.

        It becomes several messages if one would be larger than the server takes.

        Raises:
            Fenced: another worker has moved the run on.
            Interrupted: NATS does not take it.
            PayloadTooLarge: a single record is larger than the server takes.
        """
        await self._pending.flush(to=to, mail=mail)

    async def wait(
        self, record: Record, *, to: str = NOBODY, armed: Armed | None = None
    ) -> NoReturn:
        """Append the wait, call `armed`, and leave the body. Raises Parked."""
        await self.flush(to=to, mail=record)
        if armed is not None:
            await armed()
        raise Parked

    async def append(self, records: list[Record], *, to: str, op: str) -> int:
        """Append records to the run's log for this mail; see `pending.Sink`."""
        trace, began = self.segment.kept(), _now()
        n = await self.live.append(records, to=to, cause=self.cause, op=op, trace=trace)
        self._fresh.renew(began)
        self._has_appended = True
        return n

    async def catch_up(self) -> None:
        """Read what others have appended. Raises BusError."""
        began = _now()
        await self.live.catch_up()
        self._fresh.renew(began)

    def append_failed(self, error: BaseException) -> None:
        """Stop the body because a background append failed."""
        self.stop(error)

    @property
    def appended(self) -> int:
        """Messages that the body has appended since it was last entered."""
        return self._pending.appended

    def stop(self, why: BaseException) -> None:
        """Stop the body at once, wherever it is."""
        self._stopped = why
        if self._task is not None:
            self._task.cancel()

    async def run(self, enter: Callable[[], Awaitable[Any]]) -> Outcome:
        """Run the body until it is done or cannot continue in this activation.

        Raises:
            Fenced: another worker has moved the run on; nothing more may be done for this mail.
        """
        self._task = asyncio.current_task()
        while True:
            seen = self.live.state.tail
            self._pending.appended = 0
            self.blocker = None
            branch_entries = len(self._entered_for_branch)
            outcome = await self._enter(enter)
            if not outcome.parked:
                return outcome
            await self._settle()
            appended = self._pending.appended
            others_appended = self.live.state.tail - seen != appended
            # A step that it entered for one branch may now be its own: that branch came last.
            may_own_step = appended and len(self._entered_for_branch) > branch_entries
            if self.live.state.ended or not (others_appended or may_own_step):
                return outcome

    async def _enter(self, enter: Callable[[], Awaitable[Any]]) -> Outcome:
        began = max(self.frame.opened, self.frame.reopened)
        token = strand.set(Strand(began, began))
        try:
            value = await enter()
            self.check_owner()
            return Outcome(parked=False, value=value)
        except Parked:
            return Outcome(parked=True)
        except asyncio.CancelledError:
            if self._stopped is None:
                raise
            _uncancel()
            raise self._stopped from None
        except WorkflowChanged as error:
            return Outcome(parked=False, error=error)
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001  user code
            if not strand.get().may_continue(self.cause):
                return Outcome(parked=True)
            return Outcome(parked=False, error=as_error(error))
        except BaseExceptionGroup as group:
            return Outcome(parked=False, error=_ungrouped(group))
        finally:
            strand.reset(token)

    async def _settle(self) -> None:
        token = strand.set(Strand(0, 0))
        try:
            await self.flush()
            await self._pending.drain()
            if self._stopped is not None:
                raise self._stopped
        finally:
            strand.reset(token)

    async def close(self, to: str, mail: Record) -> None:
        """Append the last records of the frame."""
        token = strand.set(Strand(0, 0))
        try:
            await self.flush(to=to, mail=mail)
        finally:
            strand.reset(token)

    def leave(self) -> None:
        """Cancel the appends in progress: the next handler of the mail reads what was stored."""
        self._pending.abandon()


def _ungrouped(group: BaseExceptionGroup[BaseException]) -> Exception:
    """The error for a signal that an `asyncio.TaskGroup` caught. Raises Fenced and Interrupted."""
    signals = group.subgroup((Fenced, Interrupted))
    while signals is not None:
        first = signals.exceptions[0]
        if not isinstance(first, BaseExceptionGroup):
            raise first
        signals = first
    return InvalidSetup(
        "a body that waits for several steps at once must do so with step.gather, "
        "not with asyncio.TaskGroup"
    )


def _now() -> float:
    return asyncio.get_running_loop().time()


def _uncancel() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
