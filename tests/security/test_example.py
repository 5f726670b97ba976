"""The example, a worker process and the nats CLI behind the accounts that deploy/ ships."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from layby.bus.server import EmbeddedServer
from tests.security.house import WITHIN, House
from tests.security.test_at_work import ROOT, environ, layby, nats

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]

APP = "examples.support_agent:app"
SHIPPED = (ROOT / "deploy" / "accounts.conf").read_text()
LOGINS = ("provisioner", "worker", "helpdesk", "ada", "observer", "operator")


@asynccontextmanager
async def worker_process(house: House, folder: Path) -> AsyncGenerator[None]:
    """`layby worker`, as the login `worker`, with the scripted model."""
    env = environ(house, "worker") | {"LAYBY_DATA": str(folder)}
    env.pop("ANTHROPIC_API_KEY", None)
    words = [sys.executable, "-m", "layby", "worker", APP]
    process = await asyncio.create_subprocess_exec(
        *words, cwd=ROOT, env=env, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(WITHIN):
            async for line in process.stderr:
                if b"worker.ready" in line:
                    break
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        await process.communicate()


async def test_a_ticket_of_the_example(tmp_path: Path) -> None:
    text = SHIPPED
    for login in LOGINS:
        text = text.replace(f"$LAYBY_{login.upper()}_PASSWORD", f'"of-{login}"')
    async with EmbeddedServer(tmp_path / "nats", extra=text) as server:
        house = House(url=server.url, kind="accounts")
        await layby(house, "provisioner", "provision", APP)
        async with worker_process(house, tmp_path):
            event = '{"ticketId":"T125"}'
            assert "EVENTS" in await nats(
                house, "helpdesk", "pub", "-J", "support.ticket.created", event
            )
            run = await house.listed("T125")
            line = ["pub", "-J", "--no-templates", "developer.response.T125"]
            assert "ANSWERS" in await nats(house, "ada", *line, '{"answer":"Fixed in v1.1.4"}')
            ended = await house.ended(run)
        assert ended.status == "completed"
        assert "v1.1.4" in str(ended.result) or any("v1.1.4" in step.detail for step in ended.steps)
        denied = [line for line in server.log.splitlines() if "Violation" in line]
        assert denied == []
