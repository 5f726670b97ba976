"""What only the chart has, started: the console as its pod runs it, and a backup.

tests/test_deploy_at_work.py starts the rest. tests/manifests.py says what stands for a container.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from examples.support_agent import app as support_agent
from layby.access import Staff, Wall, outline
from layby.access.config import accounts as accounts_of
from layby.operations.backup_folder import BackupFolder
from tests.command import Command
from tests.helm import ONE_NODE, documents
from tests.manifests import ROOT, Part, containers, passwords, shell
from tests.scraping import answers, free_port, get
from tests.test_deploy_at_work import Site, started

pytestmark = [pytest.mark.nats, pytest.mark.timeout(120)]

MORE = (
    *("--set", "console.enabled=true", "--set", "console.allowHosts={layby.example.com}"),
    *("--set", "backup.enabled=true", "--set", "backup.claim=backups"),
    *("--set", "server.configMap=nats"),
)
PASSWORDS = ("LAYBY_BACKUP_PASSWORD", "LAYBY_BACKUP_TRAIL_PASSWORD")


def accounts_with_backups() -> str:
    """What deploy/README.md has one write for backups."""
    wall = Wall(apps=(outline(support_agent),), own_trail=True)
    return accounts_of(wall, Staff(backups=("backup",)), "layby accounts config --backup backup")


@asynccontextmanager
async def release(folder: Path) -> AsyncGenerator[Site]:
    """One node with a console and backups; the server has the login for these too."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not on PATH")
    home = folder / "home"
    home.mkdir()
    shell("Passwords", home)
    shell("Certificates", home)
    known = passwords(home) | dict.fromkeys(PASSWORDS, "pBackup")
    tls = {name: (home / name).read_text() for name in ("tls.crt", "tls.key", "ca.crt")}
    found = documents(*MORE, values=ONE_NODE)
    parts: dict[str, Part] = containers(folder, found, {"nats-passwords": known, "nats-tls": tls})
    accounts = folder / "nats" / "etc" / "nats" / "accounts.conf"
    accounts.write_text(accounts_with_backups())
    async with started(parts, folder) as site:
        assert (await site.run("provision"))[0] == 0
        yield site


async def test_the_console_of_the_chart_answers_its_probes_and_browsers(tmp_path: Path) -> None:
    async with release(tmp_path) as site:
        port = free_port()
        words = [str(port) if word == "7422" else word for word in site.words("console")]
        console = Command(words, folder=ROOT, environ=site.environ("console"))
        try:
            for page in ("/api/v1/healthz", "/api/v1/readyz"):
                await asyncio.to_thread(answers, port, page, 200)
                probed = await asyncio.to_thread(get, port, page, "10.1.2.3:7422")
                assert probed is not None
                assert probed.code == 200, "a probe comes under the address of the pod"
            for name, code in (("layby.example.com", 401), ("evil.example", 403)):
                seen = await asyncio.to_thread(get, port, "/", name)
                assert seen is not None
                assert seen.code == code, name
        finally:
            console.terminate()
            console.communicate()
            console.close()


async def test_the_backup_of_the_chart_holds_every_stream(tmp_path: Path) -> None:
    async with release(tmp_path) as site:
        part = site.parts["backup"]
        path = f"{Path(sys.executable).parent}{os.pathsep}/usr/bin:/bin"
        process = await asyncio.create_subprocess_exec(
            *(part.here(word) for word in part.arguments),
            env=site.environ("backup") | {"PATH": path, "HOME": str(tmp_path / "home")},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, said.decode()
        [backup] = (tmp_path / "backup" / "backup").iterdir()
        manifest = BackupFolder(backup).read()
        held = {part.stream for part in manifest.parts}
        assert held >= {"RUNS", "ANSWERS", "TIMERS", "EVENTS", "QUESTIONS", "KV_parked", "KV_runs"}
        assert manifest.positions
        assert "AUDIT" not in held, "the README says that it is not in there"
