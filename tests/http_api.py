"""A program that uses the console's HTTP API, with nothing but the standard library."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlencode, urlsplit

from tests.waiting import pauses

WITHIN = 60.0
"""Seconds that anything may take on a loaded machine."""


class Reply(NamedTuple):
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class SseEvent(NamedTuple):
    """An event of a stream."""

    id: str
    type: str
    data: Any


class Address(Protocol):
    """Where a console is: its address, and the one that signs in."""

    @property
    def url(self) -> str: ...

    @property
    def entry(self) -> str: ...


class Api:
    """Asks one console, over real connections."""

    def __init__(self, console: Address) -> None:
        place = urlsplit(console.url)
        self._host, self._port = place.hostname or "", place.port or 0
        self.base = f"{place.path}/api/v1"
        token = urlsplit(console.entry).query.partition("=")[2]
        self.login = {"Authorization": f"Bearer {token}"}

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """Send one request with exactly these headers."""

        def send() -> Reply:
            wire = http.client.HTTPConnection(self._host, self._port, timeout=WITHIN)
            try:
                wire.request(method, self.base + path, body, headers or {})
                response = wire.getresponse()
                named = {name.lower(): value for name, value in response.getheaders()}
                return Reply(response.status, named, response.read())
            finally:
                wire.close()

        return await asyncio.to_thread(send)

    async def get(self, path: str, **query: Any) -> Reply:
        """Read something."""
        asked = f"?{urlencode(query, doseq=True)}" if query else ""
        return await self.ask("GET", path + asked, headers=self.login)

    async def post(self, path: str, value: Any = None) -> Reply:
        """Change something."""
        headers = {**self.login, "Layby-Console": "1", "Content-Type": "application/json"}
        body = b"" if value is None else json.dumps(value).encode()
        return await self.ask("POST", path, body, headers)

    async def until(self, path: str, holds: Callable[[Any], Any], **query: Any) -> Any:
        """What is at a path, once it is as wanted."""
        pause = pauses()
        async with asyncio.timeout(WITHIN):
            while True:
                reply = await self.get(path, **query)
                if reply.status == 200 and holds(reply.json):
                    return reply.json
                await asyncio.sleep(next(pause))

    @asynccontextmanager
    async def stream(
        self, path: str, *, last: str = ""
    ) -> AsyncGenerator[AsyncGenerator[SseEvent]]:
        """The events of a stream; leaving the block cuts the connection."""
        async with self.chunks(path, last=last) as chunks:
            yield _events(chunks)

    @asynccontextmanager
    async def chunks(self, path: str, *, last: str = "") -> AsyncGenerator[AsyncGenerator[bytes]]:
        """A stream as it arrives, comments and all."""
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            headers = {**self.login, "Host": f"{self._host}:{self._port}"}
            if last:
                headers["Last-Event-ID"] = last
            lines = [f"GET {self.base}{path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
            writer.write("\r\n".join([*lines, "", ""]).encode())
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WITHIN)
            assert head.startswith(b"HTTP/1.1 200"), head
            assert b"text/event-stream" in head, head
            yield _chunks(reader)
        finally:
            writer.transport.abort()


async def _chunks(reader: asyncio.StreamReader) -> AsyncGenerator[bytes]:
    """The body of a response in chunked encoding."""
    while True:
        size = int(await asyncio.wait_for(reader.readline(), WITHIN), 16)
        chunk = await asyncio.wait_for(reader.readexactly(size + 2), WITHIN)
        if size == 0:
            return
        yield chunk[:-2]


async def _events(chunks: AsyncGenerator[bytes]) -> AsyncGenerator[SseEvent]:
    """As a browser reads them: comments and `retry` are passed over."""
    left = b""
    async for chunk in chunks:
        left += chunk
        while b"\n\n" in left:
            block, _, left = left.partition(b"\n\n")
            fields = dict(
                line.split(": ", 1) for line in block.decode().splitlines() if line[0] != ":"
            )
            if "data" in fields:
                yield SseEvent(fields.get("id", ""), fields["event"], json.loads(fields["data"]))


async def taken(events: AsyncGenerator[SseEvent], count: int) -> list[SseEvent]:
    """The next events of a stream."""
    found: list[SseEvent] = []
    async with asyncio.timeout(WITHIN):
        while len(found) < count:
            found.append(await anext(events))
    return found
