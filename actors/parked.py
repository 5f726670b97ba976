"""The record of a ticket in the bucket `parked`: its questions, and the runs that wait on them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from ..bus.bounded import Bounded
from ..bus.bucket import Bucket
from ..bus.errors import Conflict
from ..bus.sealing import unsealed
from ..bus.token import check_ticket, check_words, encode, is_key
from ..runtime.call import Call
from ..runtime.index import IndexRow
from ..runtime.state import WAITING, Question, RunState
from ..runtime.times import check_times, iso

_ERASED = "(erased)"
"""In the place of a question."""
KEPT = 32
"""Closed questions that a record remembers."""
_REMEMBERED = 16_000_000
"""Bytes of records that a worker remembers, as they are stored."""
_MARKER = 60.0
"""Seconds that the marker of a record that is gone stays."""
_LARGEST = 128 * 1024
"""Bytes of parked state that a record carries; a larger run is read from its log again."""


class ParkedQuestion(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One question on a ticket, open or closed."""

    id: str
    run: str
    role: str
    question: str
    context: str = ""
    agent: str = ""
    form: dict[str, Any] | None = None
    asked_at: str
    deadline: str
    status: str = "open"
    by: str = ""
    closed_at: str = ""
    seq: int = 0
    """Sequence of the answer that won."""
    workflow: str = ""
    started_at: str = ""
    """When the run began."""
    pos: int = 0
    """The position of the run's log that this reflects."""
    parent: str = ""
    """The run that started this one and waits for it."""
    since: float = 0.0
    """When its log entry was stored, Unix seconds by the server's clock, as for answers."""
    digest: str = ""
    """Of the call that is to be approved."""
    answer_with: tuple[str, ...] = ()
    """While it is open: shell commands that answer exactly this question."""
    accept: list[str] = []
    """Who must vouch for whoever answers; empty: nobody."""
    call: Call | None = None
    """What is to be approved, where the answer is to be signed."""

    def __post_init__(self) -> None:
        """Refuse what cannot be shown, or would become a subject. Raises ValueError."""
        check_times(self.asked_at, self.deadline, self.closed_at, self.started_at)
        check_words(self.run, self.role, self.parent)
        if not (is_key(self.id) and self.run and self.asked_at and self.deadline):
            raise ValueError("it has no id, no run, or no deadline")


class ParkedRecord(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Everything parked under a ticket, oldest question first."""

    ticket: str
    questions: tuple[ParkedQuestion, ...] = ()
    runs: dict[str, RunState] = {}
    """The folded state of each run that waits, with its log position."""
    sealed: dict[str, bytes] = {}
    """The same of runs that are encrypted, as it is stored."""

    def __post_init__(self) -> None:
        """Refuse what no ticket can have as its id. Raises ValueError."""
        check_ticket(self.ticket)


def parked_question(
    run: RunState, question: Question, since: float = 0.0, answer_with: tuple[str, ...] = ()
) -> ParkedQuestion:
    """A question as its ticket's record shows it."""
    closed = "" if question.status == "open" else iso(question.at or run.updated_at)
    return ParkedQuestion(
        id=question.id,
        run=run.id,
        role=question.role,
        question=question.question,
        context=question.context,
        agent=question.agent,
        form=question.form,
        asked_at=iso(question.asked_at),
        deadline=iso(question.deadline),
        status=question.status,
        by=question.by,
        closed_at=closed,
        seq=question.seq,
        workflow=run.workflow,
        started_at=iso(run.started_at),
        pos=run.tail,
        parent=run.parent.run if run.parent else "",
        since=since,
        digest=question.digest,
        accept=question.accept,
        call=question.call,
        answer_with=answer_with if question.status == "open" else (),
    )


def waiting_row(ticket: str, question: ParkedQuestion) -> IndexRow:
    """The row of a run that waits for an answer, as far as its question tells."""
    return IndexRow(
        id=question.run,
        workflow=question.workflow,
        ticket=ticket,
        status=WAITING,
        started_at=question.started_at,
        updated_at=question.asked_at,
        pos=question.pos,
        parent=question.parent,
        roles=(question.role,),
        question=question.question,
    )


def with_question(
    record: ParkedRecord,
    run: RunState,
    question: Question,
    since: float = 0.0,
    answer_with: tuple[str, ...] = (),
) -> ParkedRecord:
    """`record` as it should be now that the run's log says this of the question."""
    questions = list(record.questions)
    known = next((i for i, q in enumerate(questions) if q.id == question.id), None)
    if known is None:
        # Always last: an answer that is judged again must find the same oldest question.
        questions.append(parked_question(run, question, since, answer_with))
    elif questions[known].status == "open":
        shown = questions[known]
        lines = shown.answer_with or answer_with
        questions[known] = parked_question(run, question, shown.since or since, lines)
    else:
        return record  # closed before, and a question closes once
    closed = [q for q in questions if q.status != "open"]
    forgotten = {q.id for q in closed[:-KEPT]}
    waits = {q.run for q in questions if q.status == "open"}
    runs = {key: state for key, state in record.runs.items() if key in waits}
    sealed = {key: state for key, state in record.sealed.items() if key in waits - {run.id}}
    if run.id in waits:
        runs[run.id] = run
    return ParkedRecord(
        ticket=record.ticket,
        questions=tuple(q for q in questions if q.id not in forgotten),
        runs=runs,
        sealed=sealed,
    )


def _without_text(record: ParkedRecord, run: str) -> ParkedRecord:
    """A record that holds nothing of what a run has asked, or was, but that it did."""

    def erased(question: ParkedQuestion) -> ParkedQuestion:
        status = "cancelled" if question.status == "open" else question.status
        return msgspec.structs.replace(
            question,
            question=_ERASED,
            context="",
            form=None,
            status=status,
            closed_at=question.closed_at or iso(time.time()),
            answer_with=(),
        )

    questions = tuple(erased(q) if q.run == run else q for q in record.questions)
    runs = {key: state for key, state in record.runs.items() if key != run}
    sealed = {key: state for key, state in record.sealed.items() if key != run}
    return ParkedRecord(ticket=record.ticket, questions=questions, runs=runs, sealed=sealed)


_decoder = msgspec.json.Decoder(ParkedRecord)
_encode = msgspec.json.Encoder().encode


def decode(data: bytes) -> ParkedRecord:
    """Read a record."""
    return _decoder.decode(data)


_encode_state = msgspec.json.Encoder().encode
_decode_state = msgspec.json.Decoder(RunState).decode

Seen = tuple[ParkedRecord | None, int]
"""A record and its revision, as somebody saw them."""


class Parking:
    """Reads and changes the records, by compare-and-set."""

    def __init__(self, bucket: Bucket, keep: float) -> None:
        self._bucket = bucket
        self._keep = keep
        """Seconds that a record outlives its last question, for the receipts of late answers."""
        self._recent: Bounded[str, Seen] = Bounded(_REMEMBERED)

    async def get(self, ticket: str) -> Seen:
        """A ticket's record and its revision, None and 0 when it has none.

        What this worker wrote itself is remembered, and may be out of date: a yes is confirmed by
        the run's log, a change by compare-and-set, and for a no there is `get_newest`.
        """
        known = self._recent.get(ticket)
        if known is not None:
            return known
        item = await self._bucket.get(encode(ticket))
        return (item.read(decode), item.revision) if item else (None, 0)

    async def get_newest(self, ticket: str) -> Seen:
        """Like `get`, from the leader: for saying no."""
        item = await self._bucket.get_written(encode(ticket))
        return (item.read(decode), item.revision) if item else (None, 0)

    async def state(self, record: ParkedRecord, run: str) -> RunState | None:
        """The parked state of a run, None where the record has none.

        Raises:
            Erased: the key of the run was destroyed.
            KeyMissing: it is encrypted, and no keyring here holds its key.
        """
        sealed = record.sealed.get(run)
        if sealed is None:
            return record.runs.get(run)
        place = self._place(record.ticket, run)
        return _decode_state(await unsealed(self._bucket.vault, run, sealed, place))

    def _place(self, ticket: str, run: str) -> str:
        return f"{self._bucket.place(encode(ticket))} {run}"

    async def _encoded(self, record: ParkedRecord) -> tuple[ParkedRecord, bytes]:
        """A record, and how it is stored: without the runs where they are too large."""
        data = _encode(await self._sealed(record))
        if len(data) <= _LARGEST:
            return record, data
        record = msgspec.structs.replace(record, runs={}, sealed={})
        return record, _encode(record)

    async def _sealed(self, record: ParkedRecord) -> ParkedRecord:
        """A record with the states of encrypted runs sealed."""
        vault = self._bucket.vault
        if vault is None:
            return record
        plain: dict[str, RunState] = {}
        sealed = dict(record.sealed)
        for run, state in record.runs.items():
            cipher = await vault.of_run(run)
            if cipher is None:
                plain[run] = state
            else:
                place = self._place(record.ticket, run)
                sealed[run] = cipher.seal(_encode_state(state), place)
        return msgspec.structs.replace(record, runs=plain, sealed=sealed)

    async def change(
        self,
        ticket: str,
        update: Callable[[ParkedRecord], ParkedRecord],
        seen: Seen = (None, 0),
    ) -> None:
        """Apply `update` to the newest record; `seen` is what the caller believes it to be."""
        key = encode(ticket)
        while True:
            record, revision = seen
            old = record or ParkedRecord(ticket=ticket)
            new = update(old)
            waits = any(q.status == "open" for q in new.questions)
            if new is old:
                # What another worker has written must not be judged by our older copy for ever.
                self._remember(ticket, seen, len(_encode(new)), waits=waits)
                return
            new, data = await self._encoded(new)
            ttl = None if waits else self._keep
            try:
                revision = await self._bucket.put(key, data, revision=revision, ttl=ttl)
            except Conflict:
                seen = await self.get_newest(ticket)
            else:
                self._remember(ticket, (new, revision), len(data), waits=waits)
                return

    async def erase(self, ticket: str, run: str) -> tuple[ParkedQuestion, ...]:
        """Cancel the open questions of a run that nobody can read any more; which they were."""
        seen = await self.get_newest(ticket)
        gone = tuple(q for q in seen[0].questions if q.run == run) if seen[0] else ()
        if gone:
            await self.change(ticket, lambda record: _without_text(record, run), seen)
        return tuple(q for q in gone if q.status == "open")

    async def drop(self, ticket: str, run: str) -> tuple[ParkedQuestion, ...]:
        """Forget the questions of a run that is over, and say which they were."""
        while True:
            record, revision = await self.get_newest(ticket)
            questions = record.questions if record else ()
            gone = tuple(q for q in questions if q.run == run)
            if record is None or not gone:
                return ()
            left = tuple(q for q in questions if q.run != run)
            waits = any(q.status == "open" for q in left)
            rest = ParkedRecord(
                ticket=ticket,
                questions=left,
                runs={key: state for key, state in record.runs.items() if key != run},
                sealed={key: state for key, state in record.sealed.items() if key != run},
            )
            data = (await self._encoded(rest))[1] if left else b""
            ttl = None if waits else self._keep if left else _MARKER
            try:
                await self._bucket.put(encode(ticket), data, revision=revision, ttl=ttl)
            except Conflict:
                continue
            self._recent.pop(ticket)
            return gone

    def forget(self, ticket: str) -> None:
        """Remember no record of a ticket; empty: of none."""
        if ticket:
            self._recent.pop(ticket)
        else:
            self._recent.clear()

    def _remember(self, ticket: str, seen: Seen, size: int, *, waits: bool) -> None:
        if waits:
            self._recent.put(ticket, seen, size)
        else:
            self._recent.pop(ticket)
