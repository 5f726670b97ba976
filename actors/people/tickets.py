"""The record of a ticket in the bucket `parked`: its questions, and the runs that wait for them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing

import msgspec

from ...bus.bounded import Bounded
from ...bus.bucket import Bucket
from ...bus.errors import Conflict
from ...bus.sealing import unsealed
from ...bus.token import check_ticket, encode
from ...runtime.delivery_policy import PoisonMessage
from ...runtime.question_fields import CONTENT
from ...runtime.run import RunCache
from ...runtime.state import Question, RunState
from ...runtime.vouching import must_sign
from .confidential import erased, opened, sealed
from .left_in_log import left_in_log, restored
from .parked_question import NOT_SHOWN, UNKNOWN, ParkedQuestion, Shown, parked_question

KEPT = 32
"""Closed questions that a record remembers."""
_REMEMBERED = 16_000_000
"""Bytes of records that a worker remembers, as they are stored."""
_MARKER = 60.0
"""Seconds that the marker of a removed record stays."""
_LARGEST = 128 * 1024
"""Bytes of a record with the states of its runs and what its questions say. What does not fit is
read from the logs again."""
_FULL = 768 * 1024
"""Bytes of a record that takes no further open question: how the others end still has room."""


class TicketFull(PoisonMessage):
    """A ticket has so many open questions that its record has no room for another."""

    def __init__(self, ticket: str, count: int) -> None:
        super().__init__(
            f"ticket {ticket!r} has {count:,} open questions, and no room for another: answer "
            "some of them, or cancel their runs, then retry this one"
        )


class ParkedRecord(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Everything parked under a ticket, oldest question first."""

    ticket: str
    questions: tuple[ParkedQuestion, ...] = ()
    runs: dict[str, RunState] = {}
    """The folded state of each run that waits, with its log position."""
    sealed: dict[str, bytes] = {}
    """The same for encrypted runs, as it is stored."""

    def __post_init__(self) -> None:
        """Refuse an id that no ticket can have. Raises ValueError."""
        check_ticket(self.ticket)


def with_question(
    record: ParkedRecord, run: RunState, question: Question, shown: Shown = NOT_SHOWN
) -> ParkedRecord:
    """`record` after what the run's log says about the question."""
    questions = list(record.questions)
    known = next((i for i, q in enumerate(questions) if q.id == question.id), None)
    if known is None:
        # Always last: an answer that is judged again must find the same oldest question.
        questions.append(parked_question(run, question, shown))
    elif questions[known].pos > run.tail and question.status == "open":
        return record  # it shows more of the log than `run` does
    elif len(questions[known].votes) > len(question.votes):
        return record  # the log says more than `run`
    elif questions[known].status == "open":
        before = questions[known].shown
        questions[known] = parked_question(run, question, before if before.since else shown)
    else:
        return record  # a question closes only once
    closed = [q for q in questions if q.status != "open"]
    dropped = {q.id for q in closed[:-KEPT]}
    waits = {q.run for q in questions if q.status == "open"}
    runs = {key: state for key, state in record.runs.items() if key in waits}
    sealed = {key: state for key, state in record.sealed.items() if key in waits - {run.id}}
    if run.id in waits:
        runs[run.id] = run
    return ParkedRecord(
        ticket=record.ticket,
        questions=tuple(q for q in questions if q.id not in dropped),
        runs=runs,
        sealed=sealed,
    )


def holds_all(record: ParkedRecord, role: str, newest: int) -> bool:
    """Whether a record certainly has all questions to a role up to the sequence `newest`.

    It may have them all without knowing: it drops where the old ones were published.
    """
    after = {q.shown_seq: q.shown_after for q in record.questions if q.role == role}
    while newest > 0:
        newest = after.pop(newest, UNKNOWN)
    return newest == 0


def question_in(record: ParkedRecord | None, question: str) -> ParkedQuestion | None:
    """A question as the record of its ticket has it."""
    return next((q for q in record.questions if q.id == question), None) if record else None


def _without_content(record: ParkedRecord, run: str) -> ParkedRecord:
    """A record that still shows that a run asked, without what it asked and what its state was."""
    questions = tuple(erased(q) if q.run == run else q for q in record.questions)
    runs = {key: state for key, state in record.runs.items() if key != run}
    sealed = {key: state for key, state in record.sealed.items() if key != run}
    return ParkedRecord(ticket=record.ticket, questions=questions, runs=runs, sealed=sealed)


def _open(record: ParkedRecord) -> int:
    return sum(question.status == "open" for question in record.questions)


_decoder = msgspec.json.Decoder(ParkedRecord)
_encode = msgspec.json.Encoder().encode


def decode(data: bytes) -> ParkedRecord:
    """Read a record."""
    return _decoder.decode(data)


_encode_state = msgspec.json.Encoder().encode
_decode_state = msgspec.json.Decoder(RunState).decode

Seen = tuple[ParkedRecord | None, int]
"""A record and its revision at the time of a read."""


class Tickets:
    """Reads and changes the records, by compare-and-set."""

    def __init__(self, bucket: Bucket, keep: float, runs: RunCache | None = None) -> None:
        """`runs` reads logs; None: nobody asks what questions say."""
        self._bucket = bucket
        self._keep = keep
        """Seconds that a record is kept after its last question, for receipts of late answers."""
        self._runs = runs
        self._recent: Bounded[str, Seen] = Bounded(_REMEMBERED)

    async def get(self, ticket: str) -> Seen:
        """A ticket's record and its revision; None and 0 if it has none.

        A record that this worker wrote is remembered, and may be out of date: the run's log
        confirms an acceptance, compare-and-set confirms a change, a refusal needs `get_newest`.
        """
        known = self._recent.get(ticket)
        if known is not None:
            return known
        item = await self._bucket.get(encode(ticket))
        return (item.read(decode), item.revision) if item else (None, 0)

    def remembered(self, ticket: str) -> Seen:
        """The same from memory; None and 0 if this worker remembers none."""
        return self._recent.get(ticket) or (None, 0)

    def last_shown(self, ticket: str, role: str) -> int:
        """Where the last question to a role was published on a ticket, from memory; 0: unknown."""
        record, _ = self.remembered(ticket)
        return (
            max((q.shown_seq for q in record.questions if q.role == role), default=0)
            if record
            else 0
        )

    async def each_of(self, tickets: Collection[str]) -> AsyncGenerator[tuple[str, ParkedRecord]]:
        """The records of the tickets that have one, perhaps out of date; 1,024 tickets at most.

        A few are held at a time: one record can be as large as a message.
        """
        others: dict[str, str] = {}
        for ticket in tickets:
            record, _ = self.remembered(ticket)
            if record is not None:
                yield ticket, record
            else:
                others[encode(ticket)] = ticket
        async with aclosing(self._bucket.each_of(others)) as items:
            async for item in items:
                record = item.read(decode)
                if record is not None:
                    yield others[item.key], record

    async def get_newest(self, ticket: str) -> Seen:
        """Like `get`, from the leader: a refusal must not be based on an old record."""
        item = await self._bucket.get_raw(encode(ticket))
        return (item.read(decode), item.revision) if item else (None, 0)

    async def state(self, record: ParkedRecord, run: str) -> RunState | None:
        """The parked state of a run; None if the record has none.

        Raises:
            Erased: the key of the run was destroyed.
            KeyMissing: it is encrypted, and no keyring here has its key.
        """
        sealed = record.sealed.get(run)
        if sealed is None:
            return record.runs.get(run)
        place = self._place(record.ticket, run)
        return _decode_state(await unsealed(self._bucket.vault, run, sealed, place))

    async def sealed(self, question: ParkedQuestion) -> ParkedQuestion:
        """A question as everybody may see it. Raises Erased, KeyMissing."""
        return await sealed(self._bucket.vault, question)

    async def unsealed(self, question: ParkedQuestion) -> ParkedQuestion:
        """A question with what an answer is judged by, in plain.

        Of a question whose content was left in the log, only a signature needs more than the form:
        a ticket may have a thousand long ones. Raises Erased, KeyMissing, Tampered.
        """
        if self._runs is None or not question.is_in_log:
            return await opened(self._bucket.vault, question)
        signers = self._runs.signers
        is_signed = any(must_sign(question, role, signers) for role in question.roles)
        return await self._restored(question, CONTENT if is_signed else ("form",))

    async def shown(self, question: ParkedQuestion) -> ParkedQuestion:
        """A question with what it says, unless it is sealed. Raises Erased, KeyMissing."""
        return await self._restored(question, CONTENT) if question.is_in_log else question

    async def _restored(self, question: ParkedQuestion, names: tuple[str, ...]) -> ParkedQuestion:
        if self._runs is None:
            return question
        live = await self._runs.get(question.run)
        if question.id not in live.state.questions:
            live = await self._runs.caught_up(live)
        return restored(question, live.state, names)

    def _place(self, ticket: str, run: str) -> str:
        return f"{self._bucket.place(encode(ticket))} {run}"

    async def _encoded(self, record: ParkedRecord) -> tuple[ParkedRecord, bytes]:
        """A record, and its stored form: without what can be read from logs if that is large."""
        vault = self._bucket.vault
        if any(question.confidential for question in record.questions):
            questions = tuple([await sealed(vault, each) for each in record.questions])
            record = msgspec.structs.replace(record, questions=questions)
        data = _encode(await self._with_sealed_states(record))
        if len(data) > _LARGEST and (record.runs or record.sealed):
            record = msgspec.structs.replace(record, runs={}, sealed={})
            data = _encode(record)
        if len(data) > _LARGEST:
            questions = tuple(map(left_in_log, record.questions))
            record = msgspec.structs.replace(record, questions=questions)
            data = _encode(record)
        return record, data

    async def _with_sealed_states(self, record: ParkedRecord) -> ParkedRecord:
        """A record with the states of encrypted runs sealed."""
        vault = self._bucket.vault
        if vault is None or not record.runs:
            return record
        plain: dict[str, RunState] = {}
        states = dict(record.sealed)
        for run, state in record.runs.items():
            cipher = vault.cached(run) or await vault.of_run(run)
            if cipher is None:
                plain[run] = state
            else:
                place = self._place(record.ticket, run)
                states[run] = cipher.seal(_encode_state(state), place)
        return msgspec.structs.replace(record, runs=plain, sealed=states)

    async def change(
        self,
        ticket: str,
        update: Callable[[ParkedRecord], ParkedRecord],
        seen: Seen | None = None,
    ) -> None:
        """Apply `update` to the newest record; `seen` is what the caller believes that is.

        If not given, it is what this worker remembers, or any copy has.

        Raises:
            TicketFull: it would open a question that has no room.
        """
        key = encode(ticket)
        seen = seen or await self.get(ticket)
        while True:
            record, revision = seen
            old = record or ParkedRecord(ticket=ticket)
            new = update(old)
            waits = any(q.status == "open" for q in new.questions)
            if new is old:
                # Another worker's record must replace our older copy.
                self._remember(ticket, seen, len(_encode(new)), waits=waits)
                return
            new, data = await self._encoded(new)
            if len(data) > _FULL and _open(new) > _open(old):
                raise TicketFull(ticket, _open(old))
            ttl = None if waits else self._keep
            try:
                revision = await self._bucket.put(key, data, revision=revision, ttl=ttl)
            except Conflict:
                seen = await self.get_newest(ticket)
            else:
                self._remember(ticket, (new, revision), len(data), waits=waits)
                return

    async def erase(self, ticket: str, run: str) -> tuple[ParkedQuestion, ...]:
        """Cancel the open questions of a run that nobody can read any longer, and return them."""
        seen = await self.get_newest(ticket)
        gone = tuple(q for q in seen[0].questions if q.run == run) if seen[0] else ()
        if gone:
            await self.change(ticket, lambda record: _without_content(record, run), seen)
        return tuple(q for q in gone if q.status == "open")

    async def drop(self, ticket: str, run: str) -> tuple[ParkedQuestion, ...]:
        """Remove the questions of a run that has ended, and return them."""
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
        """Drop the remembered record of a ticket; empty: those of all tickets."""
        if ticket:
            self._recent.pop(ticket)
        else:
            self._recent.clear()

    def _remember(self, ticket: str, seen: Seen, size: int, *, waits: bool) -> None:
        if waits:
            self._recent.put(ticket, seen, size)
        else:
            self._recent.pop(ticket)
