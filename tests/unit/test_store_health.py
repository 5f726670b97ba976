"""The server's store and its copies, as the doctor reads what a server reports."""

from __future__ import annotations

from typing import Any

import pytest

from layby.health.capacity import of_account, of_server
from layby.health.replicas import replicas
from layby.health.safety import syncing

SECOND = 1_000_000_000


def store(used: int, limit: int, **config: Any) -> dict[str, Any]:
    return {"config": {"max_storage": limit, **config}, "stats": {"storage": used}}


@pytest.mark.parametrize(
    ("used", "level", "text"),
    [
        (799, "ok", "of the 1,000 MB that the server may store"),
        (800, "warn", "80% of the 1,000 MB that the server may store are used"),
        (970, "error", "97% of the 1,000 MB that the server may store are used: nothing can"),
    ],
)
def test_a_store_that_fills_is_reported(used: int, level: str, text: str) -> None:
    [found] = of_server(store(used * 1_000_000, 1_000_000_000))
    assert (found.level, found.subject) == (level, "store")
    assert text in found.message
    assert ("layby purge" in found.advice) is (level != "ok")


def test_an_account_has_a_limit_of_its_own() -> None:
    assert of_account({"limits": {"max_storage": -1}, "storage": 10**12}) == []
    [found] = of_account({"limits": {"max_storage": 1000}, "storage": 990})
    assert (found.level, found.subject) == ("error", "store")
    assert "that the account may store" in found.message
    tiers = {"R1": {"limits": {"max_storage": 1000}, "storage": 1}}
    tiers["R3"] = {"limits": {"max_storage": 1000}, "storage": 850}
    assert [each.level for each in of_account({"tiers": tiers})] == ["warn"]


def test_a_server_that_says_nothing_is_not_praised() -> None:
    assert of_server({}) == []
    [found] = syncing({})
    assert "cannot see it" in found.message


def test_how_soon_it_is_on_disk() -> None:
    assert syncing(store(1, 2, sync_always=True)) == []
    [found] = syncing(store(1, 2, sync_interval=10 * SECOND))
    assert (found.level, found.message[:25]) == ("warn", "a power cut loses up to 1")
    assert "10 s" in found.message


def stream(*copies: dict[str, Any], number: int = 3) -> dict[str, Any]:
    cluster = {"name": "c", "leader": "n1", "replicas": list(copies)} if copies else {"name": "c"}
    return {"config": {"num_replicas": number}, "cluster": cluster}


FINE = {"name": "n2", "current": True, "active": 1000}
LATE = {"name": "n2", "current": False, "lag": 7}
OFFLINE = {"name": "n3", "current": False, "offline": True, "lag": 900}


def test_copies_that_are_up_to_date_are_not_mentioned() -> None:
    assert replicas({"RUNS": stream(FINE, {**FINE, "name": "n3"})}) == []


def test_a_server_that_is_offline_is_named_once_with_its_streams() -> None:
    [found] = replicas({name: stream(FINE, OFFLINE) for name in "ABCDEFG"})
    assert (found.level, found.subject) == ("warn", "replicas")
    assert found.message.startswith("n3 is offline: until its copies")
    assert found.message.endswith("A, B, C, D, E and 2 more")


def test_a_copy_that_is_late_is_not_called_offline() -> None:
    late, offline = replicas({"RUNS": stream(LATE, OFFLINE)})[::-1]
    assert late.message.startswith("n2 is down, or still catching up: ")
    assert late.message.endswith("may stop RUNS")
    assert "n3 is offline" in offline.message


@pytest.mark.parametrize("clustered", [True, False])
def test_one_copy_is_lost_with_its_disk(clustered: bool) -> None:  # noqa: FBT001
    info = stream(number=1) if clustered else {"config": {"num_replicas": 1}, "cluster": None}
    [found] = replicas({"RUNS": info})
    assert "one copy only" in found.message
    assert found.advice.startswith("Run `layby provision" if clustered else "Back the server up")
