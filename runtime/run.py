"""A run in a worker's memory: its folded state, and the only way to append to its log."""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import msgspec
import structlog

from ..bus.errors import Conflict, NoLeader, NotConnected, PublishUnconfirmed, StreamMissing
from ..bus.leader_wait import LeaderWait
from ..bus.log import Log, LogMessage
from ..bus.log_subject import NOBODY
from . import clock, trace_context
from .conflicts import conflicts
from .entry import Answered, Record, Started, Voted
from .envelope import Envelope, encode, is_newer, read
from .errors import Fenced, Gone
from .first_stored import entries
from .journal import fold, skip
from .repairs import is_stale
from .state import OPEN, Question, RunState
from .vouching import Refusal, Signers, refused
from .writer import new_op

log = structlog.get_logger("layby.run")

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 0.5
_EVICT = 8
"""Runs considered for eviction at a time."""

Check = Callable[[RunState], None]
"""Checks the newest state before an append; raises to abandon the append."""
OnAppend: TypeAlias = "Callable[[LiveRun, list[Record]], None]"
"""Called with the records of each append that is stored."""


class LiveRun:
    """One run in memory, shared by all its activations in this worker.

    Appends happen one at a time. A state that has fallen behind loses its next append and is then
    brought up to date, so the log always decides.
    """

    def __init__(
        self,
        log_: Log,
        state: RunState,
        on_append: OnAppend | None = None,
        *,
        signers: Signers | None = None,
    ) -> None:
        self.state = state
        self._signers = signers
        """Whose signatures count; None: the keys are not known here."""
        self.raised: BaseException | None = None
        """The exception that the body raised, for the log line about the run's end."""
        self._on_append = on_append
        self.size = 0
        """Bytes folded, for the limit of the cache."""
        self.counted = 0
        """Bytes that the cache has counted."""
        self.users = 0
        """Activations in progress."""
        self.gone = False
        """Its log was removed after this was folded, and may have begun again."""
        self.unverified = False
        """The server may have forgotten what it delivered: read the log before using this state."""
        self.indexed: int | None = None
        """Revision of the run's row in the index, where known."""
        self.listed = 0
        """The position of the log that its row is known to reflect."""
        self._log = log_
        self._lock = asyncio.Lock()
        self._op = ""
        """The append in progress."""
        self._stored_at = 0
        """The position at which the log holds it; 0: not seen there."""
        self._leader = LeaderWait()
        """How long the append in progress waits for a leader."""
        self.handled: dict[int, bool] = {}
        """Mails being handled here; whether somebody else recorded something for one meanwhile."""
        self._interrupted: dict[str, int] = {}
        """Appends of cancelled callers, and their positions in the log; 0: not seen there."""

    @property
    def id(self) -> str:
        """The run's id."""
        return self.state.id

    def learn(self, message: LogMessage) -> bool:
        """Fold a message that was delivered; False when something before it is missing."""
        if message.n <= self.state.tail:
            return True
        if message.n != self.state.tail + 1:
            return False
        self._fold(message.n, message.data)
        return True

    async def load(self) -> None:
        """Fold what some replica of the log holds; an append shows if there is more."""
        async with self._lock:
            self.unverified = False
            await self._reload()

    async def catch_up(self) -> None:
        """Fold everything that the log holds now, according to its leader. Raises Gone."""
        async with self._lock:
            await self._check_not_removed()
            await self._reload()
            while await self._has_more():
                await asyncio.sleep(_FIRST_PAUSE)
                await self._reload()

    async def confirm(self) -> None:
        """Like `catch_up`, but only one read in the likely case that nothing is new."""
        async with self._lock:
            more = await self._has_more()
        if more:
            await self.catch_up()

    async def exists(self) -> bool:
        """Whether its log still holds the last entry that was folded here."""
        return await self._log.exists(self.id, self.state.tail)

    async def _check_not_removed(self) -> None:
        """After an interruption, check that the log is still the one that was folded. Raises Gone.

        The hint that it was removed may have come while the worker was disconnected.
        """
        if self.unverified and self.state.frames:
            first = read(await self._log.original(self.id, 1))
            self.gone = first is None or first.at != self.state.started_at
        self.unverified = False
        if self.gone:
            raise Gone(f"run {self.id} was removed")

    async def _has_more(self) -> bool:
        return await self._log.exists(self.id, self.state.tail + 1)

    async def append(
        self,
        records: list[Record],
        *,
        to: str = NOBODY,
        cause: int = 0,
        check: Check | None = None,
        op: str = "",
        trace: str = "",
    ) -> int:
        """Add one message to the log and return its position.

        It survives lost acknowledgements and server restarts: it reads the log to see whether the
        message is there, and tries again until the caller is cancelled. A cancelled caller can
        resume the append with the same `op`. It waits while a cluster elects a leader of the
        stream: giving up would repeat the effect that it records. `trace` is the span in which it
        is written.

        Raises:
            Fenced: the log contradicts `records`, or was removed.
            StreamMissing: no server has taken it for half a minute.
            Exception: whatever `check` raises.
        """
        op = op or new_op()
        at = round(clock.now(), 3)
        data = encode(Envelope(op=op, at=at, cause=cause, trace=trace, records=records))
        headers = [trace_context.headers(trace)] if trace and to != NOBODY else []
        async with self._lock:
            self._op, self._stored_at = op, self._interrupted.pop(op, 0)
            self._leader = LeaderWait()
            try:
                await self._patiently(self._check_not_removed)
                while not self._stored_at:
                    self._admit(records, check, cause)
                    await self._try(self.state.tail + 1, to, data, headers)
            except asyncio.CancelledError:
                self._interrupted[op] = self._stored_at
                raise
            if self._on_append is not None:
                self._on_append(self, records)
            return self._stored_at

    def _admit(self, records: list[Record], check: Check | None, cause: int) -> None:
        if 0 < cause < self.state.reopened:
            raise Fenced(f"run {self.id} was reopened after mail {cause} was handled")
        if check is not None:
            check(self.state)
        for record in records:
            has_begun = isinstance(record, Started) and self.state.tail
            if (
                has_begun
                or conflicts(self.state, record)
                or is_stale(self.state, record, cause)
                or self._is_refused(record)
            ):
                raise Fenced(f"run {self.id} has moved on: {record!r}"[:300])
            if isinstance(record, Started):
                return  # nothing can contradict what follows it in one message

    def _is_refused(self, record: Record) -> bool:
        if not isinstance(record, Answered | Voted):
            return False
        question = self.state.questions.get(record.id)
        return question is not None and self._refuses(self.state, question, record) is not None

    def _refuses(
        self, state: RunState, question: Question, record: Answered | Voted
    ) -> Refusal | None:
        """Why an answer does not count; None if it does."""
        return refused(state.ticket, state.id, question, record, self._signers)

    def _refuses_and_logs(
        self, state: RunState, question: Question, record: Answered | Voted
    ) -> Refusal | None:
        refusal = self._refuses(state, question, record)
        if refusal is not None and question.status == OPEN:
            log.warning(
                "answer.refused", run=self.id, question=record.id, by=record.by, reason=refusal.why
            )
        return refusal

    async def _try(self, n: int, to: str, data: bytes, headers: Sequence[dict[str, str]]) -> None:
        """Append at `n`, or bring the state up to date."""
        try:
            await self._log.append(self.id, n, to, data, *headers)
        except Conflict:
            await self._reload_until(n)
        except (PublishUnconfirmed, NotConnected) as error:
            log.info("append.unconfirmed", run=self.id, n=n, error=str(error))
            self._leader.reset()
            await self._patiently(self._reload)
        except (StreamMissing, NoLeader) as error:  # nothing was stored
            await self._leader.pause(error)
        else:
            self._fold(n, data)

    async def _reload_until(self, n: int) -> None:
        """Reload until position `n` is there, because a replica may lag behind its leader."""
        pause = _FIRST_PAUSE
        while True:
            await self._patiently(self._reload)
            if self.state.tail >= n:
                return
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)

    async def _patiently(self, read_log: Callable[[], Awaitable[None]]) -> None:
        """Read the log, waiting for as long as it has no leader, or there is no connection."""
        pause = _FIRST_PAUSE
        while True:
            try:
                await read_log()
            except (PublishUnconfirmed, NotConnected):
                self._leader.reset()
                await asyncio.sleep(pause)
                pause = min(_LONGEST_PAUSE, pause * 2)
            except (StreamMissing, NoLeader) as error:
                await self._leader.pause(error)
            else:
                return

    async def _reload(self) -> None:
        for message in await entries(self._log, self.id, self.state.tail):
            self._fold(message.n, message.data)

    def _fold(self, n: int, data: bytes) -> None:
        """Fold position `n` once: mail may arrive before the acknowledgement of its append."""
        if n <= self.state.tail:
            return
        self.size += len(data)
        envelope = read(data)
        if envelope is None:
            newer = is_newer(data)
            log.warning("entry.skipped", run=self.id, n=n, size=len(data), newer=newer)
            skip(self.state, n, newer=newer)
            return
        fold(self.state, n, envelope, self._refuses_and_logs)
        if envelope.op == self._op:
            self._stored_at = n
        elif envelope.op in self._interrupted:
            self._interrupted[envelope.op] = n
        elif envelope.cause in self.handled:
            self.handled[envelope.cause] = True


class RunCache:
    """The runs that a worker used last, limited by number and bytes; the log stays the truth."""

    def __init__(
        self,
        log_: Log,
        *,
        runs: int = 4_096,
        size: int = 32_000_000,
        on_append: OnAppend | None = None,
        signers: Signers | None = None,
    ) -> None:
        self._log = log_
        self._on_append = on_append
        self.signers = signers
        """The roles whose answers are signed; None: unknown."""
        self._runs = runs
        self._size = size
        self._cached: OrderedDict[str, LiveRun] = OrderedDict()
        self._bytes = 0

    def fresh(self, run_id: str) -> LiveRun:
        """A run that probably does not exist yet; an append at position 1 shows if it does."""
        live = self._lookup(run_id)
        if live is None:
            live = self._cached[run_id] = self._new(RunState(id=run_id))
        return live

    def _new(self, state: RunState) -> LiveRun:
        return LiveRun(self._log, state, self._on_append, signers=self.signers)

    def warm(self, run_id: str) -> LiveRun | None:
        """The run if it is in memory."""
        live = self._lookup(run_id)
        if live is not None:
            self._cached.move_to_end(run_id)
        return live

    def _lookup(self, run_id: str) -> LiveRun | None:
        live = self._cached.get(run_id)
        if live is not None and live.gone:
            del self._cached[run_id]
            self._bytes -= live.counted
            return None
        return live

    async def caught_up(self, live: LiveRun) -> LiveRun:
        """`live`, caught up with its log; another object if that log was removed meanwhile."""
        try:
            await live.catch_up()
        except Gone:
            live = await self.get(live.id)
            await live.catch_up()
        return live

    async def newest(self, run_id: str) -> LiveRun:
        """The run, caught up with its log."""
        return await self.caught_up(await self.get(run_id))

    async def get(self, run_id: str) -> LiveRun:
        """The run from memory, or loaded."""
        live = self.warm(run_id)
        if live is not None:
            return live
        live = self._new(RunState(id=run_id))
        await live.load()
        live = self._cached.setdefault(run_id, live)
        self.count(live)
        return live

    def seed(self, state: RunState) -> LiveRun:
        """Take a run from its parked state; the log corrects it if it is out of date."""
        live = self.warm(state.id)
        if live is None:
            live = self._cached[state.id] = self._new(state)
            live.size = len(msgspec.json.encode(state))
            self.count(live)
        return live

    def mark_unverified(self) -> None:
        """Require every log to be read again before its state is used."""
        for live in self._cached.values():
            live.unverified = True

    def count(self, live: LiveRun) -> None:
        """Count a run's growth, and evict the least recently used runs."""
        if self._cached.get(live.id) is not live:
            return  # already evicted and subtracted
        self._bytes += live.size - live.counted
        live.counted = live.size
        for run_id in list(itertools.islice(self._cached, _EVICT)):
            if len(self._cached) <= self._runs and self._bytes <= self._size:
                return
            if run_id != live.id:
                self.drop(run_id)
                if run_id in self._cached:  # in use: it must not shield those behind it
                    self._cached.move_to_end(run_id)

    def drop(self, run_id: str) -> None:
        """Forget a run, unless it is in use."""
        live = self._cached.get(run_id)
        if live is not None and not live.users:
            del self._cached[run_id]
            self._bytes -= live.counted
