"""A stream is followed: nothing is taken for removed that is there."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from layby.bus.bucket import Bucket
from layby.bus.opened import opened
from layby.bus.settings import ConnectionSettings
from layby.bus.wire import Message
from layby.console.catalogue import source as source_module
from layby.console.catalogue.source import Source

pytestmark = pytest.mark.nats


async def _nothing(_: list[Message] | None = None) -> None:
    """Take it."""


async def test_a_row_rewritten_while_removed_ones_are_sought_is_kept(clean_nats: str) -> None:
    kept: list[set[str]] = []

    async def keep_only(found: set[str]) -> None:
        kept.append(found)

    async with opened(ConnectionSettings(servers=(clean_nats,))) as bus:
        config = {"name": "KV_rows", "subjects": ["$KV.rows.>"], "max_msgs_per_subject": 1}
        more = {"allow_direct": True, "allow_rollup_hdrs": True, "discard": "new"}
        await bus.requests.api("STREAM.CREATE.KV_rows", {**config, **more})
        rows = Bucket(bus.requests, "rows")
        for key in ("a", "b", "c"):
            await rows.put(key, b"1")
        source = Source(
            bus.connection,
            bus.requests,
            "KV_rows",
            [],
            take=_nothing,
            restart=_nothing,
            keep_only=keep_only,
        )
        await source._read()  # pyright: ignore[reportPrivateUsage]
        await rows.put("a", b"2")
        await rows.put("b", b"2")
        source._reconnected()  # pyright: ignore[reportPrivateUsage]
        await source._drop_removed()  # pyright: ignore[reportPrivateUsage]
    assert kept == [{"a", "b", "c"}]


@pytest.mark.parametrize("turns", range(4))
async def test_it_stops_when_told_to_though_there_is_something_to_read(
    clean_nats: str, turns: int
) -> None:
    async with opened(ConnectionSettings(servers=(clean_nats,))) as bus:
        source = Source(
            bus.connection, bus.requests, "KV_none", [], take=_nothing, restart=_nothing
        )
        task = asyncio.create_task(source.keep())
        await bus.requests.api("INFO")  # by then it waits for the stream to be there
        await bus.requests.api("INFO")
        source.look()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=30)
        assert done


async def _taken(rows: Bucket, value: bytes, taken: asyncio.Queue[bytes]) -> None:
    """Write a value until it is taken: it may be announced before it can be read."""
    async with asyncio.timeout(20):
        while True:
            await rows.put("a", value)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    while await taken.get() != value:
                        pass
                return


async def test_a_hint_cuts_the_pause_after_another_short(
    clean_nats: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "_SETTLE", (0.0, 3600.0))
    taken: asyncio.Queue[bytes] = asyncio.Queue()

    async def take(messages: list[Message]) -> None:
        for message in messages:
            taken.put_nowait(message.data)

    async with opened(ConnectionSettings(servers=(clean_nats,))) as bus:
        config = {
            "name": "KV_rows",
            "subjects": ["$KV.rows.>"],
            "allow_direct": True,
            "allow_rollup_hdrs": True,
        }
        await bus.requests.api("STREAM.CREATE.KV_rows", config)
        source = Source(
            bus.connection, bus.requests, "KV_rows", ["$KV.rows.>"], take=take, restart=_nothing
        )
        task = asyncio.create_task(source.keep())
        rows = Bucket(bus.requests, "rows")
        for value in (b"1", b"2", b"3"):
            await _taken(rows, value, taken)
        task.cancel()
        await asyncio.wait({task}, timeout=30)


async def test_large_messages_are_taken_a_few_at_a_time(clean_nats: str) -> None:
    sizes: list[int] = []

    async def take(batch: list[Message]) -> None:
        sizes.append(sum(len(each.data) for each in batch))

    async with opened(ConnectionSettings(servers=(clean_nats,))) as bus:
        config = {"name": "LARGE", "subjects": ["large"], "allow_direct": True}
        await bus.requests.api("STREAM.CREATE.LARGE", config)
        for _ in range(30):
            await bus.requests.store("large", b"x" * 200_000)
        source = Source(bus.connection, bus.requests, "LARGE", [], take=take, restart=_nothing)
        await source._read()  # pyright: ignore[reportPrivateUsage]
    assert sum(sizes) == 30 * 200_000
    assert max(sizes) < 1_300_000
