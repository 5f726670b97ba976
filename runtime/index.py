"""The index of runs, which people list and filter: a bucket derived from the logs.

A row has the key `<ticket>.<run>`, so a ticket's runs are found without a scan. A run that has
ended, is or was blocked, or waits for something other than a person, gets its row before the mail
that brought it there is acknowledged: after a crash the mail is redelivered, and the row is written
then. If a run waits for a person, the actor that shows the question writes the row, under the same
rule (see `actors.people.open_questions`). A run in progress gets its row a moment after its
handling began, if it is still in progress then. A row that is not final is written by
compare-and-set, so that it never hides a later one; only the row of a completed run is final,
because any other run may be reopened.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

import msgspec
import structlog

from ..bus.bucket import Bucket
from ..bus.errors import BusError, Conflict, Erased, KeyMissing, Tampered
from ..bus.sealing import Cipher, Sealing, unsealed
from ..bus.token import check_words, encode
from . import crash
from .delay_queue import DelayQueue
from .failure import reason_of
from .run import LiveRun
from .spent import Spent
from .state import BLOCKED, COMPLETED, NEVER, RUNNING, WAITING, RunState
from .times import check_times, iso
from .trace_fold import trace_of

log = structlog.get_logger("layby.index")

BUCKET = "runs"
LATER = 0.5
"""Seconds: short enough for people, long enough that quick runs need no row."""
_TRIES = 20
_LONGEST = 500
"""Characters of a reason that a row holds."""
_EXCERPT = 300
"""Characters of a question that a row holds."""


class IndexRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the index holds of a run."""

    id: str
    workflow: str
    ticket: str
    status: str
    started_at: str
    updated_at: str
    pos: int
    """The position of the log that the row reflects."""
    error: str = ""
    """Why it did not complete, or does not continue: see `reason`."""
    needs: str = ""
    """What people can do about a blocked run."""
    parent: str = ""
    """The run that started it and waits for it."""
    roles: tuple[str, ...] = ()
    """The roles of people that it waits for."""
    question: str = ""
    """The beginning of its first open question."""
    asked: int = -1
    """How many questions it has asked so far; -1: unknown."""
    waits: str = ""
    """What it waits for: see `waiting_for`."""
    until: str = ""
    """When that is over by itself."""
    asked_at: str = ""
    """When its first open question was asked."""
    deadline: str = ""
    """When that question is over."""
    ended_at: str = ""
    title: str = ""
    labels: dict[str, str] = {}
    spent: Spent = Spent()
    trace: str = ""
    """The id of its trace; empty: it was not traced."""
    sealed: bytes = b""
    """For an encrypted run: its `FreeText`, whose fields are then empty here."""

    def __post_init__(self) -> None:
        """Check the times, and the words that become parts of subjects. Raises ValueError."""
        check_times(self.started_at, self.updated_at, self.until, self.ended_at)
        check_times(self.asked_at, self.deadline)
        check_words(self.id, self.parent, self.trace)


class FreeText(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The texts of a row that come from events, people, models or exceptions."""

    error: str = ""
    needs: str = ""
    question: str = ""
    title: str = ""
    labels: dict[str, str] = {}


ENCRYPTED = "(encrypted)"
"""In place of text that this reader has no key for."""
ERASED = "(erased)"
"""In place of text whose key was destroyed."""
_encode_text = msgspec.json.Encoder().encode
_decode_text = msgspec.json.Decoder(FreeText).decode


async def opened(row: IndexRow, vault: Sealing | None, place: str) -> IndexRow:
    """A row with its texts decrypted; a note stands for texts that cannot be read."""
    if not row.sealed:
        return row
    try:
        return _with(row, _decode_text(await unsealed(vault, row.id, row.sealed, place)))
    except Erased:
        return _with(row, FreeText(error=ERASED))
    except (KeyMissing, Tampered, msgspec.MsgspecError):
        return _with(row, FreeText(error="" if row.status in _SILENT else ENCRYPTED))


def _with(row: IndexRow, text: FreeText) -> IndexRow:
    return msgspec.structs.replace(row, sealed=b"", **msgspec.structs.asdict(text))


_NONE = FreeText()
_SILENT = frozenset({RUNNING, WAITING, COMPLETED})
"""Statuses of runs that have no error."""


def key_of(ticket: str, run: str) -> str:
    """The key of a run's row."""
    return f"{encode(ticket)}.{run}"


def error(state: RunState) -> str:
    """Why a run did not complete or is blocked, as recorded; empty while it proceeds."""
    return state.blocked[0][1].reason if state.status == BLOCKED else state.error


def reason(state: RunState) -> str:
    """The same on one line, with the error's type and place if an exception ended the run."""
    failure = state.failure if state.ended else None
    text = error(state) if failure is None else reason_of(failure)
    flat = " ".join(text.split())
    return flat if len(flat) <= _LONGEST else f"{flat[: _LONGEST - 1]}…"


def needs(state: RunState) -> str:
    """What people can do about a blocked run; empty for other runs."""
    return state.blocked[0][1].needs if state.status == BLOCKED else ""


def row_of(state: RunState, cipher: Cipher | None = None, place: str = "") -> IndexRow:
    """The row of a run; with a `cipher` its texts are encrypted for the subject `place`."""
    asked = [] if state.ended else state.open_questions()
    text = FreeText(
        error=reason(state),
        needs=needs(state)[:_EXCERPT],
        question=asked[0].question[:_EXCERPT] if asked else "",
        title=state.title,
        labels=state.labels,
    )
    sealed = b""
    waits, until = waiting_for(state)
    if cipher is not None and text != _NONE:
        text, sealed = _NONE, cipher.seal(_encode_text(text), place)
    return IndexRow(
        id=state.id,
        workflow=state.workflow,
        ticket=state.ticket,
        status=state.status,
        started_at=iso(state.started_at),
        updated_at=iso(state.updated_at),
        pos=state.tail,
        error=text.error,
        needs=text.needs,
        parent=state.parent.run if state.parent else "",
        roles=tuple(dict.fromkeys(role for each in asked for role in state.roles_of(each))),
        question=text.question,
        asked=len(state.questions),
        waits=waits,
        until=iso(until) if until else "",
        asked_at=iso(asked[0].asked_at) if asked else "",
        deadline=iso(asked[0].deadline) if asked else "",
        ended_at=iso(state.updated_at) if state.ended else "",
        title=text.title,
        labels=text.labels,
        spent=state.spent,
        trace=trace_of(state),
        sealed=sealed,
    )


_WAITS: Final = {"step": "retry", "sleep": "sleep", "event": "event", "child": "child"}
"""What a run waits for, by the kind of an open slot; what comes first counts."""


def waiting_for(state: RunState) -> tuple[str, float]:
    """What a parked run waits for, and when that is over by itself, in Unix seconds; 0: never.

    `people` if a question is open; else `retry`, `sleep`, `event` or `child`; empty if it is not
    parked.
    """
    if state.status != WAITING:
        return "", 0.0
    if asked := state.open_questions():
        return "people", min(question.deadline for question in asked)
    found: dict[str, float] = {}
    for frame in state.frames.values():
        for slot in frame.slots.values():
            if frame.done or slot.settled or slot.dropped or slot.kind not in _WAITS:
                continue
            if slot.wake_at or slot.kind in {"event", "child"}:
                at = slot.wake_at or NEVER
                found[slot.kind] = min(at, found.get(slot.kind, NEVER))
    kind = next((kind for kind in _WAITS if kind in found), "")
    until = found.get(kind, NEVER)
    return _WAITS.get(kind, ""), until if until < NEVER else 0.0


_decode = msgspec.json.Decoder(IndexRow).decode


class Index:
    """Keeps the rows up to date with the runs."""

    def __init__(self, bucket: Bucket, later: float = LATER) -> None:
        self._bucket = bucket
        self.later = DelayQueue(later)
        """Delays the row of a run that is in progress, or waits for a person."""
        self._scheduled: set[str] = set()
        self._writing: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    async def reflect(self, live: LiveRun) -> None:
        """Return when the row is up to date, or is sure to be written by somebody."""
        state = live.state
        if state.ended or state.blocks or (state.waits and not state.asking_since):
            crash.point("before_index")
            await self.write(live)
            crash.point("after_index")
        else:
            self.soon(live)

    def soon(self, live: LiveRun) -> None:
        """Write the row a moment from now, unless another actor writes it by then."""
        if live.id not in self._scheduled:
            self._scheduled.add(live.id)
            self.later.add(partial(self._write_if_needed, live))

    def _write_if_needed(self, live: LiveRun) -> None:
        self._scheduled.discard(live.id)
        if not self._written_by_others(live):
            task = self._loop.create_task(self._write_behind(live))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    def _written_by_others(self, live: LiveRun) -> bool:
        """Whether the actor that brought the run to this state writes its row, or did."""
        state = live.state
        if state.ended or not state.frames or live.listed >= state.tail:
            return True
        # The actor that shows a question writes the row; later entries must be shown too.
        return bool(state.waits) and not state.blocks and not (state.asking_since and live.listed)

    async def _write_behind(self, live: LiveRun) -> None:
        try:
            await live.load()  # another worker may have ended the run by now
            if not self._written_by_others(live):
                await self.write(live)
        except BusError as error:
            log.info("index.postponed", run=live.id, error=str(error))

    async def write(self, live: LiveRun) -> None:
        """Write the row of a run as it is known here, unless a later one exists."""
        for _ in range(_TRIES):
            if live.listed >= live.state.tail:
                return
            key = key_of(live.state.ticket, live.id)
            vault = self._bucket.vault
            cipher = None if vault is None else vault.cached(live.id) or await vault.of_run(live.id)
            row = row_of(live.state, cipher, self._bucket.place(key))
            data = msgspec.json.encode(row)
            if row.status == COMPLETED:
                live.indexed = await self._bucket.put(key, data)
                live.listed = row.pos
                return
            try:
                live.indexed = await self._bucket.put(key, data, revision=live.indexed or 0)
            except Conflict:
                item = await self._bucket.get_newest(
                    key
                )  # a replica that lags would conflict again
                if item is None:  # the row was removed
                    if not await live.exists():
                        return  # with its run, which this worker did not see end
                    live.indexed = await self._bucket.put(key, data)
                    live.listed = row.pos
                    return
                live.indexed = item.revision
                row_there = item.read(_decode)
                live.listed = row_there.pos if row_there is not None else 0
            else:
                live.listed = row.pos
                return
        raise BusError(f"run {live.id}: its row in the index kept changing")
