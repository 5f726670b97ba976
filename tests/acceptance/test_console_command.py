"""`layby console`, and the console that `layby dev` and `layby demo` bring."""

from __future__ import annotations

import json
import re
import signal
import socket
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.command import Command
from tests.fix_layby import APP, WITHIN, Desk

pytestmark = [pytest.mark.nats, pytest.mark.slow]
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/\?token=[\w-]+")


@pytest.fixture
def desk(tmp_path: Path, clean_nats: str) -> Any:
    (tmp_path / "desk.py").write_text(APP)
    found = Desk(tmp_path, clean_nats)
    yield found
    found.stop_workers()


def address(lines: Any) -> str:
    said: list[str] = []
    for line in lines:
        said.append(line)
        if found := ADDRESS.search(line):
            return found[0]
    raise AssertionError("".join(said))


def opened(url: str) -> str:
    """The page that a browser gets there, with the cookie that it gets on the way."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with opener.open(url, timeout=WITHIN) as response:
        page: str = response.read().decode()
        return page


def test_the_console_is_served_until_it_is_stopped(desk: Desk) -> None:
    console = desk.start("console", "--port", "0")
    try:
        page = opened(address(console.stdout))
        assert "<h1>Runs</h1>" in page
        console.send_signal(signal.SIGINT)
        assert console.wait(WITHIN) == 128 + signal.SIGINT
    finally:
        console.close()


def test_scripts_get_its_address_as_json(desk: Desk) -> None:
    console = desk.start("console", "--port", "0", "--json", "--base-path", "/layby/")
    try:
        text = ""
        for line in console.stdout:
            text += line
            if line == "}\n":
                break
        found = json.loads(text)
        assert found["url"].endswith("/layby")
        assert found["entry"].startswith(f"{found['url']}/?token=")
        assert "/layby/static/layby.css" in opened(found["entry"])
    finally:
        console.terminate()
        console.wait(WITHIN)
        console.close()


def test_a_port_that_is_taken_is_named(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = desk.run("console", "--port", port)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("path", ["a b", "/x?y", "<script>", "/ä b"])
def test_a_base_path_that_cannot_be_one_is_refused(desk: Desk, path: str) -> None:
    done = desk.run("console", "--base-path", path)
    assert done.returncode == 2
    assert "cannot be a base path" in done.stderr


def test_without_a_server_it_says_so_and_ends(tmp_path: Path) -> None:
    done = Desk(tmp_path, "nats://127.0.0.1:1").run("console", "--port", "0")
    assert done.returncode == 1
    assert "nothing listens there" in done.stderr.replace("\n", " ")


def test_dev_brings_a_console_that_a_restart_of_the_worker_does_not_touch(desk: Desk) -> None:
    environ = {name: value for name, value in desk.environ.items() if name != "NATS_URL"}
    command = ("dev", "desk:app", "--console-port", "0")
    dev = Command(command, folder=desk.folder, environ=environ)
    try:
        entry = address(dev.stdout)
        assert "<h1>Runs</h1>" in opened(entry)
        (desk.folder / "desk.py").write_text(f"{APP}\n# saved\n")
        for line in dev.stderr:
            if "restarting the worker" in line:
                break
        assert "<h1>Runs</h1>" in opened(entry)
    finally:
        dev.terminate()
        dev.wait(WITHIN)
        dev.close()


def test_dev_without_a_console_prints_no_address(desk: Desk) -> None:
    environ = {name: value for name, value in desk.environ.items() if name != "NATS_URL"}
    dev = Command(("dev", "desk:app", "--no-console"), folder=desk.folder, environ=environ)
    try:
        said: list[str] = []
        for line in dev.stdout:
            said.append(line)
            if "Ctrl-C stops it" in line:
                break
        assert not ADDRESS.search("".join(said))
    finally:
        dev.terminate()
        dev.wait(WITHIN)
        dev.close()


def test_the_demo_prints_the_consoles_address_first_and_ends_as_before(desk: Desk) -> None:
    environ = {name: value for name, value in desk.environ.items() if name != "NATS_URL"}
    command = ("demo", "--answer", "Fixed in v1.1.4", "--console-port", "0")
    demo = Command(command, folder=desk.folder, environ=environ)
    try:
        said = demo.stdout.read()
        assert demo.wait(WITHIN) == 0
        assert ADDRESS.search(said.partition("support_ticket")[0])
    finally:
        demo.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--auth", "nats"], "lets anybody in"),
        (["--host", "0.0.0.0"], "--auth nats"),  # noqa: S104
        (["--auth", "proxy"], "--trusted-proxy"),
        (["--auth", "proxy", "--proxy-header", "X-User"], "--trusted-proxy"),
        (
            ["--auth", "proxy", "--proxy-header", "X-User", "--trusted-proxy", "10.0.0.1/8"],
            "is not an address or network",
        ),
        (["--operators", "ann"], "--auth proxy"),
        (
            [
                *["--auth", "proxy", "--proxy-header", "X-User"],
                *["--trusted-proxy", "127.0.0.1", "--responders", "carl"],
            ],
            "names no responder",
        ),
    ],
)
def test_a_login_that_protects_nothing_is_refused(
    desk: Desk, options: list[str], said: str
) -> None:
    done = desk.run("console", "--port", "0", *options)
    assert done.returncode != 0
    assert said in " ".join(done.stderr.split())
