"""A nats-server of the benchmark's own, in a fresh folder, at either durability."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

from layby.bus.server import EmbeddedServer

DEFAULT = "default"
ALWAYS = "always"


@contextlib.asynccontextmanager
async def server(sync: str = DEFAULT) -> AsyncGenerator[EmbeddedServer]:
    """A server that is gone, with its data, at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="layby-bench-") as folder:
        async with EmbeddedServer(Path(folder), sync_always=sync == ALWAYS) as running:
            yield running
