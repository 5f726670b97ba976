"""Which secret a run gets: never one that another has, and without waiting where it can be."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from layby.bus.errors import BusError
from layby.bus.secret_store import BLOCK, SecretStore
from layby.bus.vault import Vault


class Store:
    """Makes blocks when it is let."""

    def __init__(self) -> None:
        self.made = 0
        self.error: Exception | None = None
        self.free = asyncio.Event()
        self.free.set()
        self.asked = asyncio.Event()

    async def new_block(self) -> str:
        self.asked.set()
        await self.free.wait()
        if self.error is not None:
            raise self.error
        self.made += 1
        return f"b-{self.made}"


async def nothing(run: str) -> None:
    del run


@pytest.fixture
async def store() -> Store:
    return Store()


@pytest.fixture
async def vault(store: Store) -> Vault:
    return Vault(cast("SecretStore", store), nothing)


async def slots(vault: Vault, count: int) -> list[tuple[str, int]]:
    async with asyncio.timeout(30):
        return await asyncio.gather(*(vault._slot() for _ in range(count)))


async def test_no_two_runs_have_one_secret(store: Store, vault: Vault) -> None:
    found = await slots(vault, 3 * BLOCK)
    assert len(set(found)) == 3 * BLOCK
    assert {at for _, at in found} == set(range(BLOCK))
    assert store.made in {3, 4}


async def test_runs_that_wait_for_a_block_share_what_comes(store: Store, vault: Vault) -> None:
    store.free.clear()
    waiting = asyncio.create_task(slots(vault, 2 * BLOCK + 1))
    await store.asked.wait()
    store.free.set()
    assert len(set(await waiting)) == 2 * BLOCK + 1


async def test_the_next_block_is_made_before_it_is_needed(store: Store, vault: Vault) -> None:
    await slots(vault, 1)
    store.asked.clear()
    await slots(vault, BLOCK - 2)
    async with asyncio.timeout(30):
        await store.asked.wait()
    await asyncio.sleep(0)
    store.free.clear()  # nobody has to wait for a block now
    assert len(set(await slots(vault, BLOCK))) == BLOCK


async def test_a_block_that_could_not_be_made_is_made_for_the_next_run(
    store: Store, vault: Vault
) -> None:
    store.error = BusError("no server")
    with pytest.raises(BusError):
        await slots(vault, 1)
    store.error = None
    assert await slots(vault, 1) == [("b-1", 0)]


async def test_a_block_that_failed_ahead_of_need_fails_no_run(store: Store, vault: Vault) -> None:
    await slots(vault, 1)
    store.error = BusError("no server")
    store.asked.clear()
    await slots(vault, BLOCK - 2)
    async with asyncio.timeout(30):
        await store.asked.wait()
    await asyncio.sleep(0)
    store.error = None
    found = await slots(vault, 2)
    assert [at for _, at in found] == [BLOCK - 1, 0]


async def test_a_run_that_gives_up_takes_no_block_with_it(store: Store, vault: Vault) -> None:
    store.free.clear()
    first: asyncio.Task[Any] = asyncio.create_task(vault._slot())
    await store.asked.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    store.free.set()
    assert await slots(vault, 1) == [("b-1", 0)]
