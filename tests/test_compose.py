"""deploy/compose.yaml in containers: a ticket outlives the worker and the server that are killed.

LAYBY_TEST_CONTAINERS=1 runs this where Docker answers and has Compose. It builds the image, and
pulls those of Python and nats-server; LAYBY_IMAGE names one that is built already.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from layby.runtime.state import COMPLETED
from tests.fix_layby import Desk
from tests.fix_nats import docker_answers
from tests.manifests import DEPLOY, ROOT, shell

pytestmark = [pytest.mark.proof, pytest.mark.timeout(900)]

BUILDS = 600.0
"""Seconds for pulling and building."""
WITHIN = 90.0
"""Seconds for a command in a container of its own."""


class Compose:
    """A project of Compose's with a random name and random passwords."""

    def __init__(self, home: Path) -> None:
        self.project = f"layby-{secrets.token_hex(4)}"
        files = ("--env-file", str(home / "layby.env"), "-f", str(DEPLOY / "compose.yaml"))
        self._words = ("docker", "compose", "-p", self.project, *files)

    def __call__(self, *words: str, within: float = WITHIN) -> str:
        """Run a command of Compose's that goes well: its stdout."""
        ended = self.tried(*words, within=within)
        assert ended.returncode == 0, f"{words}\n{ended.stdout}\n{ended.stderr}"
        return ended.stdout

    def tried(self, *words: str, within: float = WITHIN) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, "LAYBY_NATS_PORT": "0"}
        return subprocess.run(  # noqa: S603
            (*self._words, *words),
            cwd=ROOT,
            env=environ,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )

    def by(self, service: str, *words: str) -> Any:
        """What `layby` prints with --json, run as README.md says."""
        return json.loads(self("run", "--rm", "-T", service, *words, "--json"))

    def containers(self, service: str) -> list[str]:
        return self("ps", "-a", "-q", service).split()


def docker(*words: str) -> str:
    command = ("docker", *words)
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603
    return ended.stdout.strip()


def state(container: str, field: str) -> str:
    return docker("inspect", "--format", "{{" + field + "}}", container)


def until_healthy(container: str) -> None:
    Desk.sooner_or_later(lambda: state(container, ".State.Health.Status") == "healthy")


@pytest.fixture
def compose(tmp_path: Path) -> Iterator[Compose]:
    if os.environ.get("LAYBY_TEST_CONTAINERS") != "1":
        pytest.skip("LAYBY_TEST_CONTAINERS=1 runs this: it builds an image and pulls two")
    if not docker_answers() or shutil.which("openssl") is None:
        pytest.skip("no Docker engine answers here, or openssl is not on PATH")
    shell("Passwords", tmp_path)
    compose = Compose(tmp_path)
    if compose.tried("version").returncode:
        pytest.skip("this docker has no Compose")
    how = "--no-build" if "LAYBY_IMAGE" in os.environ else "--build"
    try:
        compose("up", how, "--detach", within=BUILDS)
        yield compose
    finally:
        compose.tried("--profile", "*", "down", "--volumes", "--timeout", "5")


def test_a_ticket_outlives_the_worker_and_the_server_that_are_killed(compose: Compose) -> None:
    workers, [nats] = compose.containers("worker"), compose.containers("nats")
    assert len(workers) == 2
    for each in workers:
        until_healthy(each)
        assert state(each, ".Config.User") == "10001"
        assert state(each, ".HostConfig.ReadonlyRootfs") == "true"
        assert "no-new-privileges" in state(each, ".HostConfig.SecurityOpt")

    compose.by("helpdesk", "send", "support.ticket.created", '{"ticketId":"T125"}')
    [question] = Desk.sooner_or_later(lambda: compose.by("ada", "questions"))
    assert question["ticket"] == "T125"

    docker("kill", workers[0])
    docker("kill", nats)
    assert state(nats, ".State.ExitCode") == "137"
    docker("start", nats)
    until_healthy(nats)
    receipt = compose.by("ada", "answer", "T125", "Fixed in v1.1.4", "--responder", "ada")
    assert (receipt["outcome"], receipt["by"]) == ("accepted", "ada")
    run = Desk.sooner_or_later(
        lambda: next(
            (row for row in compose.by("operator", "runs") if row["status"] == COMPLETED), None
        )
    )
    assert run["ticket"] == "T125"

    docker("start", workers[0])
    until_healthy(workers[0])
    findings = compose.by("observer", "doctor")
    assert [each for each in findings if each["level"] == "error"] == []
    [counted] = [each["message"] for each in findings if each["subject"] == "workers"]
    assert counted.startswith("2 workers of support")

    compose("stop", "worker")
    assert {state(each, ".State.ExitCode") for each in workers} == {"0"}, "SIGTERM reaches them"


def test_what_watches_sees_the_workers(compose: Compose) -> None:
    compose("--profile", "watch", "up", "--no-build", "--detach", "exporter")
    [exporter] = compose.containers("exporter")
    until_healthy(exporter)
    look = (
        "import sys, urllib.request as u;print(u.urlopen(sys.argv[1], timeout=5).read().decode())"
    )

    def read(url: str) -> str:
        return compose("exec", "-T", "exporter", "python", "-c", look, url)

    assert "layby_mailbox_pending" in read("http://worker:9464/metrics") + read(
        "http://exporter:7423/metrics"
    )
    Desk.sooner_or_later(
        lambda: 'layby_workers{state="running"} 2.0' in read("http://exporter:7423/metrics")
    )
