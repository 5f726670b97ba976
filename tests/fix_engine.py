"""The engine on the session's server, which holds nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.engine import Engine


@pytest.fixture
async def engine(clean_nats: str) -> AsyncIterator[Engine]:
    async with Engine.at(clean_nats) as engine:
        yield engine
