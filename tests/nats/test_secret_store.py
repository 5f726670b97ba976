"""The records of keys in a real bucket: made once, destroyed for good, and wrapped anew."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from layby.bus.bucket import Bucket
from layby.bus.errors import Erased, KeyMissing
from layby.bus.keyring import Keyring
from layby.bus.keys_in_use import CHECK
from layby.bus.layout import erasable
from layby.bus.secret_record import decode
from layby.bus.secret_store import BLOCK, BUCKET, SecretStore
from layby.bus.specs import Topology
from layby.bus.topology import Provisioner
from tests.fix_bus import Bus

pytestmark = pytest.mark.nats

OLD, NEW = secrets.token_bytes(32), secrets.token_bytes(32)


@pytest.fixture
async def keys(bus: Bus) -> Bucket:
    await Provisioner(bus.requests).ensure(Topology(streams=(erasable(BUCKET),), consumers=()))
    return Bucket(bus.requests, BUCKET)


def store(keys: Bucket, **ring: bytes) -> SecretStore:
    """A worker's view, whose keyring has these keys; the first is the primary one."""
    return SecretStore(keys, Keyring(ring or {"old": OLD}))


async def used(keys: Bucket) -> tuple[str, ...]:
    item = await keys.get_raw(CHECK)
    assert item is not None
    return decode(item.value).used


async def test_two_workers_agree_on_a_persons_secret(keys: Bucket) -> None:
    one, other = store(keys), store(keys)
    name = await one.person("ada@example.com")
    assert name == await other.person("ada@example.com")
    assert name != await one.person("bob@example.com")
    thread = await one.thread("ada@example.com")
    assert thread.removeprefix("t-") != name.removeprefix("p-"), "one would lead to the other"
    first, second = await asyncio.gather(one.named(name), other.named(name))
    assert first.each == second.each
    assert "@" not in name


async def test_a_destroyed_secret_is_followed_by_another(keys: Bucket) -> None:
    one = store(keys)
    before = await one.named("p-1")
    assert await one.destroy("p-1")
    with pytest.raises(Erased, match="p-1"):
        await one.get("p-1")
    after = await one.named("p-1")
    assert (before.generation, after.generation) == (1, 2)
    assert before.each != after.each


async def test_destroying_again_changes_nothing(keys: Bucket) -> None:
    one = store(keys)
    await one.named("p-1")
    assert await one.destroy("p-1")
    assert not await one.destroy("p-1")
    assert not await one.destroy("p-2"), "there never was one"


async def test_a_worker_that_remembers_a_secret_reads_it_again_once_it_is_told(
    keys: Bucket,
) -> None:
    one, other = store(keys), store(keys)
    await other.named("p-1")
    await one.destroy("p-1")
    assert (await other.get("p-1")).generation == 1, "remembered for a while"
    other.forget("p-1")
    with pytest.raises(Erased):
        await other.get("p-1")


async def test_what_is_no_longer_fresh_is_read_again(keys: Bucket) -> None:
    one, other = store(keys), SecretStore(keys, Keyring({"old": OLD}), fresh=0.0)
    await other.named("p-1")
    await one.destroy("p-1")
    with pytest.raises(Erased):
        await other.get("p-1")


async def test_one_run_of_a_block_is_erased_and_the_others_are_not(keys: Bucket) -> None:
    one = store(keys)
    name = await one.new_block()
    before = await one.get(name)
    assert len(set(before.each)) == BLOCK
    assert await one.destroy(name, [3, 5])
    after = await one.get(name)
    assert [at for at, secret in enumerate(after.each) if secret is None] == [3, 5]
    assert [a == b for a, b in zip(after.each, before.each, strict=True)].count(True) == BLOCK - 2
    item = await keys.get_raw(name)
    assert item is not None
    record = decode(item.value)
    kept = await one.ring.unwrap(record.ring, record.wrapped, f"{BUCKET}/{name}/1")
    zeros = [at for at in range(BLOCK) if kept[32 * at : 32 * (at + 1)] == bytes(32)]
    assert zeros == [3, 5], "whoever has the keyring finds nothing there"
    assert not await one.destroy(name, [5])
    assert await one.destroy(name, range(BLOCK))
    with pytest.raises(Erased):
        await one.get(name)


async def test_nothing_of_a_destroyed_secret_is_left_in_the_stream(keys: Bucket, bus: Bus) -> None:
    one = store(keys)
    await one.named("p-1")
    subject = f"$KV.{BUCKET}.p-1"
    await one.destroy("p-1")
    await one.named("p-1")
    await one.destroy("p-1")
    info = await bus.requests.api(f"STREAM.INFO.KV_{BUCKET}", {"subjects_filter": subject})
    assert info["state"]["subjects"] == {subject: 1}


async def test_a_record_that_was_removed_is_reported(keys: Bucket) -> None:
    with pytest.raises(KeyMissing, match=r"no record b-1: it was removed"):
        await store(keys).get("b-1")


async def test_a_worker_without_a_key_in_use_is_refused(keys: Bucket) -> None:
    await store(keys, old=OLD).check()
    with pytest.raises(KeyMissing, match="encrypted under 'old', which the keyring does not hold"):
        await store(keys, new=NEW).check()
    await store(keys, new=NEW, old=OLD).check()
    with pytest.raises(KeyMissing, match="encrypted under 'new'"):
        await store(keys, old=OLD).check()


async def test_another_key_of_the_same_id_is_refused(keys: Bucket) -> None:
    await store(keys, old=OLD).check()
    with pytest.raises(KeyMissing, match="two keys have the same id"):
        await store(keys, old=NEW).check()


async def test_a_rotation_wraps_everything_anew_and_changes_no_secret(keys: Bucket) -> None:
    before = store(keys, old=OLD)
    await before.check()
    person, block = await before.named("p-1"), await before.get(await before.new_block())
    await before.named("p-2")
    await before.destroy("p-2")
    both = store(keys, new=NEW, old=OLD)
    assert await both.wrapped_by() == {"old": 3}, "with the record `check`"
    rotated = await both.rotate()
    assert (rotated.primary, rotated.rewrapped, rotated.left) == ("new", 3, {})
    assert await both.wrapped_by() == {"new": 3}
    assert await used(keys) == ("new",)
    after = store(keys, new=NEW)
    await after.check()
    assert (await after.named("p-1")).each == person.each
    [name] = [item.key async for item, _ in after.records() if item.key.startswith("b-")]
    assert (await after.get(name)).each == block.each
    assert (await both.rotate()).rewrapped == 0


async def test_a_worker_that_writes_under_an_old_key_has_it_noted_again(keys: Bucket) -> None:
    late = store(keys, old=OLD, new=NEW)
    await late.check()
    await store(keys, new=NEW, old=OLD).rotate()
    assert await used(keys) == ("new",)
    await late.named("p-1")
    assert set(await used(keys)) == {"new", "old"}
    assert (await store(keys, new=NEW, old=OLD).rotate()).rewrapped == 1
    assert await used(keys) == ("new",)


async def test_without_the_bucket_there_is_nothing_to_list(bus: Bus) -> None:
    assert await store(Bucket(bus.requests, BUCKET)).wrapped_by() == {}
