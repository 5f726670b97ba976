"""A further account under the operator of an installation, made by another tool with its key.

Whoever holds that key could also replace the account LAYBY itself. What the exports' tokens stop
is an account that is there for something else: it reaches nothing, whatever it imports.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from layby.access.jwt import creds
from layby.access.nkey import ACCOUNT, USER, Key
from layby.access.push import push
from layby.access.registry import Registry
from layby.bus.connection import ConnectionSettings, connect
from layby.bus.files import write_private
from layby.bus.server import EmbeddedServer
from tests.security.house import House, Raw, desk, with_tokens
from tests.security.test_reply_subjects import goes_on

pytestmark = pytest.mark.nats

ANSWER: Final = "developer.response.*.*"
READ: Final = "$JS.API.DIRECT.GET.RUNS"
HEARD: Final = "developer.question.*"
IMPORTS: Final = ((ANSWER, "service"), (READ, "service"), (HEARD, "stream"))


def token(name: str, public: str, signer: Key, **claims: Any) -> str:
    """A token of nats-server's, written without Layby's own code."""
    body: dict[str, Any] = {"iat": int(time.time()), "iss": signer.public, "name": name}
    body |= {"sub": public, "nats": {**claims, "version": 2}}
    body["jti"] = base64.b32encode(hashlib.sha256(json.dumps(body).encode()).digest()).decode()
    head = {"typ": "JWT", "alg": "ed25519-nkey"}
    text = ".".join(map(plain, (json.dumps(head).encode(), json.dumps(body).encode())))
    return f"{text}.{plain(signer.sign(text.encode()))}"


def plain(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@dataclass(kw_only=True)
class Shared:
    """A server in operator mode, whose operator has a further account."""

    house: House
    registry: Registry
    account: Key
    user: Path

    def key(self, name: str) -> Key:
        return Key.read(self.registry.folder / "keys" / f"{name}.nk")

    def admit(self, subject: str, kind: str, *, by: Key, whom: str) -> str:
        claims = {"type": "activation", "subject": subject, "kind": kind}
        return token(subject, whom, by, **claims)

    async def exist(self, tokens: dict[str, str]) -> str:
        """Hand the further account to the server; what it says against that."""
        imports = [
            {"name": subject, "subject": subject, "type": kind, "account": self.registry.account}
            | ({"token": tokens[subject]} if tokens else {})
            for subject, kind in IMPORTS
        ]
        unlimited = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn"), -1)
        claims = {"type": "account", "imports": imports, "limits": {**unlimited, "wildcards": True}}
        return await self.tell("FURTHER", self.account.public, claims)

    async def tell(self, name: str, public: str, claims: dict[str, Any]) -> str:
        """Hand an account to the server; what it says against that."""
        made = token(name, public, self.key("operator"), **claims)
        admin = ConnectionSettings(
            servers=(self.house.url,), creds=str(self.registry.admin), inbox_prefix="_INBOX_admin"
        )
        async with await connect(admin) as connection:
            reply = await connection.nc.request("$SYS.REQ.CLAIMS.UPDATE", made.encode())
        error = json.loads(reply.data).get("error", {})
        return str(error.get("description", ""))

    @property
    def settings(self) -> ConnectionSettings:
        return ConnectionSettings(
            servers=(self.house.url,), creds=str(self.user), inbox_prefix="_INBOX_further"
        )


@pytest.fixture
async def shared(tmp_path: Path) -> AsyncIterator[Shared]:
    async with shared_at(tmp_path) as shared:
        yield shared


@asynccontextmanager
async def shared_at(tmp_path: Path) -> AsyncGenerator[Shared]:
    """A server in operator mode with an account that is none of Layby's."""
    registry = with_tokens(desk(), tmp_path)
    account, user = Key.new(ACCOUNT), Key.new(USER)
    everything = {"pub": {"allow": [">"]}, "sub": {"allow": [">"]}}
    unlimited = dict.fromkeys(("subs", "data", "payload"), -1)
    login = token("further", user.public, account, type="user", **everything, **unlimited)
    file = tmp_path / "further.creds"
    write_private(file, creds(login, user))
    async with EmbeddedServer(tmp_path / "nats", extra=registry.config.read_text()) as server:
        house = await House.by_tokens(server.url, registry)
        yield Shared(house=house, registry=registry, account=account, user=file)


async def tries(shared: Shared, replies: int) -> list[tuple[bytes, bytes]]:
    """What the further account is told when it listens, answers and reads: subjects and headers."""
    raw = await Raw.open(shared.settings)
    try:
        raw.subscribe(HEARD.encode())
        raw.subscribe(b"_INBOX_further.>")
        assert await raw.sent() == []
        await shared.house.question("T1")
        raw.publish(b"developer.response.T1.boss", b"yes", reply=b"_INBOX_further.1")
        raw.publish(READ.encode(), b'{"seq":1}', reply=b"_INBOX_further.2")
        return sorted((subject, head) for subject, _, head, _ in await raw.received(replies))
    finally:
        await raw.close()


async def finds_nobody(shared: Shared) -> None:
    async with shared.house.working():
        told = await tries(shared, 2)
        assert [subject for subject, _ in told] == [b"_INBOX_further.1", b"_INBOX_further.2"]
        assert all(head.startswith(b"NATS/1.0 503") for _, head in told), told
        await goes_on(shared.house, await shared.house.listed("T1"))


async def test_it_imports_nothing_without_a_token(shared: Shared) -> None:
    assert await shared.exist({}) == ""
    await finds_nobody(shared)


@pytest.mark.parametrize("whose", ["its own", "another account's", "another subject's"])
async def test_a_token_that_is_not_for_it_does_not_help(shared: Shared, whose: str) -> None:
    exporter, own = shared.key("LAYBY"), shared.account.public
    people = shared.key("PEOPLE").public
    tokens = {
        subject: {
            "its own": shared.admit(subject, kind, by=shared.account, whom=own),
            "another account's": shared.admit(subject, kind, by=exporter, whom=people),
            "another subject's": shared.admit("layby.other", kind, by=exporter, whom=own),
        }[whose]
        for subject, kind in IMPORTS
    }
    assert await shared.exist({}) == ""  # so that there is an account, whatever comes of the next
    assert (await shared.exist(tokens)).startswith("jwt validation failed")
    await finds_nobody(shared)


async def test_accounts_that_an_earlier_release_made_are_closed_by_a_push(shared: Shared) -> None:
    for public, made in shared.registry.tokens().items():
        body = made.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        nats = claims["nats"]
        nats["exports"] = [each | {"token_req": False} for each in nats.get("exports", [])]
        nats["imports"] = [each | {"token": ""} for each in nats.get("imports", [])]
        assert await shared.tell(claims["name"], public, nats) == ""
    async with shared.house.working(), shared.house.client("ada") as ada:
        await push(shared.registry, ConnectionSettings(servers=(shared.house.url,)))
        run = await shared.house.question("T0")
        assert [question.run for question in await ada.questions()] == [run]
    assert await shared.exist({}) == ""
    await finds_nobody(shared)


async def test_with_tokens_of_the_exporter_it_would(shared: Shared) -> None:
    """That the above fails for the want of tokens and nothing else."""
    by, whom = shared.key("LAYBY"), shared.account.public
    tokens = {subject: shared.admit(subject, kind, by=by, whom=whom) for subject, kind in IMPORTS}
    assert await shared.exist(tokens) == ""
    async with shared.house.working():
        told = await tries(shared, 3)
        assert [subject for subject, _ in told] == [
            *(b"_INBOX_further.1", b"_INBOX_further.2", b"developer.question.T1")
        ]
        assert not any(b"503" in head for _, head in told)
