"""A server behind the shipped wall, the logins of its outsiders, and a way in over a raw socket."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from layby import App, Step
from layby.access import Bridge, Person, Staff, Wall, outline
from layby.access.config import accounts, one_account
from layby.access.nkey import Key
from layby.access.push import push
from layby.access.registry import Registry
from layby.bus.connection import Connection, ConnectionSettings, connect
from layby.bus.server import EmbeddedServer
from layby.client import Client
from layby.operations.provisioning import provision
from layby.views.rows import RunDetail
from layby.worker.worker import working
from tests.engine import until

WITHIN = 20.0
"""Seconds that anything may take on a loaded machine."""
EVENT = "support.ticket.created"
STAFF = Staff(
    people=(Person("ada"), Person("bob")),
    bridges=(Bridge("slackbot", ("slack",)), Bridge("gate", ("proxy", "link"))),
    notifiers=("notifier",),
)


def desk() -> App:
    """A small app: a question for each ticket."""
    app = App("support")

    @app.workflow(on=EVENT, key="ticketId", name="support_ticket")
    async def support_ticket(event: dict[str, Any], step: Step) -> str:
        answer = await step.ask("developer", f"What about {event['ticketId']}?")
        return f"{answer.by}: {answer.text}"

    return app


def wall(app: App, *, own_trail: bool = True) -> Wall:
    """The wall around an app; as earlier releases built it, if the trail is not on its own."""
    return Wall(apps=(outline(app),), own_trail=own_trail)


def with_accounts(app: App, *, own_trail: bool = True, staff: Staff = STAFF) -> str:
    """The server's configuration as `layby accounts config` writes it, with known passwords."""
    around = wall(app, own_trail=own_trail)
    return _passwords(accounts(around, staff, "layby accounts config APP"), app, staff)


def with_one_account(app: App, staff: Staff = STAFF) -> str:
    """The same logins in one account, as deploy/permissions.conf has them."""
    text = one_account(wall(app), staff, "layby accounts config APP --one-account")
    return _passwords(text, app, staff)


def with_tokens(
    app: App, folder: Path, *, own_trail: bool = True, staff: Staff = STAFF
) -> Registry:
    """The logins of operator mode; its server keeps tokens in `folder`, too."""
    around = wall(app, own_trail=own_trail)
    return Registry.init(folder / "logins", around, staff, str(folder / "jwt"))


def _passwords(text: str, app: App, staff: Staff) -> str:
    for login in wall(app).logins(staff):
        text = text.replace(f"${login.variable}", f'"of-{login.name}"')
    return text


@dataclass(kw_only=True)
class House:
    """A server and the ways into it."""

    url: str
    kind: str
    """`accounts`, `jwt` or `one account`."""
    creds: dict[str, str] = field(default_factory=dict[str, str])
    """Credentials files by login, where it takes these and not passwords."""

    @property
    def walled(self) -> bool:
        """Whether outsiders have accounts of their own."""
        return self.kind != "one account"

    @classmethod
    async def by_tokens(cls, url: str, registry: Registry) -> Self:
        """A server in operator mode, once it knows the accounts."""
        await push(registry, ConnectionSettings(servers=(url,)))
        creds = {name: str(registry.creds(name)) for name in registry.logins}
        return cls(url=url, kind="jwt", creds=creds)

    def file(self, login: str) -> str:
        """What stands in somebody's credentials file."""
        return Path(self.creds[login]).read_text()

    def settings(self, login: str) -> ConnectionSettings:
        """How somebody connects."""
        settings = ConnectionSettings(servers=(self.url,), inbox_prefix=f"_INBOX_{login}")
        if self.creds:
            return replace(settings, creds=self.creds[login])
        return replace(settings, user=login, password=f"of-{login}")

    @asynccontextmanager
    async def client(self, login: str) -> AsyncGenerator[Client]:
        """A client of Layby."""
        async with Client.connect(self.settings(login)) as client:
            yield client

    @asynccontextmanager
    async def connection(self, login: str) -> AsyncGenerator[Connection]:
        """A connection by Layby's own means."""
        async with await connect(self.settings(login)) as connection:
            yield connection

    @asynccontextmanager
    async def raw(self, login: str) -> AsyncGenerator[Raw]:
        """A connection that sends whatever bytes it is told to."""
        raw = await Raw.open(self.settings(login))
        try:
            await raw.sent()  # what comes with the login in one packet is mapped to nothing
            yield raw
        finally:
            await raw.close()

    @asynccontextmanager
    async def working(self, app: App | None = None) -> AsyncGenerator[App]:
        """A worker that runs `app`, under the worker's login, on a provisioned server."""
        app = app or desk()
        await provision(app, self.settings("provisioner"))
        async with working(app, self.settings("worker")):
            yield app

    async def question(self, ticket: str) -> str:
        """Open a ticket and return its run's id, once its question is listed."""
        async with self.client("helpdesk") as helpdesk:
            await helpdesk.send(EVENT, {"ticketId": ticket})
        return await self.listed(ticket)

    async def listed(self, ticket: str) -> str:
        """The run of the ticket's open question, once it is listed."""
        async with self.client("observer") as observer:

            async def run() -> str:
                return "".join([q.run for q in await observer.questions(ticket=ticket)][:1])

            return await until(run, WITHIN)

    async def ended(self, run: str) -> RunDetail:
        """A run, once it is over."""
        async with self.client("observer") as observer, asyncio.timeout(WITHIN):
            return await observer.run(run).ended()


@asynccontextmanager
async def started(
    kind: str, folder: Path, app: App | None = None, staff: Staff = STAFF
) -> AsyncGenerator[House]:
    """A server with the shipped configuration: `accounts`, `jwt` or `one account`."""
    app = app or desk()
    if kind == "jwt":
        registry = with_tokens(app, folder, staff=staff)
        async with EmbeddedServer(folder / "nats", extra=registry.config.read_text()) as server:
            yield await House.by_tokens(server.url, registry)
        return
    walled = kind == "accounts"
    extra = with_accounts(app, staff=staff) if walled else with_one_account(app, staff)
    async with EmbeddedServer(folder / "nats", extra=extra) as server:
        yield House(url=server.url, kind=kind)


class Raw:
    """The protocol of NATS with nothing in between: subjects, replies and headers are bytes.

    `errors` holds what the server complained of, `messages` what it delivered, as
    (subject, reply, headers, body).
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._sids = 0
        self._pongs = 0
        self._heard = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.errors: list[str] = []
        self.messages: list[tuple[bytes, bytes, bytes, bytes]] = []
        self.info: dict[str, Any] = {}
        self.logged_in_with: dict[str, Any] = {}
        self.closed = False

    @classmethod
    async def open(cls, settings: ConnectionSettings, *, defer: bool = False, **more: Any) -> Self:
        """Connect and, unless you `defer` that, log in; `more` are fields of the CONNECT."""
        where = urlsplit(settings.servers[0])
        raw = cls(*await asyncio.open_connection(where.hostname, where.port))
        raw.info = json.loads((await raw._reader.readline()).partition(b" ")[2])
        login: dict[str, Any] = dict(more)
        if settings.user:
            login |= {"user": settings.user, "pass": settings.password}
        if settings.creds:
            login |= _signed_in(Path(settings.creds), raw.info["nonce"])
        if not defer:
            raw.login(**login)
        raw._task = asyncio.create_task(raw._read())
        return raw

    @classmethod
    @asynccontextmanager
    async def at(cls, url: str) -> AsyncGenerator[Self]:
        """A connection to a server that asks for no login."""
        raw = await cls.open(ConnectionSettings(servers=(url,)))
        try:
            yield raw
        finally:
            await raw.close()

    def login(self, **fields: Any) -> None:
        """Send the CONNECT."""
        self.logged_in_with = fields
        fields = {"verbose": False, "headers": True, "no_responders": True, **fields}
        self.send(b"CONNECT " + json.dumps(fields).encode())

    def send(self, line: bytes) -> None:
        """Write a line of the protocol as it is."""
        self._writer.write(line + b"\r\n")

    def subscribe(self, subject: bytes) -> None:
        """Receive what comes on a subject."""
        self._sids += 1
        self.send(b"SUB %b %d" % (subject, self._sids))

    def publish(
        self,
        subject: bytes,
        body: bytes = b"",
        *,
        reply: bytes = b"",
        headers: bytes = b"",
        block: bytes = b"",
    ) -> None:
        """Publish; `headers` are lines such as `Nats-Msg-Id: 1`, each with its line break.

        `block` is a whole header block instead, which need not be one.
        """
        block = b"NATS/1.0\r\n%b\r\n" % headers if headers else block
        if not block:
            self.send(b"PUB %b %b %d\r\n%b" % (subject, reply, len(body), body))
            return
        size = len(block) + len(body)
        self.send(b"HPUB %b %b %d %d\r\n%b%b" % (subject, reply, len(block), size, block, body))

    async def sent(self) -> list[str]:
        """Wait until the server has read all of it; return what it complained of so far."""
        wanted = self._pongs + 1
        self.send(b"PING")
        with suppress(ConnectionError):  # the server has hung up, which `closed` tells
            await self._writer.drain()
        await self._until(lambda: self._pongs >= wanted or self.closed)
        return list(self.errors)

    async def received(self, count: int = 1) -> list[tuple[bytes, bytes, bytes, bytes]]:
        """Wait for so many messages in all."""
        await self._until(lambda: len(self.messages) >= count or self.closed)
        return list(self.messages)

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()
        if self._task is not None:
            self._task.cancel()

    async def _until(self, holds: Any) -> None:
        async with asyncio.timeout(WITHIN):
            while not holds():
                self._heard.clear()
                await self._heard.wait()

    async def _read(self) -> None:
        try:
            while line := await self._reader.readline():
                await self._take(line.rstrip(b"\r\n"))
                self._heard.set()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.closed = True
            self._heard.set()

    async def _take(self, line: bytes) -> None:
        verb, _, rest = line.partition(b" ")
        if verb == b"PING":
            self.send(b"PONG")
        elif verb == b"PONG":
            self._pongs += 1
        elif verb == b"-ERR":
            self.errors.append(rest.decode(errors="replace").strip("'"))
        elif verb in {b"MSG", b"HMSG"}:
            await self._take_message(verb, rest.split(b" "))

    async def _take_message(self, verb: bytes, words: list[bytes]) -> None:
        sizes = 2 if verb == b"HMSG" else 1
        subject, reply = words[0], words[2] if len(words) - sizes > 2 else b""
        whole = (await self._reader.readexactly(int(words[-1]) + 2))[:-2]
        cut = int(words[-2]) if sizes == 2 else 0
        self.messages.append((subject, reply, whole[:cut], whole[cut:]))


def _signed_in(creds: Path, nonce: str) -> dict[str, str]:
    """What a client sends that has a credentials file."""
    lines = creds.read_text().splitlines()
    token = lines[lines.index("-----BEGIN NATS USER JWT-----") + 1]
    key = Key(lines[lines.index("-----BEGIN USER NKEY SEED-----") + 1].encode())
    signature = base64.urlsafe_b64encode(key.sign(nonce.encode())).decode().rstrip("=")
    return {"jwt": token, "sig": signature}
