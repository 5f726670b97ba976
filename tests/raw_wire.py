"""A client of NATS that sends whatever bytes it is given, as an attacker would."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit


class Frame(NamedTuple):
    """One message as bytes; `block` is its whole header block."""

    subject: bytes
    data: bytes = b""
    reply: bytes = b""
    block: bytes = b""

    def __bytes__(self) -> bytes:
        to = b" ".join(part for part in (self.subject, self.reply) if part)
        size = len(self.block) + len(self.data)
        if self.block:
            line = b"HPUB %b %d %d\r\n" % (to, len(self.block), size)
        else:
            line = b"PUB %b %d\r\n" % (to, size)
        return b"".join((line, self.block, self.data, b"\r\n"))


def headers(*lines: bytes) -> bytes:
    """A header block of these lines."""
    return b"".join((b"NATS/1.0\r\n", *(line + b"\r\n" for line in lines), b"\r\n"))


class RawWire:
    """One socket to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.refused: list[bytes] = []
        """What the server said against us."""

    @classmethod
    @asynccontextmanager
    async def at(cls, url: str, user: str = "", password: str = "") -> AsyncGenerator[Self]:
        """Connected to the server while the block is open."""
        where = urlsplit(url)
        user, password = user or where.username or "", password or where.password or ""
        reader, writer = await asyncio.open_connection(where.hostname, where.port or 4222)
        wire = cls(reader, writer)
        options: dict[str, Any] = {"verbose": False, "headers": True, "no_responders": True}
        if user:
            options |= {"user": user, "pass": password}
        await reader.readline()  # INFO
        writer.write(b"CONNECT %b\r\n" % json.dumps(options).encode())
        try:
            await wire.flush()
            yield wire
        finally:
            writer.close()

    async def send(self, *frames: Frame | bytes) -> None:
        """Send messages, or any bytes, and return when the server has read them."""
        self._writer.writelines(map(bytes, frames))
        await self.flush()

    async def publish(
        self,
        subject: bytes | str,
        data: bytes = b"",
        *,
        reply: bytes | str = b"",
        block: bytes = b"",
    ) -> None:
        """Publish one message."""
        await self.send(Frame(_raw(subject), data, _raw(reply), block))

    async def flood(self, frames: Iterable[Frame], at_once: int = 500) -> None:
        """Publish many messages."""
        for n, frame in enumerate(frames, 1):
            self._writer.write(bytes(frame))
            if n % at_once == 0:
                await self.flush()
        await self.flush()

    async def flush(self) -> None:
        """Return when the server has read everything. Raises ConnectionError when it hangs up."""
        self._writer.write(b"PING\r\n")
        await self._writer.drain()
        while True:
            line = await self._reader.readline()
            if not line:
                raise ConnectionResetError(f"the server has hung up: {self.refused[-1:]}")
            if line.startswith(b"PONG"):
                return
            if line.startswith(b"PING"):
                self._writer.write(b"PONG\r\n")
            elif line.startswith(b"-ERR"):
                self.refused.append(line.strip())


def _raw(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text
