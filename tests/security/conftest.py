"""Servers with the shipped configurations: behind accounts, and with one account for everybody."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from layby.bus.server import EmbeddedServer
from tests.security.house import House, desk, with_accounts, with_one_account

_CONFIGS = {"accounts": with_accounts, "one account": with_one_account}


@pytest.fixture(params=["accounts", "one account"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    """A server of its own for each test, once with each configuration; see `House.walled`."""
    async with _started(request.param, tmp_path) as house:
        yield house


@pytest.fixture
async def walled(tmp_path: Path) -> AsyncIterator[House]:
    """A server with the accounts that deploy/accounts.conf ships."""
    async with _started("accounts", tmp_path) as house:
        yield house


@asynccontextmanager
async def _started(kind: str, folder: Path) -> AsyncGenerator[House]:
    async with EmbeddedServer(folder / "nats", extra=_CONFIGS[kind](desk())) as server:
        yield House(url=server.url, kind=kind)
