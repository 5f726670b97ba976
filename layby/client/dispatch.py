"""Sends one event, and reports who handles it and what it started."""

from __future__ import annotations

import asyncio
import contextlib
import re
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ..bus.connection import Connection
from ..bus.dead import DeadLetter
from ..bus.errors import BusError, KeyMissing, LaybyError, PermissionDenied
from ..bus.log import Log
from ..bus.log_subject import parse
from ..bus.names import EVENTS, Names
from ..bus.outbox import Outbox
from ..bus.ownership import covers, is_anothers
from ..bus.patience import PatientApi
from ..bus.requests import PubAck, Requests
from ..bus.token import slug
from ..runtime.entry import Started
from ..runtime.envelope import UNREADABLE, read
from ..runtime.ids import run_id
from ..tracing.sending import sending
from ..views.apps import read_apps
from ..views.rows import Dispatched, StartedRow

_OPENINGS = "to.*.*.*.1"
"""The first entries of all runs."""
_NO_JETSTREAM = 503
_NOT_IN_WORDS = frozenset("*> \t\r\n")
_FOR_WORKFLOWS = re.compile(r"^(?:[a-z0-9_-]+-)?on-(.+)$")
_FOR_WAITS = re.compile(r"^(?:[a-z0-9_-]+-)?waits(?:-.+)?$")


@dataclass(slots=True)
class _Receivers:
    """Who gets an event: workflows, those of this app, those with a worker; waiting runs."""

    workflows: set[str] = field(default_factory=set[str])
    own: set[str] = field(default_factory=set[str])
    up: set[str] = field(default_factory=set[str])
    waits: bool = False
    visible: bool = True


class NotATrigger(LaybyError):
    """Events may not be sent on a subject."""


def check_event_subject(subject: str, names: Names) -> None:
    """Check that a subject is valid, and not the server's or Layby's own. Raises NotATrigger."""
    words = subject.split(".")
    if any(not word or set(word) & _NOT_IN_WORDS or not word.isprintable() for word in words):
        raise NotATrigger(
            f"{subject!r} is not a subject that an event can be sent to: use words joined by dots, "
            "support.ticket.created for instance, without wildcards"
        )
    if whose := names.reserved(subject):
        raise NotATrigger(
            f"{subject!r} is {whose}, and no event: what is published there is obeyed, and can "
            "delete or forge records"
        )


class Dispatch:
    """Sends one event, and finds out who handles it."""

    def __init__(self, connection: Connection, requests: Requests, outbox: Outbox) -> None:
        self._connection = connection
        self._requests = requests
        self._api = PatientApi(requests)
        self._outbox = outbox
        self._names = requests.names
        self._log = Log(requests)
        self._runs: list[StartedRow] = []
        self._closed: set[str] = set()
        """Runs that started and cannot be read here."""
        self._expected: dict[str, str] = {}
        """The workflows by the ids of the runs that the event would start in them."""
        self._seqs: dict[str, int] = {}
        self._letters: list[DeadLetter] = []
        self._more = asyncio.Event()

    async def send(
        self,
        subject: str,
        data: bytes,
        event_id: str | None,
        within: float | None,
        *,
        raw: bool = False,
        internal: bool = False,
    ) -> Dispatched:
        """Store the event; if a worker is running, wait until it is handled or refused.

        Args:
            subject: Its subject.
            data: Its body.
            event_id: Its id; None: a new one.
            within: Seconds to wait at most; None: until it is handled, with a worker or without.
            raw: Accept a subject that triggers nothing.
            internal: Accept every subject, even those of Layby and of the server.

        Raises:
            StreamMissing: no stream has the subject.
            NotATrigger: the subject is not one for events.
        """
        if not internal:
            await self._check(subject, raw=raw)
        event_id = event_id or uuid.uuid4().hex
        async with self._listening():
            with sending(subject) as trace:
                headers = {"Nats-Msg-Id": event_id, **trace}
                ack = await self._outbox.store(subject, data, headers)
            receivers = _Receivers(visible=False)
            try:
                receivers = await self._receivers(ack.stream, subject)
            except BusError as error:
                if not _is_hidden(error):
                    raise
            names = await self._names_of(receivers.workflows)
            self._expected = {run_id(each, event_id): each for each in names}
            wanted = receivers.own if within is None else receivers.up
            if wanted and not ack.duplicate:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(within):
                        await self._taken(ack, len(wanted))
        return Dispatched(
            stream=ack.stream,
            seq=ack.seq,
            duplicate=ack.duplicate,
            event_id=event_id,
            workflows=sorted(names),
            awaited=receivers.waits,
            worker=bool(receivers.up),
            runs=self._started(ack),
            refused=self._refused(ack),
            told=receivers.visible,
            elsewhere=bool(receivers.workflows) and not receivers.own,
        )

    async def _check(self, subject: str, *, raw: bool) -> None:
        """Check that a subject is for events and, unless `raw`, triggers. Raises NotATrigger."""
        check_event_subject(subject, self._names)
        try:
            reply = await self._api.api("STREAM.NAMES", {"subject": subject})
        except BusError as error:
            if not _is_hidden(error):
                raise
            return
        holders: list[str] = reply.get("streams") or []
        for holder in holders:
            if self._names.owns_stream(holder):
                raise NotATrigger(
                    f"{subject!r} is kept in {holder}, which is Layby's own, not for events: "
                    "answer questions with `layby answer`"
                )
            if not raw and holder != self._names.stream(EVENTS):
                await self._check_receiver(holder, subject)

    async def _check_receiver(self, stream: str, subject: str) -> None:
        try:
            receivers = await self._receivers(stream, subject)
        except BusError as error:
            if not _is_hidden(error):
                raise
            return
        if not receivers.workflows and not receivers.waits:
            raise NotATrigger(
                f"no workflow is triggered by {subject!r}, and no run waits for it: the stream "
                f"{stream} takes it for somebody else"
            )

    async def _receivers(self, stream: str, subject: str) -> _Receivers:
        """Who takes the subject's events. Raises PermissionDenied.

        The runs of another app are announced on subjects that this client does not read.
        """
        receivers = _Receivers()
        for info in await self._consumers(stream):
            config, name = info["config"], str(info["name"])
            if not _covers(config, subject):
                continue
            if found := _FOR_WORKFLOWS.match(name):
                receivers.workflows.add(found[1])
                if not is_anothers(config, self._names):
                    receivers.own.add(found[1])
                if info.get("num_waiting") and found[1] in receivers.own:
                    receivers.up.add(found[1])
            receivers.waits = receivers.waits or bool(_FOR_WAITS.match(name))
        return receivers

    async def _consumers(self, stream: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            page = await self._api.api(f"CONSUMER.LIST.{stream}", {"offset": len(found)})
            listed: list[dict[str, Any]] = page.get("consumers") or []
            found += listed
            if not listed or len(found) >= page.get("total", 0):
                return found

    async def _names_of(self, mailboxes: set[str]) -> set[str]:
        """The names of workflows; that of its mailbox for one that no app has declared."""
        try:
            apps = await read_apps(self._requests) if mailboxes else []
        except BusError as error:
            if not _is_hidden(error):
                raise
            return mailboxes
        names = {slug(each.name): each.name for app in apps for each in app.workflows}
        return {names.get(each, each) for each in mailboxes}

    async def _taken(self, ack: PubAck, count: int) -> None:
        while len(self._started(ack)) + len(self._refused(ack)) < count:
            self._more.clear()
            await self._more.wait()

    def _started(self, ack: PubAck) -> list[StartedRow]:
        found = [run for run in self._runs if self._seqs[run.id] == ack.seq]
        closed = self._closed & self._expected.keys()
        return found + [StartedRow(id=run, workflow=self._expected[run]) for run in sorted(closed)]

    def _refused(self, ack: PubAck) -> list[str]:
        mine = (ack.stream, ack.seq)
        return [each.reason for each in self._letters if (each.stream, each.seq) == mine]

    @contextlib.asynccontextmanager
    async def _listening(self) -> AsyncGenerator[None]:
        nc = self._connection.nc
        subs = [
            await nc.subscribe(self._names.subject(_OPENINGS), cb=self._on_opening),
            await nc.subscribe(self._names.subject("dead.>"), cb=self._on_letter),
        ]
        try:
            await nc.settle()
            yield
        finally:
            for sub in subs:
                with contextlib.suppress(Exception):  # the connection may be gone
                    await sub.unsubscribe()

    async def _on_opening(self, msg: Any) -> None:
        with contextlib.suppress(BusError):
            _, run, n = parse(msg.subject)
            try:
                envelope = read(await self._log.opened(run, n, msg.data, msg.subject))
            except KeyMissing:
                self._closed.add(run)
                self._more.set()
                return
            opening = envelope.records[0] if envelope is not None and envelope.records else None
            if isinstance(opening, Started) and run not in self._seqs:
                self._seqs[run] = opening.seq
                self._runs.append(StartedRow(id=run, workflow=opening.workflow))
                self._more.set()

    async def _on_letter(self, msg: Any) -> None:
        with contextlib.suppress(*UNREADABLE):
            self._letters.append(_letter(msg.data))
            self._more.set()


def _is_hidden(error: BusError) -> bool:
    """Whether this user cannot see it: denied, or in an account without streams."""
    return isinstance(error, PermissionDenied) or error.code == _NO_JETSTREAM


_letter = msgspec.json.Decoder(DeadLetter).decode


def _covers(config: dict[str, Any], subject: str) -> bool:
    filters = config.get("filter_subjects") or [config.get("filter_subject") or ">"]
    return any(covers(each, subject) for each in filters)
