"""The bus on the session's server: a connection with its requests."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from layby.bus.connection import Connection, ConnectionSettings
from layby.bus.opened import opened
from layby.bus.requests import Requests


class Bus:
    """A connection and its requests."""

    def __init__(self, connection: Connection, requests: Requests) -> None:
        self.connection = connection
        self.requests = requests

    async def stream(self, name: str, *subjects: str, **config: Any) -> None:
        """Make a stream, in memory unless said otherwise."""
        body = {"name": name, "subjects": subjects, "storage": "memory", "allow_direct": True}
        await self.requests.api(f"STREAM.CREATE.{name}", body | config)

    async def consumer(self, stream: str, name: str, **config: Any) -> None:
        """Make a durable pull consumer."""
        body = {"durable_name": name, "name": name, "ack_policy": "explicit", "max_deliver": -1}
        await self.requests.api(
            f"CONSUMER.CREATE.{stream}.{name}",
            {"stream_name": stream, "config": body | config},
        )

    async def about(self, stream: str, consumer: str) -> dict[str, Any]:
        return await self.requests.api(f"CONSUMER.INFO.{stream}.{consumer}")


@asynccontextmanager
async def bus_at(url: str, **settings: Any) -> AsyncGenerator[Bus]:
    """A bus, connected while the block is open."""
    async with opened(ConnectionSettings(servers=(url,), **settings), patient=True) as bus:
        yield Bus(*bus)


@pytest.fixture
async def bus(clean_nats: str) -> AsyncIterator[Bus]:
    async with bus_at(clean_nats, timeout=30.0) as bus:
        yield bus
