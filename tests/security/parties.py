"""Who takes part in a fuzz campaign: the engine, and the logins that rubbish is sent under."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any, Final, Self

from layby import App, Keyring
from layby.actors.people.answer import Receipt
from layby.bus.connection import Connection, ConnectionSettings
from layby.bus.keyring import new_key
from layby.bus.opened import opened
from layby.bus.requests import Requests
from layby.client import Client
from layby.operations.provisioning import provision
from layby.runtime.act_records import VERBS
from layby.runtime.ids import run_id
from layby.runtime.opened_records import OPENED
from layby.runtime.worker import Worker
from layby.worker.worker import working
from tests.engine import ON, WITHIN, WORKFLOW, Engine

from .frames import Frame
from .house import Raw

_SENDERS: Final = (
    (b"developer.response.", ("ada", "bob")),
    *((f"developer.{verb}.".encode(), ("ada", "bob")) for verb in (*VERBS, OPENED)),
    (b"layby.do.", ("operator",)),
    (b"desk.", ("helpdesk",)),
)
"""Who may publish on subjects that begin so, where everybody has a login."""
_OUTSIDERS: Final = ("helpdesk", "ada", "bob", "observer", "operator")


def new_ring() -> Keyring:
    """A keyring with a key of its own."""
    key, _, secret = new_key("fuzz").partition(":")
    return Keyring({key: secret})


class Parties(Engine):
    """The engine as several people see it: each under a login of their own, or all under none."""

    def __init__(
        self,
        settings: ConnectionSettings,
        client: Client,
        connection: Connection,
        wire: Requests,
        *,
        apart: bool,
        sender: Client,
        person: Client,
    ) -> None:
        super().__init__(settings, client, connection, wire)
        self.apart = apart
        self._sender, self._person = sender, person

    @classmethod
    @asynccontextmanager
    async def among(
        cls, url: str, *, apart: bool = False, keyring: Keyring | None = None
    ) -> AsyncGenerator[Self]:
        """`apart`: the server has the accounts of `house.with_accounts`, and their passwords."""
        plain = ConnectionSettings(servers=(url,))
        own = as_whom(plain, "operator") if apart else plain
        async with AsyncExitStack() as stack:
            bus = await stack.enter_async_context(opened(own, patient=True, keyring=keyring))
            client, sender, person = [
                await stack.enter_async_context(
                    Client.connect(as_whom(plain, login) if apart else plain, keyring=keyring)
                )
                for login in ("operator", "helpdesk", "ada")
            ]
            yield cls(
                plain,
                client,
                bus.connection,
                bus.requests,
                apart=apart,
                sender=sender,
                person=person,
            )

    @asynccontextmanager
    async def works(self, app: App) -> AsyncGenerator[Worker]:
        """A worker, under its login, on a provisioned server."""
        if not self.apart:
            async with super().works(app) as worker:
                yield worker
            return
        await provision(app, as_whom(self.settings, "provisioner"))
        as_worker = as_whom(self.settings, "worker")
        async with working(app, as_worker, listed_after=0.02) as worker:
            yield worker

    async def start(
        self,
        ticket: str = "T1",
        *,
        on: str = ON,
        workflow: str = WORKFLOW,
        event_id: str = "",
        **fields: Any,
    ) -> str:
        """Send an event as a program does; the id of the run that it will start."""
        event_id = event_id or uuid.uuid4().hex
        await self.send(on, event_id=event_id, ticket=ticket, **fields)
        return run_id(workflow, event_id)

    async def send(self, subject: str, *, event_id: str | None = None, **event: Any) -> None:
        """Send an event as a program does."""
        await self._sender.send(subject, event, event_id=event_id)

    async def answer(self, ticket: str = "T1", text: str = "yes", **more: Any) -> Receipt:
        """Answer as a person does."""
        return await self._person.answer(ticket, text, timeout=WITHIN, **more)


def as_whom(settings: ConnectionSettings, login: str) -> ConnectionSettings:
    """How the owner of a login connects."""
    return replace(settings, user=login, password=f"of-{login}", inbox_prefix=f"_INBOX_{login}")


class Outsiders:
    """Connections that send whatever bytes they are told to, one for each login."""

    def __init__(self, settings: ConnectionSettings, *, apart: bool) -> None:
        self._ways = (
            {login: as_whom(settings, login) for login in _OUTSIDERS} if apart else {"": settings}
        )
        self._raws: dict[str, Raw] = {}
        self._turns = itertools.cycle(self._ways)

    async def publish(self, frame: Frame) -> None:
        """Send a message under the login that may send it, or any."""
        raw = await self._raw(self._whose(frame.subject))
        raw.publish(frame.subject, frame.body, reply=frame.reply, block=frame.block)

    def _whose(self, subject: bytes) -> str:
        turn = next(self._turns)
        for beginning, logins in _SENDERS:
            if turn and subject.startswith(beginning):
                return turn if turn in logins else logins[0]
        return turn

    async def _raw(self, login: str) -> Raw:
        raw = self._raws.get(login)
        if raw is None or raw.closed:
            raw = self._raws[login] = await Raw.open(self._ways[login])
        return raw

    async def sent(self) -> int:
        """Return when the server has read all of it: how many it refused."""
        refused = 0
        for raw in self._raws.values():
            refused += len(await raw.sent())
            raw.errors.clear()
        return refused

    async def close(self) -> None:
        """Hang up."""
        for raw in self._raws.values():
            await raw.close()
