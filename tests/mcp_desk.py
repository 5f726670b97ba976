"""A real MCP server: over standard streams as a script, over HTTP through `serving`."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context, Elicit, Resolve
from pydantic import BaseModel

calls: list[str] = []
headers: list[str] = []
desk = MCPServer("desk")


class Amount(BaseModel):
    amount: int


async def ask_amount() -> Elicit[Amount]:
    return Elicit("How much may be refunded?", Amount)


@desk.tool()
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    calls.append("add")
    return a + b


@desk.tool()
async def fail(why: str) -> str:
    """Fail."""
    raise ValueError(why)


@desk.tool()
async def secret(ctx: Context[Any]) -> str:
    """Tell what it was given to get in."""
    del ctx
    return "known" if os.environ.get("DESK_TOKEN") == "s3cret-token" else "unknown"


@desk.tool()
async def leave() -> str:
    """End the process in the middle of a call."""
    os._exit(3)


@desk.tool()
async def process() -> int:
    """Which process this is."""
    return os.getpid()


@desk.tool()
async def refund(order: str, given: Annotated[Amount, Resolve(ask_amount)]) -> str:
    """Refund an order."""
    calls.append(f"refund {order} {given.amount}")
    return f"refunded {given.amount} for {order}"


@asynccontextmanager
async def serving() -> AsyncGenerator[str]:
    """The server on a port of the loopback."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        app = desk.streamable_http_app()

        async def noting(scope: Any, receive: Any, send: Any) -> None:
            for name, value in scope.get("headers", ()):
                if name == b"authorization":
                    headers.append(value.decode())
            await app(scope, receive, send)

        config = uvicorn.Config(noting, log_level="error", lifespan="on")
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        task = asyncio.create_task(server.serve(sockets=[sock]))
        while not server.started:  # noqa: ASYNC110  it has nothing to wait for
            await asyncio.sleep(0.005)
        try:
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            server.should_exit = True
            await task


if __name__ == "__main__":
    sys.stderr.write("a token that nobody shall log: s3cret-token\n")
    desk.run("stdio")
