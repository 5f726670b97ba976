"""Fixtures for pytest: a session's nats-server, and a runtime on it for one test.

Layby installs this as a plugin. Layby itself is loaded when a fixture is first used.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .app import App
    from .testing import TestRuntime


@pytest.fixture(scope="session")
def layby_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a nats-server that all tests of the session share."""
    from .bus.server import EmbeddedServer  # noqa: PLC0415  only if used

    server = EmbeddedServer(tmp_path_factory.mktemp("layby"))
    loop = asyncio.new_event_loop()  # a loop of its own: those of tests come and go
    try:
        loop.run_until_complete(server.start())
        yield server.url
        loop.run_until_complete(server.stop())
    finally:
        server.kill()
        loop.close()


@pytest.fixture
def layby_running(
    layby_server: str,
) -> Callable[..., AbstractAsyncContextManager[TestRuntime]]:
    """`layby.testing.running` on the session's server, which is emptied first."""
    from contextlib import asynccontextmanager  # noqa: PLC0415

    from .testing import running, wipe  # noqa: PLC0415  only if used

    @asynccontextmanager
    async def run(app: App | str, **options: Any) -> AsyncGenerator[TestRuntime]:
        await wipe(layby_server)
        async with running(app, url=layby_server, **options) as runtime:
            yield runtime

    return run
