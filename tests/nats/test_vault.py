"""The key of a run's log, where several workers take the run for one that begins."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest

from layby.bus.connection import ConnectionSettings
from layby.bus.errors import Conflict
from layby.bus.keyring import Keyring
from layby.bus.layout import erasable
from layby.bus.log import Log
from layby.bus.log_subject import NOBODY, shares
from layby.bus.opened import opened
from layby.bus.requests import Requests
from layby.bus.secret_store import BUCKET
from layby.bus.specs import Topology
from layby.bus.topology import Provisioner
from tests.fix_bus import Bus

pytestmark = pytest.mark.nats


@pytest.fixture
async def workers(bus: Bus, clean_nats: str) -> AsyncIterator[list[Requests]]:
    """Three that hold the same keyring, and remember nothing of each other."""
    for name, subjects in shares(1).items():
        await bus.stream(name, *subjects)
    await Provisioner(bus.requests).ensure(Topology(streams=(erasable(BUCKET),), consumers=()))
    ring = Keyring({"k": secrets.token_bytes(32)})
    settings = ConnectionSettings(servers=(clean_nats,))
    async with (
        opened(settings, keyring=ring) as one,
        opened(settings, keyring=ring) as other,
        opened(settings, keyring=ring) as third,
    ):
        yield [each.requests for each in (one, other, third)]


async def test_a_run_that_was_taken_for_a_new_one_keeps_the_key_of_its_first_entry(
    workers: list[Requests],
) -> None:
    """Its event comes again to a worker that knows its parked state, and not its first entry."""
    first, again, reader = map(Log, workers)
    await first.begin("run")
    await first.append("run", 1, NOBODY, b"one")
    await first.append("run", 2, NOBODY, b"two")
    await again.begin("run")
    with pytest.raises(Conflict):
        await again.append("run", 1, NOBODY, b"one more")
    await again.append("run", 3, NOBODY, b"three")
    assert [message.data for message in await reader.load("run")] == [b"one", b"two", b"three"]


async def test_what_belongs_to_a_run_is_sealed_with_the_key_of_its_first_entry(
    workers: list[Requests],
) -> None:
    """Otherwise it could still be read once the run is erased."""
    first, again = workers[:2]
    await Log(first).begin("run")
    await Log(first).append("run", 1, NOBODY, b"one")
    await Log(again).begin("run")
    assert first.vault is not None
    assert again.vault is not None
    assert again.vault.cached("run") is None
    own, its = await first.vault.of_run("run"), await again.vault.of_run("run")
    assert own is not None
    assert its is not None
    assert its.key == own.key == await again.vault.key_name("run")


async def test_the_worker_that_started_a_run_knows_its_key(workers: list[Requests]) -> None:
    log, vault = Log(workers[0]), workers[0].vault
    assert vault is not None
    await log.begin("run")
    assert vault.cached("run") is None, "somebody else may have begun it"
    await log.append("run", 1, NOBODY, b"one")
    cipher = vault.cached("run")
    assert cipher is not None
    assert cipher.key == await vault.key_name("run")


async def test_what_is_only_sent_is_never_plain_because_the_key_is_not_at_hand(
    workers: list[Requests],
) -> None:
    log, vault = Log(workers[0]), workers[0].vault
    assert vault is not None
    assert vault.sealed_now("run", b"text", "place") is None
    await log.begin("run")
    await log.append("run", 1, NOBODY, b"one")
    sealed = vault.sealed_now("run", b"text", "place")
    assert sealed is not None
    assert await vault.opened("run", sealed, "place") == b"text"
    vault.forget("run")
    assert vault.sealed_now("run", b"text", "place") is None
