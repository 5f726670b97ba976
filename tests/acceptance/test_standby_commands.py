"""After a takeover only the commands that have no outcome are carried out."""

from __future__ import annotations

from pathlib import Path

import pytest

from layby import App
from layby.bus.connection import ConnectionSettings
from layby.bus.opened import opened
from layby.client import Client
from layby.operations.provisioning import provision
from layby.operations.standby import take_over
from layby.worker.worker import working
from tests.acceptance.test_commands_over import shop
from tests.acceptance.test_standby import caught_up, joined, last_seqs
from tests.engine import until
from tests.standby import first_and_standby

pytestmark = [pytest.mark.nats, pytest.mark.timeout(120)]

WITHIN = 60.0
FIRST, SECOND = "first", "second"


async def outcomes(client: Client) -> dict[str, str]:
    """What became of each command, by its reason."""
    return {each.why: each.outcome for each in await client.audit()}


async def command_both(app: App, there: ConnectionSettings) -> int:
    """One command that is carried out, and one that nobody takes; the sequence of this one."""
    async with Client.connect(there) as client:
        async with working(app, there):
            await client.purge(30 * 24 * 3600, reason=FIRST)
        async with opened(there) as bus:
            await bus.requests.store("layby.do.purge.ada", b'{"why":"second","older_than":2592000}')
            audit = await bus.requests.api("STREAM.INFO.AUDIT")
        said = await outcomes(client)
    assert said[FIRST] == "done"
    assert said[SECOND] != "done"
    return int(audit["state"]["last_seq"])


async def test_a_takeover_begins_with_the_first_command_that_has_no_outcome(
    tmp_path: Path,
) -> None:
    first, second = first_and_standby(tmp_path)
    async with first, second:
        there = ConnectionSettings(servers=(first.url,))
        here = ConnectionSettings(servers=(second.url,))
        app = shop()
        await provision(app, there)
        await until(lambda: joined(here), WITHIN)
        left = await command_both(app, there)
        await caught_up(here, await last_seqs(first.url))
        await take_over([app], here, force=True)
        first.kill()
        async with opened(here) as bus:
            info = await bus.requests.api("CONSUMER.INFO.AUDIT.commands")
        assert info["num_pending"] == 1, "what has an outcome is not even delivered"
        assert info["config"]["opt_start_seq"] == left
        async with working(app, here), Client.connect(here) as client:

            async def both() -> bool:
                return await outcomes(client) == {FIRST: "done", SECOND: "done"}

            await until(both, WITHIN)
