"""Open tabs without a browser: each reads a page's stream of patches, as the page's script does."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator
from urllib.parse import urlsplit

_LIVE = re.compile(rb'data-live="([^"]+)"')
_COOKIE = re.compile(rb"(?im)^set-cookie: ([^;\r\n]+)")


class Tabs:
    """Open streams, and how many patches came over them."""

    def __init__(self) -> None:
        self.patches = 0

    async def read(self, reader: asyncio.StreamReader) -> None:
        """Count the patches of one stream until it ends."""
        while line := await reader.readline():
            self.patches += line.startswith(b"event: patch")


@contextlib.asynccontextmanager
async def open_tabs(host: str, entry: str, count: int) -> AsyncGenerator[Tabs]:
    """So many tabs of the page of runs, signed in with the console's printed address."""
    tabs = Tabs()
    parts = urlsplit(entry)
    cookie = _first(_COOKIE, await _get(host, f"{parts.path}?{parts.query}", b""))
    page = await _get(host, "/", cookie)
    live = _first(_LIVE, page).replace(b"&amp;", b"&").decode()
    streams = [await _opened(host, live, cookie) for _ in range(count)]
    reading = [asyncio.create_task(tabs.read(reader)) for reader, _ in streams]
    try:
        yield tabs
    finally:
        for task in reading:
            task.cancel()
        for _, writer in streams:
            writer.close()


async def _get(host: str, path: str, cookie: bytes) -> bytes:
    reader, writer = await _opened(host, path, cookie, close=True)
    try:
        return await reader.read()
    finally:
        writer.close()


async def _opened(
    host: str, path: str, cookie: bytes, *, close: bool = False
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    name, _, port = host.rpartition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    lines = [f"GET {path} HTTP/1.1".encode(), f"Host: {host}".encode()]
    lines += [b"Cookie: " + cookie] if cookie else []
    lines += [b"Connection: close"] if close else []
    writer.write(b"\r\n".join(lines) + b"\r\n\r\n")
    return reader, writer


def _first(pattern: re.Pattern[bytes], text: bytes) -> bytes:
    found = pattern.search(text)
    if found is None:
        raise RuntimeError(f"no {pattern.pattern!r} in {text[:300]!r}")
    return found[1]
