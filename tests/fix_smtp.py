"""A real mail server, which can refuse, be slow, greylist and break off."""

from __future__ import annotations

import asyncio
import email
import time
import warnings
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from typing import Any, cast

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword

SENDER = "Layby <layby@acme.example>"


@dataclass
class Mail:
    """A mail that the server has taken."""

    to: list[str]
    message: EmailMessage
    raw: bytes
    at: float = field(default_factory=time.time)
    """When it was taken, Unix seconds."""

    def part(self, kind: str) -> str:
        """Its text (`plain`) or its HTML (`html`)."""
        found = cast("EmailMessage", self.message.get_body((kind,)))
        return cast("str", found.get_content()).replace("\r\n", "\n")


@dataclass
class PostOffice:
    """What the server has taken, and how it behaves."""

    url: str = ""
    mails: list[Mail] = field(default_factory=list[Mail])
    refused: dict[str, str] = field(default_factory=dict[str, str])
    """The reply to an address, `550 5.1.1 no such user`."""
    greylisted: set[str] = field(default_factory=set[str])
    """Addresses that are refused the first time."""
    at_data: str = ""
    """The reply to any mail's content."""
    hangs: asyncio.Event | None = None
    """Until it is set, no content of a mail is taken."""
    breaks_off: bool = False
    """The connection ends when a mail's content is there: it was taken, and nobody is told."""
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle_RCPT(  # noqa: N802  their name
        self, server: SMTP, session: Any, envelope: Envelope, address: str, options: Any
    ) -> str:
        del server, session, options
        if address in self.refused:
            return self.refused[address]
        if address in self.greylisted:
            self.greylisted.remove(address)
            return "451 4.7.1 greylisted, come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Envelope) -> str:  # noqa: N802
        del session
        self.came.set()
        if self.hangs is not None:
            await self.hangs.wait()
        if self.at_data:
            return self.at_data
        raw = cast("bytes", envelope.content)
        message = email.message_from_bytes(raw, policy=default)
        self.mails.append(Mail([*envelope.rcpt_tos], message, raw))
        if self.breaks_off:
            cast("asyncio.Transport", server.transport).abort()
        return "250 OK"


def _admit(server: SMTP, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
    del server, session, envelope, mechanism
    is_known = isinstance(given, LoginPassword) and given.password == b"p@ss"
    return AuthResult(success=is_known, handled=False)


@asynccontextmanager
async def post_office(*, login: bool = False) -> AsyncGenerator[PostOffice]:
    """A mail server on a free port; with `login`, it takes mails from `layby:p@ss` alone."""
    office = PostOffice()
    loop = asyncio.get_running_loop()

    def session() -> SMTP:
        with warnings.catch_warnings(action="ignore"):  # a login without TLS, on this machine
            return SMTP(
                office,
                loop=loop,
                hostname="mail.test",
                auth_required=login,
                auth_require_tls=False,
                authenticator=_admit,
            )

    server = await loop.create_server(session, "127.0.0.1", 0)
    user = "layby:p%40ss@" if login else ""
    office.url = f"smtp://{user}127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield office
    finally:
        server.close()


@pytest.fixture
async def office(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[PostOffice]:
    """A mail server, and the environment that names it."""
    async with post_office() as found:
        monkeypatch.setenv("LAYBY_SMTP", found.url)
        monkeypatch.setenv("LAYBY_SMTP_FROM", SENDER)
        yield found
