from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from nats.js import JetStreamContext

from layby.bus.binary import find_binary
from layby.bus.connection import ConnectionSettings, connect
from tests.fix_nats import eventually

pytestmark = pytest.mark.nats

CONFIG = Path(__file__).parents[2] / "deploy" / "nats-server.conf"
LOGINS = ("provisioner", "worker", "helpdesk", "ada", "observer", "operator")
PASSWORDS = {f"LAYBY_{login.upper()}_PASSWORD": f"of-{login}" for login in LOGINS}


def check(config: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [find_binary(), "-t", "-c", str(config)]
    return subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=False, env=environ
    )


def test_is_valid() -> None:
    result = check(CONFIG, PASSWORDS)
    assert result.returncode == 0, result.stderr
    assert "is valid" in result.stderr


def test_is_not_open_by_accident() -> None:
    result = check(CONFIG, {})
    assert result.returncode != 0
    assert "LAYBY_PROVISIONER_PASSWORD" in result.stderr


def test_the_check_finds_mistakes(tmp_path: Path) -> None:
    config = tmp_path / "nats-server.conf"
    shutil.copy(CONFIG.with_name("accounts.conf"), tmp_path)
    config.write_text(CONFIG.read_text().replace("js_ack_fc_v2: false", "js_ack_fc_v2: nonsense"))
    assert check(config, PASSWORDS).returncode != 0


async def test_a_server_runs_with_it(tmp_path: Path) -> None:
    text = CONFIG.read_text().replace("/data/js", str(tmp_path))
    text = re.sub(r"(0\.0\.0\.0:4222|127\.0\.0\.1:8222)", "127.0.0.1:-1", text)
    (tmp_path / "nats-server.conf").write_text(text)
    shutil.copy(CONFIG.with_name("accounts.conf"), tmp_path)
    command = [find_binary(), "-c", str(tmp_path / "nats-server.conf")]
    log = tmp_path / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stderr=output, env=os.environ | PASSWORDS) as server,  # noqa: ASYNC220, S603
    ):
        try:
            await eventually(lambda: "Server is ready" in log.read_text())
            found = re.search(r"client connections on (\S+)", log.read_text())
            assert found
            url = f"nats://observer:of-observer@{found[1]}"
            settings = ConnectionSettings(servers=(url,), inbox_prefix="_INBOX_observer")
            async with await connect(settings) as connection:
                info = await JetStreamContext(connection.nc).account_info()
            assert info.limits.max_streams == -1
            warnings = re.findall(r"\[WRN\] (.*)", log.read_text())
            assert warnings == ["Plaintext passwords detected, use nkeys or bcrypt"]
        finally:
            server.kill()
