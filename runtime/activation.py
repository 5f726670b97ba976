"""One handling of one mail: a body of code run over the log of its run.

The body is entered from its start and meets its own recorded steps first; where they end, it goes
on live. It is left (`Parked`) where it waits for something that the log does not hold yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple, NoReturn

from ..bus.errors import BusError, PayloadTooLarge
from ..bus.log import NOBODY
from . import crash
from .clashes import clashes
from .entry import Record, Started, Stepped
from .errors import Fenced, Interrupted, InvalidSetup, Parked, WorkflowChanged
from .failure import as_error
from .need import Held
from .reaching import Reaching
from .recorder import Armed
from .run import LiveRun, new_op
from .state import Frame
from .strand import Position, Strand, strand

_VISIBLE_WITHIN = 0.005
"""Seconds, once or twice, after which a record is appended although nothing waits for it."""
_SLOW = 1.0
"""Seconds after which an append was slow enough for another worker to have got our mail."""


class _Batch:
    """Records that are appended as one message."""

    __slots__ = ("op", "records", "to")

    def __init__(self, records: list[tuple[Record, Position]], to: str) -> None:
        self.records = records
        self.to = to
        self.op = new_op()

    def halves(self) -> list[_Batch]:
        """The same in two messages."""
        middle = len(self.records) // 2
        return [_Batch(self.records[:middle], NOBODY), _Batch(self.records[middle:], self.to)]


class Outcome(NamedTuple):
    """How a body was left."""

    parked: bool
    value: Any = None
    error: Exception | None = None


class Trail:
    """Appends what was recorded a moment ago and nothing has appended since: one timer for all."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._fresh: list[Activation] = []
        self._due: list[Activation] = []
        self._armed = False

    def add(self, activation: Activation) -> None:
        """Look after an activation that has recorded something."""
        self._fresh.append(activation)
        if not self._armed:
            self._arm()

    def _arm(self) -> None:
        self._armed = True
        self._loop.call_later(_VISIBLE_WITHIN, self._sweep)

    def _sweep(self) -> None:
        due, self._due, self._fresh = self._due, self._fresh, []
        for activation in due:
            activation.flush_soon()
        self._armed = False
        if self._due:
            self._arm()


class Activation(Reaching):
    """The handling of mail `cause` for one frame of a run."""

    def __init__(
        self,
        live: LiveRun,
        frame: Frame,
        cause: int,
        trail: Trail,
        *,
        redelivered: bool,
        opening: Started | None = None,
    ) -> None:
        super().__init__(live.state, frame, opening)
        self.live = live
        self.cause = cause
        self.redelivered = redelivered
        self.appended = 0
        self.held: Held | None = None
        """Why the body was left, where people must mend something first."""
        self._buffer: list[tuple[Record, Position]] = []
        self._trail = trail
        self._trails = False
        self._queue: list[_Batch] = []
        """What is on its way into the log, in order, the first of it at this moment."""
        self._in_turn = asyncio.Lock()
        self._failed: Fenced | Interrupted | PayloadTooLarge | None = None
        """Why the first of the queue did not land; what is behind it will not either."""
        self._behind: set[asyncio.Task[None]] = set()
        """Appends that nobody in the body waits for."""
        self._over = False
        self._task: asyncio.Task[Any] | None = None
        self._stopped: BaseException | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def begins(self) -> bool:
        """Whether this is the handling of what started the run, or opened it again."""
        return self.cause in {1, self.state.reopened}

    def needs_server(self, what: str) -> None:
        """There is one."""

    def lets_pass(self, error: Exception) -> bool:
        """Every error of a step is recorded."""
        del error
        return False

    def hold(self, held: Held) -> None:
        """Leave the body, for people must mend something first. Raises Parked."""
        self.held = self.held or held
        raise Parked

    async def may_go_on(self) -> None:
        """Let the body do something new.

        Raises:
            WorkflowChanged: it has not reached all that is recorded.
            Parked: the handler of another mail is the one to go on.
        """
        if strand.get().frozen:
            raise Parked
        await self.must_be_replayed()
        self.must_be_ours()

    async def before_effect(self, key: str) -> None:
        """Let step `key` take effect: append what is recorded, so that nothing precedes its cause.

        The opening of a run that cannot have begun before may wait for its first step's result:
        both then travel together. Raises what `may_go_on` does, and Fenced.
        """
        await self.may_go_on()
        opens = len(self._buffer) == 1 and isinstance(self._buffer[0][0], Started)
        if self.redelivered or not opens:
            self._enqueue()
        await self._land()  # what led to it may be on its way in the hands of a branch beside
        self._must_be_new(key)

    async def before_retry(self, key: str) -> None:
        """See that nobody has done the step while we waited to try again. Raises Fenced."""
        if self.redelivered:
            try:
                await self.live.catch_up()
            except BusError as error:
                raise Interrupted(str(error)) from error
        self._must_be_new(key)

    def _must_be_new(self, key: str) -> None:
        """See that no other worker's result of the step was read meanwhile. Raises Fenced.

        An append that was long without an acknowledgement reads the log, and so learns whether
        this worker was taken for dead, and how far others have gone: to the frame's end, maybe.
        """
        if self.state.frames and clashes(self.state, Stepped(frame=self.frame.id, key=key)):
            raise Fenced(f"run {self.live.id}: step {key!r} was done meanwhile")

    def must_be_ours(self) -> None:
        """Leave the body where another mail's handler is the one to go on. Raises Parked."""
        if not strand.get().goes_on_with(self.cause):
            raise Parked

    def record(self, record: Record) -> None:
        """Add a record; it is appended before the next effect, and soon in any case."""
        position = Position()
        strand.get().own = position
        self._buffer.append((record, position))
        if not self._trails:
            self._trails = True
            self._trail.add(self)

    async def flush(self, *, to: str = NOBODY, mail: Record | None = None) -> None:
        """Append what is recorded as one message, `mail` last and addressed to actor `to`.

        Several messages, where the server takes none of that size.

        Raises:
            Fenced: another worker has moved the run on.
            Interrupted: NATS does not take it.
            PayloadTooLarge: a single record is more than the server takes.
        """
        if mail is not None:
            position = Position()
            strand.get().own = position
            self._buffer.append((mail, position))
        if self._enqueue(to):
            await self._land()

    async def wait(
        self, record: Record, *, to: str = NOBODY, armed: Armed | None = None
    ) -> NoReturn:
        """Append the wait, have it `armed`, and leave the body. Raises Parked."""
        await self.flush(to=to, mail=record)
        if armed is not None:
            await armed()
        raise Parked

    def _enqueue(self, to: str = NOBODY) -> bool:
        """Make one message of what is recorded; whether there was anything."""
        if not self._buffer:
            return False
        self._queue.append(_Batch(self._buffer, to))
        self._buffer = []
        return True

    def flush_soon(self) -> None:
        """Append what is recorded, if anything is, beside the body."""
        self._trails = False
        if self._buffer and not self._over:
            self._beside(self.flush())

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._behind.add(task)
        task.add_done_callback(self._done_beside)

    def _done_beside(self, task: asyncio.Task[None]) -> None:
        self._behind.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:  # told to the body
            self.stop(error)

    async def _land(self) -> None:
        """Append what is queued, whoever has recorded it. Raises what it failed of."""
        try:
            async with self._in_turn:
                while self._queue and self._failed is None:
                    await self._append(self._queue[0])
        except asyncio.CancelledError:
            if self._queue and not self._over:  # records of branches that go on may be in it
                self._beside(self._land())
            raise
        except (Fenced, PayloadTooLarge) as error:
            self._failed = error
        except BusError as error:
            self._failed = Interrupted(str(error))
            self._failed.__cause__ = error
        if self._failed is not None:
            raise self._failed

    async def _append(self, batch: _Batch) -> None:
        crash.point("before_append")
        began = self._loop.time()
        records = [record for record, _ in batch.records]
        try:
            n = await self.live.append(records, to=batch.to, cause=self.cause, op=batch.op)
        except PayloadTooLarge:
            if len(records) == 1:
                raise
            self._queue[:1] = batch.halves()
            return
        crash.point("after_append")
        del self._queue[0]
        self.appended += 1
        for _, position in batch.records:
            position.n = n
        if self._loop.time() - began > _SLOW:
            await self.live.catch_up()  # we may have been taken for dead meanwhile

    def stop(self, why: BaseException) -> None:
        """End the body at once, wherever it is."""
        self._stopped = why
        if self._task is not None:
            self._task.cancel()

    async def run(self, enter: Callable[[], Awaitable[Any]]) -> Outcome:
        """Run the body until it is done or can do no more in this activation.

        Raises:
            Fenced: another worker has moved the run on; nothing more may be done for this mail.
        """
        self._task = asyncio.current_task()
        while True:
            seen = self.live.state.tail
            self.appended = 0
            self.held = None
            outcome = await self._enter(enter)
            if not outcome.parked:
                return outcome
            await self._settle()
            if self.live.state.ended or self.live.state.tail - seen == self.appended:
                return outcome
            # Somebody else's entries came in between, and this body may be the one to go on.

    async def _enter(self, enter: Callable[[], Awaitable[Any]]) -> Outcome:
        began = max(self.frame.opened, self.frame.reopened)
        token = strand.set(Strand(began, began))
        try:
            value = await enter()
            self.must_be_ours()
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
            if not strand.get().goes_on_with(self.cause):
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
            await self._land()
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
        """End what is on its way still: whoever gets the mail next sees what has landed."""
        self._over = True
        for task in self._behind:
            task.cancel()


def _ungrouped(group: BaseExceptionGroup[BaseException]) -> Exception:
    """What to tell of a signal that an `asyncio.TaskGroup` has caught. Raises what fences."""
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


def _uncancel() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
