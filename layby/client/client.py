"""The client: sends events, answers questions, shows runs. It needs a connection, nothing else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any

import msgspec

from ..bus.blobs import Blobs
from ..bus.connection import Connection
from ..bus.errors import Erased, KeyMissing
from ..bus.keyring import KeyService
from ..bus.opened import opened
from ..bus.requests import Requests
from ..bus.settings import ConnectionSettings
from ..commands import CANCEL, Command, CommandRefused, NotDoneYet, NotRetryable, RunOver
from ..events import AnyEvent, number
from ..runtime import ids
from ..runtime.role import Role
from ..runtime.vouching import Signers
from ..tracing.provider import flush
from ..tracing.sending import sending
from ..views.detail import DetailReader
from ..views.follow import Follower
from ..views.listing import Progress, RunFilter, listed, run_row
from ..views.lookup import NoSuchRun
from ..views.rows import Dispatched, RunDetail, RunRow, Sent, TimelineLine
from ..views.run_logs import RunLogs
from .act_api import ActApi
from .answer_api import NoReceipt
from .dead_letter_api import DeadLetterApi
from .decision_api import DecisionApi
from .dispatch import Dispatch, check_event_subject
from .handle import Run
from .maintenance_api import MaintenanceApi
from .rota_api import RotaApi
from .run_api import RunApi


class Client(RunApi, ActApi, DecisionApi, DeadLetterApi, MaintenanceApi):
    """Talks to running workers through NATS alone."""

    def __init__(
        self, connection: Connection, requests: Requests, signers: Signers | None = None
    ) -> None:
        RunApi.__init__(self, connection, requests, signers)
        ActApi.__init__(self, connection, requests)
        DecisionApi.__init__(self, requests, signers)
        DeadLetterApi.__init__(self, connection, requests)
        MaintenanceApi.__init__(self, connection, requests)
        self._names = requests.names
        self._blobs = Blobs(requests)
        self._detailer = DetailReader(requests, self._log, self._blobs, signers)
        self.logs = RunLogs(connection, requests, self._log, self._blobs, signers)
        """Reads the logs of runs as they are."""
        self.rotas = RotaApi(connection, requests)
        """Who is on duty when, for roles with a rota."""
        self._watch = Follower(connection, requests, self._log, self._blobs, signers)

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(
        cls,
        settings: ConnectionSettings,
        *,
        prefix: str = "",
        keyring: KeyService | None = None,
        keys: Iterable[Role] | None = None,
    ) -> AsyncGenerator[Client]:
        """A client, connected while the block is open.

        Args:
            settings: Where and how to connect.
            prefix: The `prefix` of the app; empty for an app without one.
            keyring: Decrypts what the app encrypts; None: that is shown as `(encrypted)`.
            keys: The roles whose answers are signed, as the app declares them: an answer without
                their signature is then shown as one that does not count. None: signatures are
                not checked against any keys, and are shown as unchecked.

        Raises:
            ServerUnavailable: no server answers.
            InvalidSettings: the prefix is not valid.
        """
        async with opened(settings, prefix=prefix, keyring=keyring) as bus:
            signers = None if keys is None else Signers(keys)
            try:
                yield cls(bus.connection, bus.requests, signers)
            finally:
                await flush()

    async def send(self, subject: str, data: Any, *, event_id: str | None = None) -> Sent:
        """Publish an event; return when JetStream has it.

        Args:
            subject: A workflow's trigger, or one of the app's `events`.
            data: The event: bytes of JSON, or whatever msgspec can write as JSON.
            event_id: The event's id: one that was sent before starts nothing new. None: it has no
                id, and each call starts a run of its own.

        Raises:
            StreamMissing: no stream has `subject`: no app with that trigger is provisioned.
            NoLeader: its stream has had no leader for 15 seconds; nothing was stored.
            NotATrigger: the subject belongs to the server or to Layby, which act on its messages.
        """
        check_event_subject(subject, self._requests.names)
        body = data if isinstance(data, bytes) else msgspec.json.encode(data)
        with sending(subject) as trace:
            headers = {**({"Nats-Msg-Id": event_id} if event_id else {}), **trace}
            ack = await self._ask(self._outbox.store(subject, body, headers), subject)
        return Sent(stream=ack.stream, seq=ack.seq, duplicate=ack.duplicate)

    async def dispatch(
        self,
        subject: str,
        data: Any,
        *,
        event_id: str | None = None,
        within: float | None = 2.0,
        raw: bool = False,
        internal: bool = False,
    ) -> Dispatched:
        """Publish an event and see who handles it: for people and scripts, not for many events.

        If a worker is running, it waits until the event has started its runs or was refused.

        Args:
            subject: A workflow's trigger, or one of the app's `events`.
            data: The event: bytes of JSON, or whatever msgspec can write as JSON.
            event_id: Its id; None: a new one. Sent again with the same id, it starts nothing new.
            within: Seconds to wait at most; None: until a worker runs and has handled it.
            raw: Accept a subject that triggers nothing.
            internal: Accept the subjects of Layby and of the server too, which act on their
                messages.

        Raises:
            StreamMissing: no stream has `subject`: no app with that trigger is provisioned.
            NoLeader: its stream has had no leader for 15 seconds; nothing was stored.
            NotATrigger: it triggers no workflow, or it belongs to the server or to Layby.
        """
        body = data if isinstance(data, bytes) else msgspec.json.encode(data)
        dispatch = Dispatch(self._connection, self._requests, self._outbox)
        sending = dispatch.send(subject, body, event_id, within, raw=raw, internal=internal)
        sent: Dispatched = await self._ask(sending, subject)
        return sent

    async def runs(
        self,
        status: str | None = None,
        limit: int = 50,
        *,
        ticket: str | None = None,
        workflow: str | None = None,
        role: str | None = None,
        since: float | None = None,
        text: str | None = None,
        labels: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> list[RunRow]:
        """Runs, those that changed last first, at most `limit` of them.

        A run is listed, and its status is right, within a second. The newest runs and those of a
        ticket are read at the same cost however many runs there are. Other filters read the list
        from its newest run backwards until they have enough; `since` bounds that.

        Args:
            status: Only runs with this status.
            limit: At most this many.
            ticket: Only the runs of this ticket.
            workflow: Only runs of this workflow.
            role: Only runs that wait for this role of people.
            since: Only runs that changed in the last `since` seconds.
            text: Only runs with this text in ticket, title, workflow, open question or error, in
                any case.
            labels: Only runs that have all of these labels.
            progress: Called now and then with how many runs were read.

        Raises:
            OldIndex: an earlier release wrote the list, and it has not been migrated.
        """
        wanted = RunFilter(
            status=status,
            workflow=workflow,
            ticket=ticket,
            role=role,
            since=since,
            text=text,
            labels=labels or {},
        )
        return [run_row(row) for row in await listed(self._requests, wanted, limit, progress)]

    async def show(self, run: str, *, progress: Progress | None = None) -> RunDetail:
        """One run with its history: by id, by the beginning of its id, or by its ticket.

        If the run was erased, or is encrypted and no keyring is here, it shows what is
        plain: its row, and for each entry which actor it woke and when.

        Args:
            run: Its id, the beginning of its id, or its ticket: that means the ticket's newest run
                that no other run started.
            progress: Called now and then with how many runs were read.

        Raises:
            NoSuchRun: there is none, or several ids begin like this.
        """
        run_id = await self._find(run, progress)
        try:
            live, messages = await self._load(run_id)
        except (Erased, KeyMissing) as closed:
            return await self._detailer.outline(run_id, closed)
        return await self._detailer.whole(live.state, messages)

    async def cancel(self, run: str, reason: str = "", *, by: str | None = None) -> RunRow:
        """Have a worker cancel a run: its work stops at once, its open questions are closed.

        Args:
            run: Its id, the beginning of its id, or its ticket.
            reason: Why, for those who look at the run.
            by: Who cancels it; None: the NATS user, or else the machine's login.

        Raises:
            NoSuchRun: there is none.
            RunOver: it has ended already.
            NotDoneYet: no worker is running; the command is stored, and is done once one starts.
            PermissionDenied: this user may not cancel runs, or not in that name.
        """
        run_id = await self._find(run)
        command = Command(run=run_id, why=reason)
        outcome = await self._commands.command(CANCEL, command, by=by)
        return msgspec.convert(outcome.result, RunRow)

    def run(self, run: str) -> Run:
        """A handle of a run.

        Args:
            run: Its id, the beginning of its id, or its ticket.
        """
        return Run(self, run)

    def run_of(self, workflow: str, event_id: str) -> Run:
        """A handle of the run that a workflow starts for an event, which may not be sent yet.

        Args:
            workflow: The workflow's name.
            event_id: The id that the event is sent with.
        """
        return Run(self, ids.run_id(workflow, event_id), awaited=True)

    def events(
        self,
        run: str,
        after: str | int | None = None,
        *,
        wait: bool = False,
        caught_up: asyncio.Event | None = None,
    ) -> AsyncGenerator[AnyEvent]:
        """The typed events of a run: those so far, then those that follow, to its end.

        Everything but `text.delta` is read from the run's log, so nothing is lost or repeated
        however often you come back.

        Args:
            run: The run's id, the beginning of it, or its ticket (its newest run).
            after: The `id` of the last event that you have; None: from the beginning.
            wait: Wait for a run of this id that does not exist yet.
            caught_up: Is set once you have all events of what was recorded when you began.

        Raises:
            NoSuchRun: there is none, and `wait` is not set.
            ValueError: `after` is not an event's number.
        """
        seen = (0, -1.0) if after is None else number(after)
        return self._watch.events(run, seen, wait=wait, caught_up=caught_up)

    def follow(
        self, run: str | None = None, *, text: bool = False, wait: bool = False
    ) -> AsyncGenerator[TimelineLine]:
        """What happens, as it happens: of one run from its beginning to its end, or of all runs.

        Args:
            run: The run's id, the beginning of it, or its ticket; None: all runs, from now on.
            text: Whether lines of the kind `text.delta` show what the models of the one run say
                while they say it.
            wait: Wait for a run of this id that does not exist yet.

        Raises:
            NoSuchRun: there is none, and `wait` is not set.
        """
        if run is None:
            return self._watch.every_line()
        return self._watch.lines(run, text=text, wait=wait)


__all__ = [
    "Client",
    "CommandRefused",
    "NoReceipt",
    "NoSuchRun",
    "NotDoneYet",
    "NotRetryable",
    "RunOver",
]
