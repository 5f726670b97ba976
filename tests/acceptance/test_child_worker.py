"""What a worker tells the process that started it: `layby dev` gives it to its console."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec
import pytest

from layby import Role
from layby.cli.process.children import WorkerProcess
from layby.cli.process.readiness import Ready, announce
from layby.client.key_file import as_json
from tests.signing_desk import app

pytestmark = pytest.mark.nats


async def test_a_worker_reports_who_signs_when_it_is_ready(nats_url: str, tmp_path: Path) -> None:
    environ = {**os.environ, "NATS_URL": nats_url, "PYTHONPATH": os.pathsep.join(sys.path)}
    child = WorkerProcess(
        "tests.signing_desk:app", name="dev", environ=environ, log=tmp_path / "log"
    )
    try:
        await child.start()
        await child.ready()
        assert child.said.prefix == app.prefix
        assert child.said.signers
        assert as_json(child.said.signers.roles.values()) == as_json(app.people.values())
    finally:
        await child.stop()


def test_its_report_is_one_line_however_many_people_sign() -> None:
    receive, send = os.pipe()
    announce(send, "shop", [Role("developer", people=["ada"])])
    with os.fdopen(receive, "rb") as pipe:
        said = msgspec.json.decode(pipe.read(), type=Ready)
    assert said.prefix == "shop"
    assert not said.signers
