"""What happened, as the server recorded it: all logs, questions, answers and receipts."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from layby.actors.people.answer import Given, Receipt, read
from layby.actors.people.notices import NOTICE
from layby.actors.people.open_questions import decode as decode_open
from layby.actors.people.published_questions import RUNG
from layby.actors.people.tickets import ParkedRecord
from layby.actors.people.tickets import decode as decode_record
from layby.bus.bucket import Bucket
from layby.bus.errors import BusError
from layby.bus.log import Log
from layby.bus.log_subject import parse, shares
from layby.bus.requests import Requests
from layby.commands import CommandOutcome
from layby.runtime.act_records import VERBS
from layby.runtime.envelope import Envelope, decode
from layby.runtime.index import IndexRow
from layby.runtime.journal import fold
from layby.runtime.opened_records import OPENED
from layby.runtime.state import RunState

from . import keys
from .app import SAID
from .signers import FORGED, ROLE

_PAGE = 500


class Stored(NamedTuple):
    """A message of a stream."""

    seq: int
    subject: str
    at: float
    data: bytes
    headers: Mapping[str, str] = {}


class Entry(NamedTuple):
    """A position of a run's log."""

    n: int
    to: str
    at: float
    envelope: Envelope


class AnswerSent(NamedTuple):
    """An answer that the stream of answers holds."""

    seq: int
    ticket: str
    by: str
    at: float
    given: Given | None
    """None when it cannot be understood, or is forged."""
    role: str = "developer"
    data: bytes = b""


class ActSent(NamedTuple):
    """Something that the stream of answers holds besides answers: a claim, a look, and so on."""

    seq: int
    role: str
    verb: str
    ticket: str
    by: str
    at: float
    data: bytes


class LogTail:
    """Reads a stream forward, again and again."""

    def __init__(self, requests: Requests, stream: str, filter_: str = ">") -> None:
        self._requests = requests
        self._stream = stream
        self._filter = filter_
        self._next = 1

    async def more(self) -> list[Stored]:
        """What was stored since the last time."""
        found: list[Stored] = []
        while True:
            body = {"seq": self._next, "batch": _PAGE, "next_by_subj": self._filter}
            page = [
                _stored(msg)
                for msg in await self._requests.direct_get(self._stream, body)
                if not msg.status
            ]
            if not page:
                return found
            found += page
            self._next = page[-1].seq + 1


def _stored(msg: Any) -> Stored:
    headers = msg.headers
    at = datetime.fromisoformat(headers["Nats-Time-Stamp"]).timestamp()
    return Stored(int(headers["Nats-Sequence"]), headers["Nats-Subject"], at, msg.data, headers)


class History:
    """Everything that was recorded, brought up to date by `refresh`."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._logs: list[LogTail] = []
        self._tails = {name: LogTail(requests, name) for name in ("QUESTIONS", "ANSWERS")}
        self._said = LogTail(requests, "EVENTS", SAID)
        self._audit = LogTail(requests, "AUDIT")
        self._vault = keys.fresh_vault(requests)
        self._last: dict[str, Stored] = {}
        """Of each run that is encrypted: the newest position."""
        self.commands: dict[int, Stored] = {}
        """What was commanded, by number."""
        self.outcomes: dict[int, list[CommandOutcome]] = defaultdict(list)
        """What came of it."""
        self.said: dict[str, list[str]] = defaultdict(list)
        """What was said in each chat, in the order in which it was stored."""
        self.logs: dict[str, list[Entry]] = {}
        self.states: dict[str, RunState] = {}
        self.questions: dict[str, Stored] = {}
        """Published questions by id; the first publication of each."""
        self.shown: dict[tuple[str, str], Stored] = {}
        """The same by id and role: where each role was first asked."""
        self.rungs: list[Stored] = []
        """Questions that were published again for a rung of their ladders."""
        self.receipts: list[tuple[float, Receipt]] = []
        self.answers: dict[int, AnswerSent] = {}
        self.acts: dict[int, ActSent] = {}
        """What people said to questions besides answering them."""
        self.looks: dict[int, ActSent] = {}
        """Who has looked at a question."""
        self.index: dict[str, IndexRow] = {}
        self.listed: set[str] = set()
        """The questions that are listed as open."""
        self.blocked: set[str] = set()
        """The runs that are listed as blocked."""
        self.parked: dict[str, ParkedRecord] = {}
        self.dead: list[Stored] = []
        self.broken: list[str] = []
        """Logs that could not be folded."""

    async def refresh(self) -> None:
        """Read what is new in the streams."""
        if not self._logs:
            streams = shares(await Log(self._requests).streams())
            self._logs = [LogTail(self._requests, name) for name in streams]
        for log in self._logs:
            for stored in await log.more():
                await self._entry(stored)
        for stored in await self._tails["QUESTIONS"].more():
            self._question_or_receipt(stored)
        for stored in await self._said.more():
            message = msgspec.json.decode(stored.data)
            self.said[message["chat"]].append(message["text"])
        for stored in await self._tails["ANSWERS"].more():
            self._answer(stored)
        for stored in await self._audit.more():
            self._commanded(stored)

    async def refresh_when_there(self) -> None:
        """Like `refresh`, while the server or its streams may not be there."""
        with contextlib.suppress(BusError):
            await self.refresh()

    async def close(self) -> None:
        """Read the derived things too, which are judged at the end alone."""
        await self.refresh()
        await self._reopen()
        rows = [
            msgspec.json.decode(item.value, type=IndexRow)
            async for item in Bucket(self._requests, "runs").items()
        ]
        self.index = {row.id: row for row in rows}
        self.listed = {
            decode_open(item.value).question.id
            async for item in Bucket(self._requests, "questions").items()
            if "." in item.key  # or it says which form the rows have
        }
        self.blocked = {item.key async for item in Bucket(self._requests, "blocked").items()}
        records = [
            decode_record(item.value) async for item in Bucket(self._requests, "parked").items()
        ]
        self.parked = {record.ticket: record for record in records}
        self.dead = await LogTail(self._requests, "DEAD", "dead.>").more()

    async def _reopen(self) -> None:
        """Open all logs as whoever comes new: the keys that sealed them must be there still."""
        vault = keys.fresh_vault(self._requests)
        if vault is None:
            return
        log = Log(self._requests)
        for run, stored in self._last.items():
            n = parse(stored.subject)[2]
            found = await keys.opened(vault, run, n, stored.data, stored.subject)
            if isinstance(found, bytes) or found in self.broken:
                continue
            if await log.first(run) is not None:  # or it was purged, and its key with it
                self.broken.append(found)

    def run_of(self, ticket: str) -> RunState | None:
        """The run of a ticket, of which each has one."""
        return next((state for state in self.states.values() if state.ticket == ticket), None)

    async def _entry(self, stored: Stored) -> None:
        to, run, n = parse(stored.subject)
        data: bytes | str = stored.data
        if self._vault is not None:
            self._last[run] = stored
            data = await keys.opened(self._vault, run, n, stored.data, stored.subject)
        if isinstance(data, str):
            self.broken.append(data)
            return
        log = self.logs.setdefault(run, [])
        state = self.states.setdefault(run, RunState(id=run))
        entry = Entry(n, to, stored.at, decode(data))
        if n != len(log) + 1:
            self.broken.append(f"run {run}: position {n} came after {len(log)}")
            return
        log.append(entry)
        fold(state, n, entry.envelope)

    def _question_or_receipt(self, stored: Stored) -> None:
        role, noun, _ = stored.subject.split(".", 2)
        if noun == "receipt":
            self.receipts.append((stored.at, msgspec.json.decode(stored.data, type=Receipt)))
            return
        if noun == NOTICE:
            return  # its readers do not believe it
        question = msgspec.json.decode(stored.data)["id"]
        self.questions.setdefault(question, stored)
        self.shown.setdefault((question, role), stored)
        if RUNG in stored.headers:
            self.rungs.append(stored)

    def _commanded(self, stored: Stored) -> None:
        if stored.subject.startswith("layby.do."):
            self.commands[stored.seq] = stored
        else:
            outcome = msgspec.json.decode(stored.data, type=CommandOutcome)
            self.outcomes[outcome.seq].append(outcome)

    def _answer(self, stored: Stored) -> None:
        role, noun, rest = stored.subject.split(".", 2)
        token, _, responder = rest.partition(".")
        responder = responder.partition(".via-")[0]
        if noun in VERBS or noun == OPENED:
            seq, at, data = stored.seq, stored.at, stored.data
            said = self.looks if noun == OPENED else self.acts
            said[seq] = ActSent(seq, role, noun, token, responder, at, data)
            return
        told = read(stored.data, token)
        given = told if isinstance(told, Given) else None
        if given is not None and role == ROLE and given.text.startswith(FORGED):
            given = None
        self.answers[stored.seq] = AnswerSent(
            stored.seq, token, responder, stored.at, given, role, stored.data
        )
