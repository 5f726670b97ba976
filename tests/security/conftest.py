"""Servers with the shipped configurations: accounts, operator mode, and one account for all."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from layby.bus.server import EmbeddedServer
from tests.security.house import House, desk, with_accounts, with_one_account, with_tokens

_CONFIGS = {"accounts": with_accounts, "one account": with_one_account}


@pytest.fixture(params=["accounts", "jwt", "one account"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    """A server of its own for each test, once with each configuration; see `House.walled`."""
    async with _started(request.param, tmp_path) as house:
        yield house


@pytest.fixture
async def walled(tmp_path: Path) -> AsyncIterator[House]:
    """A server with the accounts that deploy/accounts.conf ships."""
    async with _started("accounts", tmp_path) as house:
        yield house


@pytest.fixture
async def jwt(tmp_path: Path) -> AsyncIterator[House]:
    """A server in operator mode."""
    async with _started("jwt", tmp_path) as house:
        yield house


@asynccontextmanager
async def _started(kind: str, folder: Path) -> AsyncGenerator[House]:
    if kind == "jwt":
        registry = with_tokens(desk(), folder)
        async with EmbeddedServer(folder / "nats", extra=registry.config.read_text()) as server:
            yield await House.by_tokens(server.url, registry)
        return
    async with EmbeddedServer(folder / "nats", extra=_CONFIGS[kind](desk())) as server:
        yield House(url=server.url, kind=kind)
