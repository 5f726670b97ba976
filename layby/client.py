"""The client: send events, answer questions, look at runs. Needs a connection and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import msgspec

from .actors.answer import Receipt as WireReceipt
from .actors.parked import ParkedRecord
from .actors.parked import decode as decode_record
from .bus.blobs import Blobs
from .bus.bucket import Bucket
from .bus.connection import Connection
from .bus.dead import DeadLetter, DeadLetters
from .bus.errors import BusError, LaybyError, PublishUnconfirmed
from .bus.log import Log, LogMessage
from .bus.opened import opened
from .bus.requests import Requests
from .bus.settings import ConnectionSettings
from .bus.token import encode, is_word
from .doctor import examine
from .events import AnyEvent, number
from .handle import Run
from .listing import all_rows
from .rows import (
    DeadRow,
    FailureRow,
    Finding,
    PlaceRow,
    Purged,
    QuestionRow,
    Receipt,
    RunDetail,
    RunRow,
    Sent,
    StepRow,
    TimelineLine,
)
from .runtime import ids
from .runtime.entry import Cancelled, Failure
from .runtime.errors import Fenced
from .runtime.index import IndexRow, error, needs, reason
from .runtime.run import LiveRun
from .runtime.state import UNENDED, RunState
from .runtime.times import iso
from .runtime.worker import CANCEL
from .timeline import Narrator
from .watch import Watch

_RUN_ID = re.compile(r"[0-9a-f]{20}")


class NoReceipt(LaybyError):
    """An answer is stored, but no worker has said what became of it yet."""


class NoSuchRun(LaybyError):
    """No run has that id or ticket."""


class RunOver(LaybyError):
    """The run has ended already."""


class Client:
    """Speaks with running workers through NATS alone."""

    def __init__(self, connection: Connection, requests: Requests) -> None:
        self._connection = connection
        self._requests = requests
        self._log = Log(requests)
        self._blobs = Blobs(requests)
        self._dead = DeadLetters(requests)
        self._index = Bucket(requests, "runs")
        self._parked = Bucket(requests, "parked")
        self._watch = Watch(connection, self._log, self._blobs)

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(cls, settings: ConnectionSettings) -> AsyncGenerator[Client]:
        """A client, connected while the block is open.

        Raises:
            ServerUnavailable: no server answers.
        """
        async with opened(settings) as bus:
            yield cls(bus.connection, bus.requests)

    async def send(self, subject: str, data: Any, *, event_id: str | None = None) -> Sent:
        """Publish an event; return when JetStream has it.

        An event with an `event_id` that was sent before starts nothing new.

        Raises:
            StreamMissing: nobody listens on `subject`: no app with that trigger is provisioned.
        """
        body = data if isinstance(data, bytes) else msgspec.json.encode(data)
        headers = {"Nats-Msg-Id": event_id} if event_id else None
        ack = await self._ask(self._requests.store(subject, body, headers), subject)
        return Sent(stream=ack.stream, seq=ack.seq, duplicate=ack.duplicate)

    async def answer(
        self,
        ticket: str,
        text: str,
        *,
        role: str = "developer",
        question_id: str | None = None,
        by: str | None = None,
        responder: str | None = None,
        timeout: float = 5.0,  # noqa: ASYNC109
    ) -> Receipt:
        """Answer a question on `ticket` and return the receipt.

        `by` is what the answer says of its author. `responder` is a word of the subject that the
        server can hold its user to (see deploy/permissions.conf), and counts more than `by`.

        Raises:
            InvalidTicket: no ticket can have that id.
            NoReceipt: stored, but no worker took it within `timeout` seconds.
            PermissionDenied: the server lets this user answer otherwise, or not at all.
            ValueError: `responder` is no word of letters, digits, `_` and `-`.
        """
        token = encode(ticket)
        if responder is not None and not is_word(responder):
            raise ValueError(f"responder {responder!r}: use letters, digits, _ and -")
        body = {"answer": text, "questionId": question_id, "by": by}
        data = msgspec.json.encode({key: value for key, value in body.items() if value is not None})
        receipts: asyncio.Queue[Receipt] = asyncio.Queue()

        async def receive(msg: Any) -> None:
            receipts.put_nowait(_receipt(msg.data))

        nc = self._connection.nc
        sub = await nc.subscribe(f"{role}.receipt.{token}", cb=receive)
        try:
            await nc.flush(2)
            subject = f"{role}.response.{token}{'.' if responder else ''}{responder or ''}"
            ack = await self._ask(self._requests.store(subject, data), subject)
            async with asyncio.timeout(timeout):
                while True:
                    receipt = await receipts.get()
                    if receipt.seq == ack.seq:
                        return receipt
        except TimeoutError:
            raise NoReceipt(
                f"no receipt for the answer to {ticket!r} within {timeout:g} s; it is stored and "
                "will be applied when a worker runs"
            ) from None
        finally:
            await sub.unsubscribe()

    async def questions(self, role: str | None = None) -> list[QuestionRow]:
        """The open questions, the earliest deadline first."""
        found: dict[str, QuestionRow | None] = {}
        async for item in self._items(self._parked):
            for question in decode_record(item).questions:
                found[question.id] = None  # closed, unless it is open where it is read last
            for row in _open_questions(decode_record(item), role):
                found[row.id] = row
        return sorted((row for row in found.values() if row), key=lambda row: row.deadline)

    async def runs(self, status: str | None = None, limit: int = 50) -> list[RunRow]:
        """Runs, the newest first, at most `limit` of them."""
        rows = [row for row in (await self._rows()).values() if status in {None, row.status}]
        rows.sort(key=lambda row: row.started_at, reverse=True)
        return [_run_row(row) for row in rows[:limit]]

    async def show(self, run: str) -> RunDetail:
        """One run with its history: by id, by the beginning of its id, or by its ticket.

        A ticket means its newest run. Raises NoSuchRun.
        """
        live, messages = await self._load(await self._find(run))
        narrator = Narrator(live.id)
        steps: list[StepRow] = []
        for message in messages:
            steps += [row for _, row in narrator.tell(message)]
        result = await self._blobs.inflate(live.state.result)
        return _detail(live.state, msgspec.json.decode(result), steps)

    async def cancel(self, run: str, reason: str = "") -> RunRow:
        """Cancel a run: its work stops at once, its open questions are closed.

        Raises:
            NoSuchRun: there is none.
            RunOver: it has ended already.
        """
        run_id = await self._find(run)
        live, _ = await self._load(run_id)
        if not live.state.ended:
            with contextlib.suppress(Fenced):
                await live.append([Cancelled(reason=reason)], to=live.state.root.actor)
                await self._requests.tell(f"{CANCEL}.{run_id}")
                return _state_row(live.state)
        raise RunOver(f"run {run_id} has ended already: it is {live.state.status}")

    def run(self, run: str) -> Run:
        """A handle of a run, by its id, by the beginning of its id, or by its ticket."""
        return Run(self, run)

    def run_of(self, workflow: str, event_id: str) -> Run:
        """A handle of the run that `workflow` starts for the event sent with `event_id`."""
        return Run(self, ids.run_id(workflow, event_id))

    def events(self, run: str, after: str | int | None = None) -> AsyncGenerator[AnyEvent]:
        """What a run tells of itself, typed: what has happened, then what happens, to its end.

        Everything but `text.delta` is read from the run's log, so nothing is lost or told twice
        however often you come back. A run that does not exist yet is waited for.

        Args:
            run: The run's id.
            after: The `id` of the last event that you have; None: from the beginning.

        Raises:
            ValueError: `after` is no event's number.
        """
        return self._watch.events(run, (0, -1.0) if after is None else number(after))

    def follow(self, run: str | None = None, *, text: bool = False) -> AsyncGenerator[TimelineLine]:
        """What happens, as it happens: of one run from its beginning to its end, or of all runs.

        A run that does not exist yet is waited for. With `text`, lines of the kind `text.delta`
        tell what the models of the one run say while they say it.
        """
        return self._watch.every_line() if run is None else self._watch.lines(run, text=text)

    async def doctor(self) -> list[Finding]:
        """Look at the server, the streams and whatever is stuck."""
        return await examine(self._connection, self._requests)

    async def dead(self) -> list[DeadRow]:
        """Messages that no worker could handle, oldest first."""
        try:
            return [_dead_row(number, letter) for number, letter in await self._dead.list()]
        except BusError as error:
            if error.code != _NO_SUCH_STREAM:
                raise
            return []

    async def dead_letter(self, number: int) -> DeadRow:
        """One of them. Raises NoSuchLetter."""
        return _dead_row(number, await self._dead.get(number))

    async def retry_dead(self, number: int) -> Sent:
        """Publish its message anew. Raises NoSuchLetter, CannotRetry."""
        letter = await self._dead.get(number)
        return Sent(stream=letter.stream, seq=await self._dead.retry(number))

    async def drop_dead(self, number: int) -> None:
        """Remove it. Raises NoSuchLetter."""
        await self._dead.drop(number)

    async def purge(self, older_than: float) -> Purged:
        """Remove runs that ended more than `older_than` seconds ago, logs and rows.

        Runs that have not ended stay, however old. Needs the right to purge the streams of logs.
        """
        before = iso(time.time() - older_than)
        runs = messages = 0
        for row in (await self._rows()).values():
            if row.status in UNENDED or row.updated_at >= before:
                continue
            messages += await self._log.purge(row.id)
            await self._index.forget(row.id)
            runs += 1
        return Purged(runs=runs, messages=messages)

    # ------------------------------------------------------------------------------------------

    async def _ask(self, call: Any, subject: str) -> Any:
        """Await a request; say so where the server refused it for lack of a permission."""
        try:
            return await call
        except PublishUnconfirmed:
            denied = self._connection.last_permission_error(subject)
            if denied is None:
                raise
            raise denied from None

    async def _items(self, bucket: Bucket) -> AsyncIterator[bytes]:
        try:
            async for item in bucket.items():
                yield item.value
        except BusError as error:
            if error.code != _NO_SUCH_STREAM:
                raise

    async def _rows(self) -> dict[str, IndexRow]:
        return await all_rows(self._requests)

    async def _find(self, run: str) -> str:
        if _RUN_ID.fullmatch(run) and await self._log.load(run):
            return run  # known before the index shows it
        rows = list((await self._rows()).values())
        begins = [row for row in rows if run and row.id.startswith(run)]
        of_ticket = sorted((row for row in rows if row.ticket == run), key=lambda r: r.started_at)
        if of_ticket:  # before ids: a short ticket must not mean, or cancel, another one's run
            return of_ticket[-1].id
        if len(begins) == 1:
            return begins[0].id
        if begins:
            raise NoSuchRun(f"{run!r} begins the ids of {len(begins)} runs: give more of it")
        raise NoSuchRun(f"there is no run {run!r}, and no run for a ticket of that name")

    async def _load(self, run_id: str) -> tuple[LiveRun, list[LogMessage]]:
        live = LiveRun(self._log, RunState(id=run_id))
        messages = await self._log.load(run_id)
        for message in messages:
            live.learn(message)
        if not messages:
            raise NoSuchRun(f"there is no run {run_id!r}")
        return live, messages


_NO_SUCH_STREAM = 503
"""Direct get is answered by nobody when there is no such stream."""


def _receipt(data: bytes) -> Receipt:
    wire = msgspec.json.decode(data, type=WireReceipt)
    return Receipt(**msgspec.structs.asdict(wire))


def _open_questions(record: ParkedRecord, role: str | None) -> list[QuestionRow]:
    return [
        QuestionRow(
            id=question.id,
            ticket=record.ticket,
            role=question.role,
            question=question.question,
            context=question.context,
            agent=question.agent,
            run=question.run,
            asked_at=question.asked_at,
            deadline=question.deadline,
        )
        for question in record.questions
        if question.status == "open" and role in {None, question.role}
    ]


def _dead_row(number: int, letter: DeadLetter) -> DeadRow:
    return DeadRow(
        id=number,
        at=iso(letter.at),
        subject=letter.subject,
        reason=letter.reason,
        mailbox=letter.mailbox,
        size=letter.size,
        body=letter.body,
    )


def _run_row(row: IndexRow) -> RunRow:
    return RunRow(
        id=row.id,
        workflow=row.workflow,
        ticket=row.ticket,
        status=row.status,  # type: ignore[arg-type]
        started_at=row.started_at,
        updated_at=row.updated_at,
        needs=row.needs,
        reason=row.error,
    )


def _state_row(state: RunState) -> RunRow:
    return RunRow(
        id=state.id,
        workflow=state.workflow,
        ticket=state.ticket,
        status=state.status,  # type: ignore[arg-type]
        started_at=iso(state.started_at),
        updated_at=iso(state.updated_at),
        needs=needs(state),
        reason=reason(state),
    )


def _detail(state: RunState, result: Any, steps: list[StepRow]) -> RunDetail:
    return RunDetail(
        **msgspec.structs.asdict(_state_row(state)),
        result=result,
        error=error(state) or None,
        failure=_failure(state.failure),
        steps=steps,
    )


def _failure(failure: Failure | None) -> FailureRow | None:
    if failure is None:
        return None
    place = PlaceRow(**msgspec.structs.asdict(failure.place)) if failure.place else None
    return FailureRow(
        type=failure.type, message=failure.message, place=place, causes=failure.causes
    )
