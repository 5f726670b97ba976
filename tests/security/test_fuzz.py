"""Others go on whatever is sent, on any subject; `python -m tests.security.fuzz` sends more."""

from __future__ import annotations

import asyncio

import pytest

from layby.bus.connection import ConnectionSettings
from layby.bus.opened import opened
from tests.security.fuzz import campaign

pytestmark = pytest.mark.nats

COUNT = 1_500


@pytest.mark.timeout(180)
@pytest.mark.filterwarnings("ignore")
def test_any_bytes_on_any_subject_stop_nobody(nats_url: str, clean: None) -> None:
    del clean
    report = campaign(nats_url, COUNT, seed=7)
    assert not report.broken, report.text()
    assert report.messages >= COUNT * 0.9
    assert report.letters > COUNT * 0.2, report.text()
    assert report.events["entry.skipped"], report.text()


@pytest.fixture
def clean(nats_url: str) -> None:
    """No streams on the session's server."""

    async def clear() -> None:
        async with opened(ConnectionSettings(servers=(nats_url,))) as (_, requests):
            listed = await requests.api("STREAM.NAMES", {})
            names: list[str] = listed.get("streams") or []
            for name in names:
                await requests.api(f"STREAM.DELETE.{name}")

    asyncio.run(clear())
