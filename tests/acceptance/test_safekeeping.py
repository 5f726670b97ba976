"""What the doctor says of keys: those that are missing, and those that nothing needs."""

from __future__ import annotations

import pytest

from layby import Keyring
from layby.bus.keyring import new_key
from layby.views.rows import Finding
from tests.acceptance.test_encryption import store_of
from tests.acceptance.test_purged_keys import work
from tests.engine import Engine, app_of

pytestmark = pytest.mark.nats

K1, K2 = (dict([new_key(each).split(":", 1)]) for each in ("k1", "k2"))


async def told(url: str, ring: Keyring | None) -> list[Finding]:
    async with Engine.at(url, ring) as engine:
        return [each for each in await engine.client.doctor() if each.subject == "encryption"]


async def test_the_doctor_looks_after_the_keys(clean_nats: str) -> None:
    first = Keyring(K1)
    async with Engine.at(clean_nats, first) as engine:
        async with engine.works(app_of(work)):
            assert await told(clean_nats, first) == []  # nothing is encrypted
        async with engine.works(app_of(work, encryption=first)):
            await engine.ended(await engine.start())
    [finding] = await told(clean_nats, first)
    assert (finding.level, finding.message) == ("ok", "wrapped by 'k1' 2 records")
    [finding] = await told(clean_nats, None)
    assert finding.level == "warn"
    assert "encrypted under 'k1', but there is no keyring here" in finding.message
    assert "LAYBY_KEYS" in finding.advice
    [finding] = await told(clean_nats, Keyring(K2))
    assert finding.level == "error"
    assert "does not hold 'k1' (2 records)" in finding.message
    new_behind = await told(clean_nats, Keyring(K1 | K2))
    assert [each.message for each in new_behind[1:]] == ["no secret needs 'k2'"]
    both = Keyring(K2 | K1)
    assert [each.level for each in await told(clean_nats, both)] == ["ok"]
    async with Engine.at(clean_nats, both) as engine:
        await store_of(engine).rotate()
    rotated = await told(clean_nats, both)
    assert rotated[0].message == "wrapped by 'k2' 2 records"
    assert [each.message for each in rotated[1:]] == ["no secret needs 'k1'"]
    assert "Take it out" in rotated[1].advice


async def test_the_doctor_reports_a_key_that_workers_demand_needlessly(clean_nats: str) -> None:
    """A worker with the old key first has started, and stored nothing."""
    both = Keyring(K2 | K1)
    async with Engine.at(clean_nats, both) as engine:
        async with engine.works(app_of(work, encryption=both)):
            pass
        async with engine.works(app_of(work, encryption=Keyring(K1 | K2))):
            pass
    found = await told(clean_nats, both)
    assert [each.level for each in found] == ["ok", "warn"]
    assert "no secret needs 'k1' now, but workers still demand it" in found[1].message


async def test_an_unreadable_keyring_is_reported(clean_nats: str) -> None:
    async with Engine.at(clean_nats, Keyring(K1)) as engine:
        await engine.client.doctor()
        async with engine.works(app_of(work, encryption=Keyring(K1))):
            pass
    [finding] = await told(clean_nats, Keyring(dict))
    assert (finding.level, "at least one key" in finding.message) == ("error", True)
