"""A purge destroys the keys of the runs it removes, whoever dies meanwhile, and no other key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from layby import Keyring, Step
from layby.bus.bucket import Bucket
from layby.bus.errors import Erased
from layby.bus.log_subject import subject
from layby.bus.secret_record import SecretRecord, decode
from layby.bus.secret_store import BLOCK
from layby.bus.vault import Vault
from layby.operations.purging import Purge
from layby.operations.run_keys import RunKeys
from tests.acceptance.test_encryption import keyring, store_of, stored
from tests.engine import Engine, app_of, until

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]

OTHER = "0" * 20
"""The id of a run."""


@pytest.fixture
def ring() -> Keyring:
    return keyring()


@pytest.fixture
async def engine(clean_nats: str, ring: Keyring) -> AsyncIterator[Engine]:
    async with Engine.at(clean_nats, ring) as engine:
        yield engine


async def work(event: dict[str, Any], step: Step) -> str:
    if event.get("asks"):
        return (await step.ask("developer", "Well?")).text
    if event.get("fails"):
        raise ValueError("broken")
    return "done"


async def over(engine: Engine, status: str, **fields: Any) -> str:
    """A run that has ended so, by the lists too."""
    run = await engine.start(**fields)
    await engine.ended(run)

    async def listed() -> bool:
        return any(row.id == run for row in await engine.client.runs(status))

    await until(listed)
    return run


async def slots(engine: Engine, *runs: str) -> set[tuple[str, int]]:
    vault = engine.wire.vault
    assert vault is not None
    found = [await vault.key_name(run) for run in runs]
    return {(key.record, key.slot) for key in found if key is not None}


async def destroyed(engine: Engine) -> set[tuple[str, int]]:
    """The secrets of runs that are no more."""
    gone: set[tuple[str, int]] = set()
    async for item in Bucket(engine.wire, "keys").items():
        record: SecretRecord = decode(item.value)
        every = record.destroyed if record.ring else tuple(range(BLOCK))
        gone |= {(item.key, slot) for slot in every}
    return gone


async def test_a_purge_destroys_the_keys_of_the_runs_it_removes(
    engine: Engine, ring: Keyring, clean_nats: str
) -> None:
    async with engine.works(app_of(work, encryption=ring)):
        runs = [await over(engine, "completed", ticket=f"T{n}") for n in range(3)]
        runs.append(await over(engine, "failed", ticket="T4", fails=True))
        waits = await engine.start("T5", asks=True)
        await engine.question(run=waits)
        taken, kept = await slots(engine, *runs), await slots(engine, waits)
        assert len(taken) == len(runs)
        copies = await stored(engine.wire)
        assert (await engine.client.purge(0)).runs == len(runs)
        assert await destroyed(engine) == taken
        assert not taken & kept
        await engine.answer("T5", "yes")
        assert await engine.result(waits) == "yes"
    # A backup of the streams can be read no more, and the bucket holds nothing of the old records.
    async with Engine.at(clean_nats, ring) as looking:
        vault = looking.wire.vault
        assert vault is not None
        of_them = [each for each in copies["RUNS"] if each[0].split(".")[-2] in runs]
        assert len(of_them) >= len(runs)
        for place, data in of_them:
            with pytest.raises(Erased):
                await vault.opened(place.split(".")[-2], data[: data.index(b"{'")], place)
    records = [place for place, _ in (await stored(engine.wire))["KV_keys"]]
    assert len(records) == len(set(records))


async def test_a_purge_that_dies_after_the_keys_ends_the_second_time(
    engine: Engine, ring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can open the logs then, and they are to go all the same."""

    class Died(Exception):
        """As a process would."""

    async def die(*_: Any) -> None:
        raise Died

    async with engine.works(app_of(work, encryption=ring)):
        runs = [await over(engine, "completed", ticket="T1")]
        runs.append(await over(engine, "failed", ticket="T2", fails=True))
        taken = await slots(engine, *runs)
    with monkeypatch.context() as patch:
        patch.setattr(Purge, "_remove_one", die)
        with pytest.raises(Died):
            await Purge(engine.wire).run(0)
    assert await destroyed(engine) == taken
    assert await slots(engine, *runs) == taken  # the logs are there still
    async with engine.works(app_of(work, encryption=ring)):
        assert (await engine.client.purge(0)).runs == len(runs)
        assert await slots(engine, *runs) == set()
        assert await engine.client.runs() == []


async def test_a_purged_run_begins_again_under_a_key_that_is_there(
    engine: Engine, ring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that never heard of the purge still has the old key, which opens nothing."""

    async def unheard(*_: Any) -> None:
        return

    async with engine.works(app_of(work, encryption=ring)) as worker:
        run = await over(engine, "completed", event_id="e1")
        monkeypatch.setattr(type(engine.wire), "publish", unheard)
        monkeypatch.setattr(RunKeys, "tell", unheard)
        assert (await Purge(engine.wire).run(0)).runs == 1
        worker.host.cache.drop(run)
        assert isinstance(worker.host.log.vault, Vault)
        assert worker.host.log.vault.cached(run) is not None
        await worker.host.log.begin(run)
        cipher = await worker.host.log.vault.of_run(run)
        assert cipher is not None
        assert (cipher.key.record, cipher.key.slot) not in await destroyed(engine)


async def test_a_log_that_names_another_runs_key_costs_that_run_nothing(
    engine: Engine, ring: Keyring
) -> None:
    """The name of a key is plain: whoever can write logs could have a purge destroy any."""
    async with engine.works(app_of(work, encryption=ring)):
        victim = await engine.start("T1", asks=True)
        await engine.question(run=victim)
        first = await engine.log.first(victim)
        assert first is not None
        await engine.wire.store(subject("workflow-handle", OTHER, 1), first)
        [key] = await slots(engine, OTHER)
        assert {key} == await slots(engine, victim)
        assert await RunKeys(engine.wire, engine.log).destroy([OTHER]) == set()
        assert await destroyed(engine) == set()
        await engine.answer()
        assert await engine.result(victim) == "yes"


async def test_a_record_of_which_every_key_is_destroyed_needs_no_key_itself(
    engine: Engine, ring: Keyring
) -> None:
    async with engine.works(app_of(work, encryption=ring)):
        run = await over(engine, "completed")
    store = store_of(engine)
    [(record, _)] = await slots(engine, run)
    assert await store.wrapped_by() == {"k1": 2}  # the block, and `check`
    assert await store.destroy(record, range(BLOCK))
    assert await store.wrapped_by() == {"k1": 1}
    assert not await store.destroy(record, [3])
    with pytest.raises(Erased):
        await store.get(record)
