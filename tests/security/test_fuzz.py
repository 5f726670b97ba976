"""Others go on whatever is sent, on any subject; `python -m tests.security.fuzz` sends more."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from layby.bus.server import EmbeddedServer
from tests.security.fuzz import campaign, logins

pytestmark = pytest.mark.nats

COUNT = 1_500
FEW = 600


@pytest.mark.timeout(240)
@pytest.mark.filterwarnings("ignore")
def test_any_bytes_on_any_subject_stop_nobody(nats_url: str, clean: None) -> None:
    del clean
    skipped = 0
    for seed in (7, 10, 11):  # whether a run's own log is hit in time depends on the machine
        report = campaign(nats_url, COUNT, seed=seed)
        assert not report.broken, report.text()
        assert report.messages >= COUNT * 0.9
        assert report.letters > COUNT * 0.2, report.text()
        skipped += report.events["entry.skipped"]
        if skipped:
            break
    assert skipped


@pytest.mark.timeout(240)
@pytest.mark.filterwarnings("ignore")
def test_any_bytes_stop_nobody_whose_app_is_encrypted(nats_url: str, clean: None) -> None:
    del clean
    report = campaign(nats_url, FEW, seed=8, encrypted=True)
    assert not report.broken, report.text()
    assert report.letters > FEW * 0.2, report.text()


@pytest.mark.timeout(240)
@pytest.mark.filterwarnings("ignore")
def test_any_bytes_of_outsiders_with_logins_stop_nobody(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "nats", extra=logins())
    asyncio.run(server.start())
    try:
        report = campaign(server.url, FEW, seed=9, apart=True)
    finally:
        server.kill()
    assert not report.broken, report.text()
    assert report.refused > FEW * 0.5, report.text()
    assert report.letters > FEW * 0.05, report.text()
