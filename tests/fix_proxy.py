"""A TCP proxy to stand between a client and a server, and to fail in the ways that networks do."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Proxy:
    """Forwards TCP to the server at `target`, a URL, until told otherwise."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "", parts.port or 0)
        self._port = 0
        self._server: asyncio.Server | None = None
        self._ends: set[_End] = set()
        self._links: set[asyncio.Task[None]] = set()
        self.is_deaf = False
        self.held: frozenset[bool] = frozenset()
        """Whose bytes are kept back: True those of clients, False those of the server."""
        self.passed = bytearray()
        """What clients have sent."""

    @property
    def url(self) -> str:
        """Where to connect; it stays the same over `stop` and `start`."""
        return f"nats://127.0.0.1:{self._port}"

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return sum(end.is_client for end in self._ends)

    async def start(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _End(self, is_client=True), "127.0.0.1", self._port
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Be gone: refuse connections and cut those that there are."""
        if self._server is not None:
            self._server.close()
            self.cut()
            await self._server.wait_closed()
            self._server = None
        for link in tuple(self._links):
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    def deaf(self) -> None:
        """Go on taking connections and bytes, and pass nothing on: a dead route."""
        self.is_deaf = True

    def hear(self) -> None:
        """Stop being deaf. What was swallowed is lost, so those connections are cut."""
        self.is_deaf = False
        self.cut()

    def hold(self, *, clients: bool = True, server: bool = True) -> None:
        """Let nothing pass, and lose nothing: a route that hangs, and that nobody resets."""
        self.held = frozenset(who for who, holds in ((True, clients), (False, server)) if holds)

    def release(self) -> None:
        """Let pass what was kept back, in its order, and then the ends of connections."""
        self.held = frozenset()
        for end in tuple(self._ends):
            end.pass_late()

    def cut(self) -> None:
        """Reset every connection; new ones are welcome."""
        for end in tuple(self._ends):
            end.reset()

    def link(self, client: _End) -> None:
        task = asyncio.get_running_loop().create_task(self._connect(client))
        self._links.add(task)
        task.add_done_callback(self._links.discard)

    async def _connect(self, client: _End) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, server = await loop.create_connection(
                lambda: _End(self, is_client=False), *self._target
            )
        except OSError:
            client.reset()
            return
        server.join(client)
        client.join(server)

    def made(self, end: _End) -> None:
        self._ends.add(end)
        if end.is_client and not self.is_deaf:
            self.link(end)

    def lost(self, end: _End) -> None:
        self._ends.discard(end)


class _End(asyncio.Protocol):
    """One of the two ends of a proxied connection."""

    def __init__(self, proxy: Proxy, *, is_client: bool) -> None:
        self.is_client = is_client
        self._proxy = proxy
        self._early: list[bytes] = []
        self._late: list[bytes] = []
        self._is_over = False
        self._peer: _End | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._proxy.made(self)

    def join(self, peer: _End) -> None:
        self._peer = peer
        early, self._early = self._early, []
        for data in early:
            peer.write(data)

    def data_received(self, data: bytes) -> None:
        if self._proxy.is_deaf:
            return
        if self.is_client in self._proxy.held:
            self._late.append(data)
            return
        if self.is_client:
            self._proxy.passed += data
        if self._peer is None:
            self._early.append(data)
        else:
            self._peer.write(data)

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def pass_late(self) -> None:
        """Pass on what was kept back."""
        late, self._late = self._late, []
        for data in late:
            self.data_received(data)
        if self._is_over:
            self.connection_lost(None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if self._proxy.held:
            self._is_over = True  # a route that hangs does not tell of it
            return
        self._proxy.lost(self)
        if self._peer is not None and self._peer._transport is not None:
            self._peer._transport.close()

    def reset(self) -> None:
        if self._transport is None:
            return
        sock: socket.socket = self._transport.get_extra_info("socket")
        if sock.fileno() < 0:
            return  # it has ended already, which a held route does not tell
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()


@pytest.fixture
async def proxy(nats_url: str) -> AsyncIterator[Proxy]:
    """A started proxy before the session's server."""
    one = Proxy(nats_url)
    await one.start()
    yield one
    await one.stop()
