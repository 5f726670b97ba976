"""Servers with the shipped configurations: accounts, operator mode, and one account for all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from layby.bus.connection import ConnectionSettings
from layby.bus.opened import opened
from layby.console.server import Serving
from tests.fix_browser import console_on
from tests.security.house import House, started

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, but for the proofs."""
    for item in items:
        if item.path.is_relative_to(_HERE) and item.get_closest_marker("proof") is None:
            item.add_marker(pytest.mark.security)


@pytest.fixture(params=["accounts", "jwt", "one account"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    """A server of its own for each test, once with each configuration; see `House.walled`."""
    async with started(request.param, tmp_path) as house:
        yield house


@pytest.fixture
async def walled(tmp_path: Path) -> AsyncIterator[House]:
    """A server with the accounts that deploy/accounts.conf ships."""
    async with started("accounts", tmp_path) as house:
        yield house


@pytest.fixture
async def jwt(tmp_path: Path) -> AsyncIterator[House]:
    """A server in operator mode."""
    async with started("jwt", tmp_path) as house:
        yield house


@pytest.fixture
async def open_house(walled: House) -> AsyncIterator[House]:
    """The same, with a worker."""
    async with walled.working():
        yield walled


@pytest.fixture
async def serving(open_house: House) -> AsyncIterator[Serving]:
    """A console on it where people sign in with their NATS logins."""
    async with console_on(open_house.settings("observer"), auth="nats") as found:
        yield found


@pytest.fixture
def clean(nats_url: str) -> None:
    """No streams on the session's server."""

    async def clear() -> None:
        async with opened(ConnectionSettings(servers=(nats_url,))) as (_, requests):
            listed = await requests.api("STREAM.NAMES", {})
            names: list[str] = listed.get("streams") or []
            for name in names:
                await requests.api(f"STREAM.DELETE.{name}")

    asyncio.run(clear())
