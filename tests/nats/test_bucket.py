from __future__ import annotations

import asyncio

import msgspec
import pytest

from layby.bus.bucket import Bucket, Item
from layby.bus.errors import BusError, Conflict
from layby.bus.layout import bucket
from layby.bus.specs import Topology
from layby.bus.topology import Provisioner
from tests.fix_bus import Bus

pytestmark = pytest.mark.nats


@pytest.fixture
async def things(bus: Bus) -> Bucket:
    topology = Topology(streams=(bucket("things"),), consumers=())
    await Provisioner(bus.requests).ensure(topology)
    return Bucket(bus.requests, "things")


async def keys(bucket: Bucket) -> list[str]:
    return [item.key async for item in bucket.items()]


async def test_a_value_is_read_with_its_revision(things: Bucket) -> None:
    assert await things.get("a") is None
    revision = await things.put("a", b"1")
    assert await things.get("a") == Item("a", b"1", revision)


async def test_the_leader_is_asked_for_its_newest_value(things: Bucket) -> None:
    assert await things.get_newest("a") is None
    revision = await things.put("a", b"\xff\x00 bytes")
    assert await things.get_newest("a") == Item("a", b"\xff\x00 bytes", revision)


async def test_any_token_can_be_a_key(things: Bucket) -> None:
    await things.put("=2345=2021", b"1")
    await things.put("x" * 2_400, b"2")
    assert await keys(things) == ["=2345=2021", "x" * 2_400]


async def test_the_newest_value_counts_and_nothing_older_is_kept(bus: Bus, things: Bucket) -> None:
    for number in range(5):
        await things.put("a", b"%d" % number)
    item = await things.get("a")
    assert item is not None
    assert item.value == b"4"
    info = await bus.requests.api("STREAM.INFO.KV_things")
    assert info["state"]["messages"] == 1


async def test_a_key_that_must_be_new_is_made_once(things: Bucket) -> None:
    outcomes = await asyncio.gather(
        *(things.put("a", b"%d" % i, revision=0) for i in range(20)), return_exceptions=True
    )
    winners = [i for i, outcome in enumerate(outcomes) if isinstance(outcome, int)]
    assert len(winners) == 1
    assert all(isinstance(o, Conflict) for o in outcomes if not isinstance(o, int))
    item = await things.get("a")
    assert item is not None
    assert item.value == b"%d" % winners[0]


async def test_a_write_that_expects_another_revision_is_refused(things: Bucket) -> None:
    first = await things.put("a", b"1")
    second = await things.put("a", b"2", revision=first)
    with pytest.raises(Conflict):
        await things.put("a", b"3", revision=first)
    assert await things.get("a") == Item("a", b"2", second)


async def test_many_writers_count_without_losing_one(things: Bucket) -> None:
    async def increment() -> None:
        while True:
            item = await things.get("n")
            value, revision = (int(item.value), item.revision) if item else (0, 0)
            try:
                await things.put("n", b"%d" % (value + 1), revision=revision)
            except Conflict:
                continue
            return

    await asyncio.gather(*(increment() for _ in range(20)))
    item = await things.get("n")
    assert item is not None
    assert item.value == b"20"


@pytest.mark.slow
async def test_a_value_with_a_lifetime_is_forgotten_and_can_be_made_anew(things: Bucket) -> None:
    await things.put("a", b"1", ttl=1)
    await things.put("kept", b"1")
    async with asyncio.timeout(30):
        while await things.get("a") is not None:  # noqa: ASYNC110  nothing announces it
            await asyncio.sleep(0.02)
    assert await keys(things) == ["kept"]
    await things.put("a", b"2", revision=0)


async def test_a_new_write_ends_the_lifetime_of_the_old(bus: Bus, things: Bucket) -> None:
    await things.put("a", b"1", ttl=1)
    await things.put("a", b"2")
    [message, _] = await bus.requests.direct_get("KV_things", {"multi_last": ["$KV.things.a"]})
    assert "Nats-TTL" not in message.headers


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 700])
async def test_all_items_are_listed_the_oldest_write_first(things: Bucket, count: int) -> None:
    names = [f"k{number}" for number in range(count)]
    for at in range(0, count, 100):
        await asyncio.gather(*(things.put(name, b"x") for name in names[at : at + 100]))
    found = [item async for item in things.items()]
    assert sorted(item.key for item in found) == sorted(names)
    assert [item.revision for item in found] == sorted(item.revision for item in found)


async def test_a_key_that_is_written_while_it_is_listed_is_not_missed(things: Bucket) -> None:
    names = [f"k{number:03}" for number in range(300)]
    for name in names:
        await things.put(name, b"old")
    seen: dict[str, bytes] = {}
    async for item in things.items():
        if not seen:
            await things.put("k299", b"new")
            await things.put("k000", b"new")
        seen[item.key] = item.value
    assert sorted(seen) == names
    assert seen["k299"] == b"new"


async def test_big_items_are_listed_too(things: Bucket) -> None:
    for number in range(20):
        await things.put(f"k{number}", b"x" * 500_000)
    assert len(await keys(things)) == 20


async def test_a_missing_bucket_is_reported(bus: Bus) -> None:
    nothing = Bucket(bus.requests, "nothing")
    with pytest.raises(BusError) as caught:
        await keys(nothing)
    assert caught.value.code == 503
    with pytest.raises(BusError):
        await nothing.get("a")
    with pytest.raises(BusError):
        await nothing.put("a", b"1")


async def test_others_see_it_as_a_bucket(bus: Bus, things: Bucket) -> None:
    """The stock `nats kv` reads it: subjects and settings are a bucket's."""
    from nats.js import JetStreamContext  # noqa: PLC0415

    await things.put("a", msgspec.json.encode({"b": 1}))
    kv = await JetStreamContext(bus.connection.nc).key_value("things")
    entry = await kv.get("a")
    assert entry.value == b'{"b":1}'
