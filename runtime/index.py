"""The index of runs that people list and filter: a bucket derived from the logs.

A row lies under `<ticket>.<run>`, so a ticket's runs are found without a scan. A run that has
ended, or waits for something other than a person, gets its row before the mail that brought it
there is acknowledged: after a crash the mail is redelivered and the row is written then. So does a
run that is or was blocked. The row of
a run that waits for a person is written by whoever shows its question, under the same rule (see
`actors.open_questions`). A run that is under way gets its row a moment after its handling began, if
it is still under way then. A row that is not final is written by compare-and-set, so it never hides
a later one; only that of a completed run is final, for any other may be reopened.
"""

from __future__ import annotations

import asyncio

import msgspec
import structlog

from ..bus.bucket import Bucket
from ..bus.errors import BusError, Conflict, Erased, KeyMissing, Tampered
from ..bus.sealing import Sealing, unsealed
from ..bus.token import check_words, encode
from . import crash
from .failure import reason_of
from .run import LiveRun
from .state import BLOCKED, COMPLETED, RUNNING, WAITING, RunState
from .times import check_times, iso

log = structlog.get_logger("layby.index")

BUCKET = "runs"
LATER = 0.5
"""Seconds: little enough for people, and enough for what is done at once to need no row."""
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
    """Why it did not complete, or does not go on: see `reason`."""
    needs: str = ""
    """What people can do for a run that is blocked."""
    parent: str = ""
    """The run that started it and waits for it."""
    roles: tuple[str, ...] = ()
    """The roles of people that it waits for."""
    question: str = ""
    """What the first of them is asked, in part."""
    asked: int = -1
    """How many questions it has asked so far; -1: unknown."""
    sealed: bytes = b""
    """Of a run that is encrypted: its `FreeText`, which is empty here then."""

    def __post_init__(self) -> None:
        """Refuse what cannot be shown, or would become a subject. Raises ValueError."""
        check_times(self.started_at, self.updated_at)
        check_words(self.id, self.parent)


class FreeText(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a row holds that people, models or exceptions have said."""

    error: str = ""
    needs: str = ""
    question: str = ""


ENCRYPTED = "(encrypted)"
"""In the place of text that this reader has no key for."""
ERASED = "(erased)"
"""In the place of text whose key was destroyed."""
_encode_text = msgspec.json.Encoder().encode
_decode_text = msgspec.json.Decoder(FreeText).decode


async def sealed(row: IndexRow, vault: Sealing | None, place: str) -> IndexRow:
    """A row as it is stored on the subject `place`. Raises Erased, KeyMissing."""
    cipher = await vault.of_run(row.id) if vault is not None else None
    if cipher is None:
        return row
    text = FreeText(error=row.error, needs=row.needs, question=row.question)
    return _with(row, FreeText(), cipher.seal(_encode_text(text), place) if text != _NONE else b"")


async def opened(row: IndexRow, vault: Sealing | None, place: str) -> IndexRow:
    """The reverse, as far as the keys here go: what cannot be read says so."""
    if not row.sealed:
        return row
    try:
        return _with(row, _decode_text(await unsealed(vault, row.id, row.sealed, place)))
    except Erased:
        return _with(row, FreeText(error=ERASED))
    except (KeyMissing, Tampered, msgspec.MsgspecError):
        return _with(row, FreeText(error="" if row.status in _SILENT else ENCRYPTED))


def _with(row: IndexRow, text: FreeText, sealed: bytes = b"") -> IndexRow:
    return msgspec.structs.replace(
        row, error=text.error, needs=text.needs, question=text.question, sealed=sealed
    )


_NONE = FreeText()
_SILENT = frozenset({RUNNING, WAITING, COMPLETED})
"""Statuses of runs that have no error."""


def key_of(ticket: str, run: str) -> str:
    """The key of a run's row."""
    return f"{encode(ticket)}.{run}"


def error(state: RunState) -> str:
    """Why a run did not complete, or is blocked, as it was recorded; empty while it goes on."""
    return state.blocked[0][1].reason if state.status == BLOCKED else state.error


def reason(state: RunState) -> str:
    """The same on one line, with the error's type and place where an exception ended the run."""
    failure = state.failure if state.ended else None
    text = error(state) if failure is None else reason_of(failure)
    flat = " ".join(text.split())
    return flat if len(flat) <= _LONGEST else f"{flat[: _LONGEST - 1]}…"


def needs(state: RunState) -> str:
    """What people can do for a run that is blocked; empty for all others."""
    return state.blocked[0][1].needs if state.status == BLOCKED else ""


def row_of(state: RunState) -> IndexRow:
    """The row of a run."""
    asked = [] if state.ended else state.open_questions()
    return IndexRow(
        id=state.id,
        workflow=state.workflow,
        ticket=state.ticket,
        status=state.status,
        started_at=iso(state.started_at),
        updated_at=iso(state.updated_at),
        pos=state.tail,
        error=reason(state),
        needs=needs(state)[:_EXCERPT],
        parent=state.parent.run if state.parent else "",
        roles=tuple(dict.fromkeys(question.role for question in asked)),
        question=asked[0].question[:_EXCERPT] if asked else "",
        asked=len(state.questions),
    )


_decode = msgspec.json.Decoder(IndexRow).decode


class Index:
    """Writes rows behind the runs."""

    def __init__(self, bucket: Bucket, later: float = LATER) -> None:
        self._bucket = bucket
        self.later = later
        """Seconds after which a run that is under way, or waits for a person, gets a row."""
        self._later: dict[str, LiveRun] = {}
        self._writing: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    async def reflect(self, live: LiveRun) -> None:
        """Return when people can see the run as it is now, or will without our doing."""
        state = live.state
        if state.ended or state.blocks or (state.waits and not state.asking_since):
            crash.point("before_index")
            await self.write(live)
            crash.point("after_index")
        else:
            self.soon(live)

    def soon(self, live: LiveRun) -> None:
        """Have people see the run a moment from now, unless somebody else shows it by then."""
        if live.id not in self._later:
            self._later[live.id] = live
            self._loop.call_later(self.later, self._look, live)

    def _look(self, live: LiveRun) -> None:
        self._later.pop(live.id, None)
        if not self._shown_by_others(live):
            task = self._loop.create_task(self._write_behind(live))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    def _shown_by_others(self, live: LiveRun) -> bool:
        """Whether who brought the run to where it is writes its row, or has written it."""
        state = live.state
        if state.ended or not state.frames or live.listed >= state.tail:
            return True
        # Whoever shows a question writes the row of its run; later entries are to be seen too.
        return bool(state.waits) and not state.blocks and not (state.asking_since and live.listed)

    async def _write_behind(self, live: LiveRun) -> None:
        try:
            await live.load()  # another worker may have ended the run by now
            if not self._shown_by_others(live):
                await self.write(live)
        except BusError as error:
            log.info("index.postponed", run=live.id, error=str(error))

    async def write(self, live: LiveRun) -> None:
        """Write the row of a run as it is known here, unless a later one is there."""
        for _ in range(_TRIES):
            row = row_of(live.state)
            if live.listed >= row.pos:
                return
            key = key_of(row.ticket, row.id)
            stored = await sealed(row, self._bucket.vault, self._bucket.place(key))
            data = msgspec.json.encode(stored)
            if live.state.status == COMPLETED:
                live.indexed = await self._bucket.put(key, data)
                live.listed = row.pos
                return
            try:
                live.indexed = await self._bucket.put(key, data, revision=live.indexed or 0)
            except Conflict:
                item = await self._bucket.get_newest(key)  # a copy that lags would conflict again
                if item is None:  # the marker of a row that was removed
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
