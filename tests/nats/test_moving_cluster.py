"""From one account to several on a cluster: saved by the nats CLI, and restored on new folders."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from layby.bus.opened import opened
from layby.cli.entry import run as layby
from layby.client import Client
from layby.operations.provisioning import provision
from layby.worker.worker import working
from tests.chaos.cluster import Cluster
from tests.engine import until, until_done
from tests.security.house import EVENT, House, desk, with_accounts, with_one_account
from tests.security.test_at_work import NATS, ROOT, command, environ
from tests.security.test_moving import waiting

pytestmark = [pytest.mark.proof, pytest.mark.nats, pytest.mark.timeout(300)]

WITHIN = 60.0


def with_movers(text: str) -> str:
    """A configuration with the logins that the page has one add: they may do everything."""
    mover = '{ user: %s, password: "of-mover" }'
    text = text.replace("users: [", f"users: [ {mover % 'mover'}", 1)
    return text.replace("\n  TRAIL {", f"\n  TRAIL {{ users: [ {mover % 'trail_mover'} ]")


async def cli(house: House, *words: str) -> str:
    assert NATS is not None
    code, out, err = await command(house, "mover", NATS, "--inbox-prefix", "_INBOX_mover", *words)
    assert code == 0, out + err
    return out + err


async def test_runs_that_wait_go_on_in_their_new_account(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if NATS is None:
        pytest.skip("the nats CLI is not on PATH")
    saved, app = str(tmp_path / "saved"), waiting()
    old = Cluster(tmp_path / "old", with_movers(with_one_account(desk())))
    new = Cluster(tmp_path / "new", with_movers(with_accounts(desk())))
    try:
        await old.up()
        house = House(url=old.url.split(",")[0], kind="one account")
        await until_done(lambda: provision(app, house.settings("mover"), replicas=3))
        async with working(app, house.settings("worker")):
            run = await house.question("T1")
            async with house.client("helpdesk") as helpdesk:
                await helpdesk.send(EVENT, {"ticketId": "sleeps"})
            async with house.client("observer") as observer:

                async def sleeps() -> Any:
                    return await observer.runs("waiting", ticket="sleeps")

                [sleeper] = await until(sleeps, WITHIN)
            async with house.client("operator") as operator:
                await operator.purge(30 * 24 * 3600)
        await cli(house, "account", "backup", "--force", saved)
        names = sorted(path.name for path in (tmp_path / "saved").iterdir())
        assert {"RUNS", "TIMERS", "KV_parked", "QUESTIONS"} <= set(names)
        names.remove("TIMERS")  # where a deadline that has passed fires as soon as it is there
        names.remove("AUDIT")  # of which a login in LAYBY sees a part only
        before = await sizes(house, names)
        await old.down()
        assert layby(["accounts", "move", str(tmp_path / "old" / "node1")]) != 0
        assert "belongs to a cluster" in capsys.readouterr().err

        await new.up()
        house = House(url=new.url.split(",")[0], kind="accounts")
        await until_done(lambda: has_a_leader(house))
        await restored(house, tmp_path)
        assert await sizes(house, names) == before
        await until_done(lambda: provision(app, house.settings("provisioner")))
        async with working(app, house.settings("worker")), house.client("ada") as ada:
            receipt = await ada.answer("T1", "yes", responder="ada", timeout=WITHIN)
            assert receipt.outcome == "accepted"
            assert (await house.ended(run)).result == "ada: yes"
            assert (await house.ended(sleeper.id)).result == "slept"
        async with Client.connect(house.settings("observer")) as observer:
            assert "replicas" not in {finding.subject for finding in await observer.doctor()}
            [entry] = await observer.audit()
            assert (entry.verb, entry.by) == ("purge", "operator")
    finally:
        old.kill()
        new.kill()


async def restored(house: House, folder: Path) -> None:
    """Run the loop of docs/operations.md in a folder."""
    text = (ROOT / "docs" / "operations.md").read_text()
    [loop] = re.findall(r"```sh\n( *for stream in saved/.*?)```", text, re.DOTALL)
    for _ in range(2):  # it can be repeated
        process = await asyncio.create_subprocess_exec(
            *("bash", "-ec", loop),
            cwd=folder,
            env=environ(house, "mover") | {"LAYBY_MOVER_PASSWORD": "of-mover"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(WITHIN):
            out, _ = await process.communicate()
        assert process.returncode == 0, out.decode()


async def has_a_leader(house: House) -> None:
    async with opened(house.settings("mover")) as bus:
        await bus.requests.api("INFO")


async def sizes(house: House, streams: list[str]) -> dict[str, tuple[int, int, int]]:
    """Of each stream: messages, last sequence, copies."""
    found: dict[str, tuple[int, int, int]] = {}
    async with opened(house.settings("mover")) as bus:
        for name in streams:
            info = await bus.requests.api(f"STREAM.INFO.{name}")
            state, copies = info["state"], info["config"]["num_replicas"]
            found[name] = state["messages"], state["last_seq"], copies
    return found
