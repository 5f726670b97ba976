"""A real nats-server for tests."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

from ..bus.opened import opened
from ..bus.server import EmbeddedServer
from ..bus.settings import ConnectionSettings


@contextlib.asynccontextmanager
async def server(*, folder: Path | None = None) -> AsyncGenerator[EmbeddedServer]:
    """A nats-server of its own while the block is open, at `.url`; its data is then removed.

    In a `folder` that you give the data stays, so that a later server goes on with it.
    """
    with tempfile.TemporaryDirectory(prefix="layby-") as made:
        async with EmbeddedServer(folder or Path(made), private=True) as running:
            yield running


async def wipe(url: str) -> None:
    """Delete every stream of a test's server. Never give it a server that is used for anything."""
    async with opened(ConnectionSettings(servers=(url,))) as (_, requests):
        names: list[str] = (await requests.api("STREAM.NAMES", {})).get("streams") or []
        for name in names:
            await requests.api(f"STREAM.DELETE.{name}")
