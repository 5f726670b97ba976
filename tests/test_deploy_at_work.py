"""What deploy/ ships, started: the server's files, and everybody's login as the manifests set it.

No container runs here: tests/manifests.py says what stands for one.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import yaml

from layby.bus.binary import find_binary
from tests.command import Command, done
from tests.engine import until
from tests.examples import proofs_but
from tests.fix_nats import eventually
from tests.helm import RENDERED, of_kind, pod_of
from tests.keda import lags
from tests.manifests import (
    BESIDE,
    DEPLOY,
    ROOT,
    Part,
    compose,
    image,
    kubernetes,
    passwords,
    shell,
)
from tests.scraping import answers, free_port, seen

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]

WITHIN = 30.0
LOGINS = ("PROVISIONER", "WORKER", "HELPDESK", "ADA", "OBSERVER", "OPERATOR")
WAYS = ("compose", "compose with TLS", "kubernetes")
FORWARDED = {"NATS_URL": "tls://nats:4222", "NATS_CA": "/etc/nats-tls/ca.crt"}
OUTSIDE = {"ada": (), "helpdesk": ("send", "support.ticket.created", '{"ticketId":"T125"}')}
"""Who is in no pod, and what they do."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """A server that runs, and the containers that reach it."""

    parts: dict[str, Part]
    address: str
    monitor: int
    log: Path
    tls: bool
    ports: dict[str, int] = field(default_factory=dict[str, int])
    """Of those that serve metrics: the port here, since all containers are on one machine."""

    def environ(self, part: str) -> dict[str, str]:
        """The environment of a container: the image's, the manifest's, and where programs are."""
        one = self.parts[part]
        given = image() | one.environ
        environ = {name: one.here(value, self.address) for name, value in given.items()}
        if "LAYBY_METRICS_PORT" in environ:
            port = self.ports.setdefault(part, free_port())
            environ |= {"LAYBY_METRICS_PORT": str(port), "LAYBY_METRICS_HOST": "127.0.0.1"}
        return environ | {"PATH": "/usr/bin:/bin", "HOME": str(self.log.parent)}

    def words(self, part: str) -> list[str]:
        """What `layby` gets to do in a container."""
        return [self.parts[part].here(word) for word in self.parts[part].arguments]

    async def run(self, part: str, *words: str) -> tuple[int, str]:
        """A command to its end; without words what the manifest says. Its exit code and words."""
        ended = await self._done(part, *words)
        return ended.returncode, ended.stdout + ended.stderr

    async def json(self, part: str, *words: str) -> Any:
        """What a command that goes well prints with --json."""
        ended = await self._done(part, *words, "--json")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return json.loads(ended.stdout)

    async def _done(self, part: str, *words: str) -> subprocess.CompletedProcess[str]:
        arguments, environ = words or self.words(part), self.environ(part)
        return await asyncio.to_thread(done, arguments, folder=ROOT, environ=environ, within=WITHIN)

    @asynccontextmanager
    async def worker(self) -> AsyncGenerator[None]:
        """A worker until it is told to stop."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "layby", *self.words("worker")),
            cwd=ROOT,
            env=self.environ("worker"),
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        heard: list[bytes] = []
        try:
            async with asyncio.timeout(WITHIN):
                async for line in process.stderr:
                    heard.append(line)
                    if b"worker.ready" in line:
                        break
            assert process.returncode is None, b"".join(heard)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            await process.communicate()
        assert process.returncode == 0

    @asynccontextmanager
    async def exporter(self) -> AsyncGenerator[None]:
        """The exporter until it is told to stop, where there is one."""
        if "exporter" not in self.parts:
            yield
            return
        environ = self.environ("exporter")
        process = Command(self.words("exporter"), folder=ROOT, environ=environ)
        try:
            yield
        finally:
            process.terminate()
            process.communicate()
            process.close()

    async def probed(self, part: str, holds: str = "") -> None:
        """Return once the part is alive and ready, as its probes see it, and shows this metric."""
        port = self.ports.get(part)
        if port is None:
            return
        for path in ("/healthz", "/readyz"):
            await asyncio.to_thread(answers, port, path, 200)
        await asyncio.to_thread(seen, port, lambda it: holds in it.text)

    def asked(self, path: str) -> tuple[int, Any]:
        """What the monitoring port says."""
        connection = HTTPConnection("127.0.0.1", self.monitor, timeout=5)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()


def laid_out(way: str, folder: Path) -> dict[str, Part]:
    """The containers, with passwords and certificates made by the commands of the README."""
    home = folder / "home"
    home.mkdir()
    shell("Passwords", home)
    shell("Certificates", home)
    known = passwords(home)
    assert set(known) == {f"LAYBY_{login}_PASSWORD" for login in LOGINS}
    if way == "kubernetes":
        tls = {name: (home / name).read_text() for name in ("tls.crt", "tls.key", "ca.crt")}
        parts = kubernetes(folder, {"nats-passwords": known, "nats-tls": tls})
        outside = {who: by_a_forwarded_port(who, parts["operator"], known) for who in OUTSIDE}
        return parts | outside
    if way == "compose":
        return compose(folder, known, "compose.yaml")
    variables = known | {"LAYBY_TLS": str(home)}
    return compose(folder, variables, "compose.yaml", "compose.tls.yaml")


def by_a_forwarded_port(who: str, inside: Part, known: dict[str, str]) -> Part:
    """A command of somebody in no pod, as the README has it."""
    mine = {"NATS_USER": who, "NATS_INBOX_PREFIX": f"_INBOX_{who}"}
    environ = FORWARDED | mine | {"NATS_PASSWORD": known[f"LAYBY_{who.upper()}_PASSWORD"]}
    return Part(name=who, arguments=OUTSIDE[who], environ=environ, mounts=inside.mounts)


@asynccontextmanager
async def started(
    parts: dict[str, Part], folder: Path, *, tls: bool = True
) -> AsyncGenerator[Site]:
    """The server of the manifests, on free ports."""
    server, log = parts["nats"], folder / "log"
    for path in (folder / "nats").rglob("*.conf"):
        text = server.here(path.read_text())
        text = re.sub(r"(0\.0\.0\.0:4222|(0\.0\.0\.0|127\.0\.0\.1):8222)", "127.0.0.1:-1", text)
        path.write_text(text)
    words = [re.sub(r"=(.*)", lambda m: "=" + server.here(m[1]), w) for w in server.arguments]
    words = [server.here(word) for word in words]
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            find_binary(), *words, env=server.environ, stderr=output
        )
    try:
        await eventually(
            lambda: "Server is ready" in log.read_text() or process.returncode is not None
        )
        text = log.read_text()
        client = re.search(r"client connections on (\S+)", text)
        monitor = re.search(r"http monitor on 127\.0\.0\.1:(\d+)", text)
        assert client, text
        assert monitor, text
        yield Site(
            parts=parts,
            address=client[1],
            monitor=int(monitor[1]),
            log=log,
            tls=tls,
        )
    finally:
        process.kill()
        await process.wait()


@pytest.fixture(params=proofs_but(1, reversed(WAYS)))
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Site]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not on PATH")
    way: str = request.param
    async with started(laid_out(way, tmp_path), tmp_path, tls=way != "compose") as site:
        yield site


@pytest.mark.slow
async def test_a_ticket_goes_all_the_way(site: Site) -> None:
    said = await site.run("provision")
    assert said[0] == 0, said
    probes_and_keda_get_what_they_ask_for(site)
    async with site.worker(), site.exporter():
        said = await site.run("helpdesk")
        assert said[0] == 0, said

        async def asked() -> Any:
            return await site.json("ada", "questions")

        [question] = await until(asked, WITHIN)
        assert question["ticket"] == "T125"
        await site.probed("worker")
        await site.probed("exporter", 'layby_question_open{role="developer"} 1.0')
        assert "waiting" in {run["status"] for run in await site.json("operator", "runs")}
        answer = ("answer", "T125", "Fixed in v1.1.4", "--responder", "ada")
        receipt = await site.json("ada", *answer)
        assert (receipt["outcome"], receipt["by"]) == ("accepted", "ada")

        async def completed() -> bool:
            return bool((await site.json("operator", "show", "T125"))["status"] == "completed")

        await until(completed, WITHIN)
        await site.json("operator", "purge", "--older-than", "30d")
        [entry] = await site.json("operator", "audit")
        assert (entry["verb"], entry["by"]) == ("purge", "operator")
        said = await site.run("doctor" if "doctor" in site.parts else "observer")
        assert said[0] == 0, said
    # What a sender and who looks may not know, `layby` tries and does without; nobody else errs.
    errors = re.findall(r"\[(?:ERR|FTL)\] (.*)", site.log.read_text())
    assert [
        line for line in errors if not re.search(r'"(SENDERS|OBSERVERS|OPERATORS)/', line)
    ] == []


def probes_and_keda_get_what_they_ask_for(site: Site) -> None:
    for path in ("/healthz", "/healthz?js-server-only=true"):
        assert site.asked(path)[0] == 200
    [scaled] = of_kind(list(yaml.safe_load_all(RENDERED.read_text())), "ScaledObject").values()
    assert lags(scaled, site.monitor) == {}
    for trigger in scaled["spec"]["triggers"]:
        wanted = trigger["metadata"]
        _, told = site.asked(f"/jsz?acc={wanted['account']}&consumers=true&config=true")
        [account] = told["account_details"]
        consumers = {
            (stream["name"], consumer["name"])
            for stream in account["stream_detail"]
            for consumer in stream.get("consumer_detail") or ()
        }
        assert account["name"] == wanted["account"]
        assert (wanted["stream"], wanted["consumer"]) in consumers


@pytest.mark.parametrize("site", ["kubernetes"], indirect=True)
async def test_nobody_can_do_the_work_of_another(site: Site) -> None:
    code, text = await site.run("worker")
    assert code != 0, "a worker may create nothing"
    assert "provision" in text
    for part in ("helpdesk", "ada", "doctor", "operator"):
        code, text = await site.run(part, "provision", "examples.support_agent:app")
        assert code != 0, part
    assert (await site.run("provision"))[0] == 0
    code, text = await site.run("operator", *site.words("helpdesk"))
    assert code != 0
    assert "support.ticket.created" in text


async def test_the_server_speaks_tls_where_it_is_said_to(site: Site) -> None:
    host, _, port = site.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5) as sock:
        info = json.loads(sock.makefile("rb").readline().removeprefix(b"INFO "))
        assert info.get("tls_required", False) is site.tls
        assert info["auth_required"] is True
        if site.tls:
            sock.sendall(b'CONNECT {"user":"worker","pass":"x"}\r\nPING\r\n')
            assert b"PONG" not in sock.makefile("rb").read()


@pytest.mark.parametrize("login", LOGINS)
async def test_the_server_does_not_start_without_the_password_of_each_login(
    login: str, tmp_path: Path
) -> None:
    environ = {f"LAYBY_{each}_PASSWORD": "p1" for each in LOGINS if each != login}
    command = [find_binary(), "-t", "-c", str(DEPLOY / "nats-server.conf")]
    ended = await asyncio.to_thread(
        subprocess.run, command, env=environ, cwd=tmp_path, capture_output=True, check=False
    )
    assert ended.returncode != 0
    assert f"LAYBY_{login}_PASSWORD" in ended.stderr.decode()


def test_each_service_has_one_password_and_no_file_has_any() -> None:
    ports = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    logins = set[str]()
    for name, service in ports.items():
        if name in BESIDE:
            assert "PASSWORD" not in str(service)
            continue
        environ = service["environment"]
        secret = [text for text in environ.values() if "PASSWORD" in text]
        if name == "nats":
            assert set(environ) == {f"LAYBY_{login}_PASSWORD" for login in LOGINS}
            assert len(secret) == len(environ)
            continue
        login = environ["NATS_USER"]
        logins.add(login.upper())
        wanted = f"${{LAYBY_{login.upper()}_PASSWORD:?see deploy/README.md}}"
        assert secret == [environ["NATS_PASSWORD"]] == [wanted]
        assert environ["NATS_INBOX_PREFIX"] == f"_INBOX_{login}"
    assert logins == set(LOGINS)


def test_each_pod_has_one_password_and_no_manifest_has_any() -> None:
    found = [pod_of(each) for each in yaml.safe_load_all(RENDERED.read_text())]
    for pod in filter(None, found):
        [container] = pod["containers"]
        environ = {each["name"]: each for each in container["env"]}
        if container["name"] == "nats":
            assert container["envFrom"] == [{"secretRef": {"name": "nats-passwords"}}]
            continue
        assert "envFrom" not in container
        login = environ["NATS_USER"]["value"]
        secret = environ["NATS_PASSWORD"]["valueFrom"]["secretKeyRef"]
        assert secret == {"name": "nats-passwords", "key": f"LAYBY_{login.upper()}_PASSWORD"}
        assert environ["NATS_INBOX_PREFIX"]["value"] == f"_INBOX_{login}"
        assert environ["NATS_URL"]["value"].startswith("tls://")
        assert pod["automountServiceAccountToken"] is False
