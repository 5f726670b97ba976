"""A run in a worker's hands: its folded state, and the one way to add to its log."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeAlias

import msgspec
import structlog

from ..bus.errors import Conflict, NotConnected, PublishUnconfirmed
from ..bus.log import NOBODY, Log, LogMessage
from . import clock
from .clashes import clashes
from .entry import Answered, Envelope, Record, Started, encode, is_newer, read
from .errors import Fenced, Gone
from .journal import fold, skip
from .mending import is_stale
from .past import entries
from .state import OPEN, Question, RunState
from .vouching import Refusal, Signers, refused

log = structlog.get_logger("layby.run")

_WRITER = secrets.token_hex(4)
_OPS = itertools.count(1)
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
_EVICT = 8
"""Runs looked at for eviction at a time."""

Check = Callable[[RunState], None]
"""Looks at the newest state before an append; raises to give the append up."""
Told: TypeAlias = "Callable[[LiveRun, list[Record]], None]"
"""Told of each append that has landed."""


def new_op() -> str:
    """A name for an append, by which its writer finds it in the log."""
    return f"{_WRITER}-{next(_OPS)}"


class LiveRun:
    """One run, warm. Shared by all activations of the run in this worker.

    Appends are made one after another. A state that has fallen behind loses an append and is
    brought up to date by it, so nothing here is trusted further than the log.
    """

    def __init__(
        self,
        log_: Log,
        state: RunState,
        told: Told | None = None,
        *,
        signers: Signers | None = None,
    ) -> None:
        self.state = state
        self._signers = signers
        """Whose signatures count; None: the keys are not known here."""
        self.raised: BaseException | None = None
        """What the body has raised, for the line that tells of the run's end."""
        self._told = told
        self.size = 0
        """Bytes folded, for the cache's bound."""
        self.counted = 0
        """Bytes that the cache has counted."""
        self.users = 0
        """Activations under way."""
        self.gone = False
        """Its log was removed after this was folded, and may begin anew."""
        self.doubtful = False
        """The server may have forgotten what it delivered: read the log before trusting this."""
        self.indexed: int | None = None
        """Revision of the run's row in the index, where known."""
        self.listed = 0
        """The position of the log that its row is known to reflect."""
        self._log = log_
        self._lock = asyncio.Lock()
        self._op = ""
        """The append under way."""
        self._landed = 0
        """The position at which it was seen in the log."""
        self._left: dict[str, int] = {}
        """Appends whose callers were stopped, and where they were seen; 0: nowhere yet."""

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
        """Fold what some copy of the log holds by now; an append will tell if there is more."""
        async with self._lock:
            self.doubtful = False
            await self._reload()

    async def catch_up(self) -> None:
        """Fold everything that the log holds by now, by its leader's word. Raises Gone."""
        async with self._lock:
            await self._must_stand()
            await self._reload()
            while await self._has_more():
                await asyncio.sleep(_FIRST_PAUSE)
                await self._reload()

    async def confirm(self) -> None:
        """Like `catch_up`, in one read where nothing is new, as is likely."""
        async with self._lock:
            more = await self._has_more()
        if more:
            await self.catch_up()

    async def _must_stand(self) -> None:
        """After an interruption: is the log still the one that was folded? Raises Gone.

        The word that it was removed may have come while the worker could hear nothing.
        """
        if self.doubtful and self.state.frames:
            first = read(await self._log.original(self.id, 1))
            self.gone = first is None or first.at != self.state.started_at
        self.doubtful = False
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
    ) -> int:
        """Add one message to the log and return its position.

        Survives lost acknowledgements and server restarts: it looks into the log to see whether
        its message is there, and tries again for as long as the caller lives. A caller who was
        stopped goes on with it by the same `op`.

        Raises:
            Fenced: the log has moved on in a way that `records` contradict, or was removed.
            whatever `check` raises.
        """
        op = op or new_op()
        envelope = Envelope(op=op, at=round(clock.now(), 3), cause=cause, records=records)
        data = encode(envelope)
        async with self._lock:
            self._op, self._landed = op, self._left.pop(op, 0)
            try:
                await self._must_stand()
                while not self._landed:
                    self._admit(records, check, cause)
                    await self._try(self.state.tail + 1, to, data)
            except asyncio.CancelledError:
                self._left[op] = self._landed
                raise
            if self._told is not None:
                self._told(self, records)
            return self._landed

    def _admit(self, records: list[Record], check: Check | None, cause: int) -> None:
        if 0 < cause < self.state.reopened:
            raise Fenced(f"run {self.id} was reopened after mail {cause} was handled")
        if check is not None:
            check(self.state)
        for record in records:
            begun = isinstance(record, Started) and self.state.tail
            if (
                begun
                or clashes(self.state, record)
                or is_stale(self.state, record, cause)
                or self._is_refused(record)
            ):
                raise Fenced(f"run {self.id} has moved on: {record!r}"[:300])
            if isinstance(record, Started):
                return  # nothing can contradict what follows it in one message

    def _is_refused(self, record: Record) -> bool:
        question = self.state.questions.get(record.id) if isinstance(record, Answered) else None
        return (
            isinstance(record, Answered)
            and question is not None
            and self._refuses(self.state, question, record) is not None
        )

    def _refuses(self, state: RunState, question: Question, record: Answered) -> Refusal | None:
        """Why an answer does not count: the fold asks."""
        return refused(state.ticket, state.id, question, record, self._signers)

    def _refuses_aloud(
        self, state: RunState, question: Question, record: Answered
    ) -> Refusal | None:
        refusal = self._refuses(state, question, record)
        if refusal is not None and question.status == OPEN:
            log.warning(
                "answer.refused", run=self.id, question=record.id, by=record.by, reason=refusal.why
            )
        return refusal

    async def _try(self, n: int, to: str, data: bytes) -> None:
        """Append at `n`, or bring the state up to date."""
        try:
            await self._log.append(self.id, n, to, data)
        except Conflict:
            await self._reload_until(n)
        except (PublishUnconfirmed, NotConnected) as error:
            log.info("append.unconfirmed", run=self.id, n=n, error=str(error))
            await self._reload_patiently()
        else:
            self._fold(n, data)

    async def _reload_until(self, n: int) -> None:
        """Reload until position `n` is seen, for a follower may lag behind its leader."""
        pause = _FIRST_PAUSE
        while True:
            await self._reload_patiently()
            if self.state.tail >= n:
                return
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)

    async def _reload_patiently(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._reload()
            except (PublishUnconfirmed, NotConnected):
                await asyncio.sleep(pause)
                pause = min(_LONGEST_PAUSE, pause * 2)
            else:
                return

    async def _reload(self) -> None:
        for message in await entries(self._log, self.id, self.state.tail):
            self._fold(message.n, message.data)

    def _fold(self, n: int, data: bytes) -> None:
        """Fold position `n`, unless it was: mail may arrive before its own acknowledgement."""
        if n <= self.state.tail:
            return
        self.size += len(data)
        envelope = read(data)
        if envelope is None:
            newer = is_newer(data)
            log.warning("entry.skipped", run=self.id, n=n, size=len(data), newer=newer)
            skip(self.state, n, newer=newer)
            return
        fold(self.state, n, envelope, self._refuses_aloud)
        if envelope.op == self._op:
            self._landed = n
        elif envelope.op in self._left:
            self._left[envelope.op] = n


class RunCache:
    """The runs that a worker used last, bounded by number and bytes; never a source of truth."""

    def __init__(
        self,
        log_: Log,
        *,
        runs: int = 4_096,
        size: int = 32_000_000,
        told: Told | None = None,
        signers: Signers | None = None,
    ) -> None:
        self._log = log_
        self._told = told
        self._signers = signers
        self._runs = runs
        self._size = size
        self._held: OrderedDict[str, LiveRun] = OrderedDict()
        self._bytes = 0

    def fresh(self, run_id: str) -> LiveRun:
        """A run that is believed not to exist yet (an append at position 1 will tell)."""
        held = self._here(run_id)
        if held is None:
            held = self._held[run_id] = self._new(RunState(id=run_id))
        return held

    def _new(self, state: RunState) -> LiveRun:
        return LiveRun(self._log, state, self._told, signers=self._signers)

    def warm(self, run_id: str) -> LiveRun | None:
        """The run if it is in memory."""
        held = self._here(run_id)
        if held is not None:
            self._held.move_to_end(run_id)
        return held

    def _here(self, run_id: str) -> LiveRun | None:
        held = self._held.get(run_id)
        if held is not None and held.gone:
            del self._held[run_id]
            self._bytes -= held.counted
            return None
        return held

    async def caught_up(self, live: LiveRun) -> LiveRun:
        """`live` as its log is by now; another one where that was removed, and may be anew."""
        try:
            await live.catch_up()
        except Gone:
            live = await self.get(live.id)
            await live.catch_up()
        return live

    async def get(self, run_id: str) -> LiveRun:
        """The run as it was last seen, or loaded."""
        held = self.warm(run_id)
        if held is not None:
            return held
        live = self._new(RunState(id=run_id))
        await live.load()
        held = self._held.setdefault(run_id, live)
        self.count(held)
        return held

    def seed(self, state: RunState) -> LiveRun:
        """Take a run from its parked state; the log corrects it where it is old."""
        held = self.warm(state.id)
        if held is None:
            held = self._held[state.id] = self._new(state)
            held.size = len(msgspec.json.encode(state))
            self.count(held)
        return held

    def doubt(self) -> None:
        """Trust no state until its log was read again."""
        for held in self._held.values():
            held.doubtful = True

    def count(self, live: LiveRun) -> None:
        """Count what a run has grown by, and let go of the runs used longest ago."""
        if self._held.get(live.id) is not live:
            return  # let go of before, and counted out then
        self._bytes += live.size - live.counted
        live.counted = live.size
        for run_id in list(itertools.islice(self._held, _EVICT)):
            if len(self._held) <= self._runs and self._bytes <= self._size:
                return
            if run_id != live.id:
                self.drop(run_id)
                if run_id in self._held:  # at work: it must not hide those behind it
                    self._held.move_to_end(run_id)

    def drop(self, run_id: str) -> None:
        """Forget a run, unless it is being worked on."""
        held = self._held.get(run_id)
        if held is not None and not held.users:
            del self._held[run_id]
            self._bytes -= held.counted
