from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from nats import errors as nats_errors
from nats.js import JetStreamContext

from layby.bus.connection import Connection, ConnectionSettings, connect
from layby.bus.errors import InvalidSettings, LoginRefused, ServerTooOld, ServerUnavailable
from layby.bus.server import EmbeddedServer
from layby.bus.server_version import check_version
from tests.fix_nats import eventually
from tests.fix_proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.nats

USERS = """
authorization {
  users: [
    { user: "alice", password: "hush", permissions: {
        publish: ["developer.response.*.alice"], subscribe: ["_INBOX_alice.>"] } }
    { nkey: "UAWIJCWYMZHOMUPERFWBHKCKRGRJMSWKL23XVC4IDZQN5VOIDNHJ2DET" }
  ]
}
"""


SEED = "SUADONZXG43TONZXG43TONZXG43TONZXG43TONZXG43TONZXG43TONZNKU"  # of the key above
ALICE = {"user": "alice", "password": "hush", "inbox_prefix": "_INBOX_alice"}
LONG = 60.0
"""Seconds that a server may take, where it must be found out sooner."""


def to(url: str, **fields: Any) -> ConnectionSettings:
    return ConnectionSettings(servers=(url,), source="NATS_URL", **fields)


@contextlib.asynccontextmanager
async def connected(url: str, **fields: Any) -> AsyncGenerator[Connection]:
    async with await connect(to(url, **fields)) as connection:
        yield connection


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    path = tmp_path / "user.nk"
    path.write_text(f"{SEED}\n")
    return path


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[str]:
    async with EmbeddedServer(tmp_path / "nats", extra=USERS) as server:
        yield server.url


async def test_connects(nats_url: str) -> None:
    async with connected(nats_url, name="me", inbox_prefix="_INBOX_me") as connection:
        assert connection.nc.is_connected
        assert connection.nc.new_inbox().startswith("_INBOX_me.")
        assert (await JetStreamContext(connection.nc).account_info()).streams >= 0
        assert repr(connection) == f"<Connection {nats_url} connected>"
    assert connection.nc.is_closed
    await connection.close()


async def test_a_missing_server_is_reported_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(ServerUnavailable) as caught:
        await connect(to(f"nats://me:hush@127.0.0.1:{port}", timeout=LONG), patient=True)
    assert time.monotonic() - began < LONG / 2
    assert str(caught.value) == (
        f"Cannot connect to nats://127.0.0.1:{port} (from NATS_URL): nothing listens there. Is it "
        "running, and reachable from here? Correct NATS_URL, or unset it to use the server of "
        "`layby dev` in this folder."
    )


async def test_a_server_that_does_not_answer(proxy: Proxy) -> None:
    proxy.deaf()
    connection = Connection(to(proxy.url, timeout=0.1))
    with pytest.raises(ServerUnavailable, match="it does not answer"):
        await connection.open()
    assert connection.nc.is_closed
    await eventually(lambda: proxy.connections == 0)


async def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(ServerUnavailable, match=r"Cannot connect to nats://nowhere\.invalid"):
        await connect(to("nats://nowhere.invalid"), patient=True)


async def test_a_server_of_another_kind() -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ServerUnavailable, match="expecting INFO"):
            await connect(to(f"nats://127.0.0.1:{port}"), patient=True)


async def test_another_server_of_the_list_will_do(nats_url: str) -> None:
    settings = ConnectionSettings(servers=("nats://127.0.0.1:1", nats_url))
    async with await connect(settings) as connection:
        assert connection.nc.is_connected


async def test_no_server_named() -> None:
    with pytest.raises(InvalidSettings, match="Set NATS_URL"):
        await connect(ConnectionSettings())


async def test_password(guarded: str) -> None:
    async with connected(guarded, **ALICE) as connection:
        await connection.nc.flush()
    url = guarded.replace("//", "//alice:hush@")
    async with connected(url) as connection:
        await connection.nc.flush()


@pytest.mark.parametrize(
    "fields", [{"user": "alice", "password": "wrong!"}, {"token": "wrong!"}, {}]
)
async def test_wrong_password(guarded: str, fields: dict[str, str]) -> None:
    began = time.monotonic()
    connection = Connection(to(guarded, timeout=LONG, **fields))
    with pytest.raises(LoginRefused, match=r"refuses the login .*Check NATS_USER") as caught:
        await connection.open()
    assert connection.nc.is_closed
    assert "wrong!" not in str(caught.value)
    assert time.monotonic() - began < LONG / 2


async def test_nkey(guarded: str, seed: Path) -> None:
    async with connected(guarded, nkey=str(seed)) as connection:
        await connection.nc.flush()


@pytest.mark.parametrize("field", ["nkey", "creds"])
async def test_login_files_that_are_wrong(nats_url: str, tmp_path: Path, field: str) -> None:
    with pytest.raises(InvalidSettings, match=r"Cannot read .*nowhere: No such file"):
        await connect(to(nats_url, **{field: str(tmp_path / "nowhere")}))
    (tmp_path / "x").write_text("hush")
    with pytest.raises(InvalidSettings, match=r"not hold an nkey|not a credentials file") as caught:
        await connect(to(nats_url, **{field: str(tmp_path / "x")}))
    assert "hush" not in str(caught.value)


async def test_creds_are_used(nats_url: str, tmp_path: Path) -> None:
    (tmp_path / "me.creds").write_text(
        "-----BEGIN NATS USER JWT-----\nx.y.z\n------END NATS USER JWT------\n"
        f"-----BEGIN USER NKEY SEED-----\n{SEED}\n------END USER NKEY SEED------\n"
    )
    async with connected(nats_url, creds=str(tmp_path / "me.creds")) as connection:
        await connection.nc.flush()  # this server asks for no login: see that it was no hindrance


async def test_without_nkeys(nats_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> None:
        return None

    monkeypatch.setattr("importlib.util.find_spec", missing)
    with pytest.raises(InvalidSettings, match=r"nkey x needs the package .*pip install nkeys"):
        await connect(to(nats_url, nkey="x"))


async def test_permission_denied(guarded: str) -> None:
    async with connected(guarded, **ALICE) as connection:
        await connection.nc.publish("developer.response.T1.alice", b"x")
        await connection.nc.publish("developer.response.T1.Bob", b"x")
        await connection.nc.subscribe("Secret.>")  # pyright: ignore[reportUnknownMemberType]
        await eventually(lambda: connection.last_permission_error("Secret.>") is not None)
        error = connection.last_permission_error("developer.response.T1.Bob")
        assert error is not None
        assert error.subject == "developer.response.T1.Bob"
        assert 'user "alice"' in str(error)
        assert "hush" not in str(error)
        assert not connection.last_permission_error("developer.response.T1.alice")
        assert not connection.last_permission_error("developer.response.T1.Bob", within=0.0)
        assert connection.nc.is_connected


async def test_only_so_many_refusals_are_remembered(guarded: str) -> None:
    async with connected(guarded, **ALICE) as connection:
        for n in range(300):
            await connection.nc.publish(f"no.{n}", b"x")
        await eventually(lambda: connection.last_permission_error("no.299") is not None)
        assert not connection.last_permission_error("no.1")


async def test_comes_back_after_an_outage(own_server: EmbeddedServer) -> None:
    async with connected(own_server.url) as connection:
        lost, back, closed = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def on_lost() -> None:
            lost.set()

        def broken() -> None:
            raise RuntimeError("a hook's own fault")

        connection.on_disconnect += [broken, on_lost]
        connection.on_reconnect.append(back.set)
        connection.on_closed.append(closed.set)
        own_server.kill()
        await asyncio.wait_for(lost.wait(), 30)
        with pytest.raises(nats_errors.OutboundBufferLimitError):
            await connection.nc.publish("x", b"not kept back")
        await eventually(lambda: connection.nc.servers[0].netloc in own_server.url)
        await own_server.start()
        await asyncio.wait_for(back.wait(), 30)
        await connection.nc.flush()
    assert not closed.is_set()


async def test_patience_outlasts_many_attempts(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layby.bus.connection._LONGEST_PAUSE", 0.001)
    async with connected(proxy.url) as connection:
        attempts = 0

        async def count(_: Exception) -> None:
            nonlocal attempts
            attempts += 1

        monkeypatch.setattr(connection.nc, "_error_cb", count)
        await proxy.stop()
        await eventually(lambda: attempts > 100)
        assert not connection.nc.is_closed
        await proxy.start()
        await eventually(lambda: connection.nc.is_connected)
        await connection.nc.flush()


async def test_the_impatient_give_up(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layby.bus.connection._LONGEST_PAUSE", 0.01)
    async with await connect(to(proxy.url), patient=False) as connection:
        gone = asyncio.Event()
        connection.on_closed.append(gone.set)
        await proxy.stop()
        await asyncio.wait_for(gone.wait(), 30)
        assert connection.nc.is_closed


async def test_a_reset_is_survived_even_by_the_impatient(proxy: Proxy) -> None:
    async with await connect(to(proxy.url), patient=False) as connection:
        back = asyncio.Event()
        connection.on_reconnect.append(back.set)
        proxy.cut()
        await asyncio.wait_for(back.wait(), 30)
        await connection.nc.flush()


async def test_closing_is_quick_on_a_dead_line(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layby.bus.connection._CLOSE_WITHIN", 0.2)
    connection = await connect(to(proxy.url))
    proxy.deaf()
    await connection.nc.publish("x", b"x" * 500_000)
    async with asyncio.timeout(2):
        await connection.close()
    assert connection.nc.is_closed


async def test_silent_line_is_noticed(proxy: Proxy) -> None:
    async with connected(proxy.url) as connection:
        assert connection.nc.options["ping_interval"] == 2
        lost, back = asyncio.Event(), asyncio.Event()
        connection.on_disconnect.append(lost.set)
        connection.on_reconnect.append(back.set)
        connection.nc.options["ping_interval"] = 0.01
        await connection.nc.force_reconnect()  # to take the interval up
        await asyncio.wait_for(back.wait(), 30)
        lost.clear()
        proxy.deaf()
        await asyncio.wait_for(lost.wait(), 30)


async def test_the_server_that_was_lost_is_tried_last(nats_url: str) -> None:
    here, there = Proxy(nats_url), Proxy(nats_url)
    try:
        await here.start()
        await there.start()
        settings = ConnectionSettings(servers=(here.url, there.url))
        async with await connect(settings) as connection:
            for _ in range(8):
                back = asyncio.Event()
                connection.on_reconnect[:] = [back.set]
                lost = here if here.connections else there
                lost.deaf()  # it takes connections, and says nothing on them
                lost.cut()
                await asyncio.wait_for(back.wait(), 30)
                assert not lost.connections
                lost.is_deaf = False
    finally:
        await here.stop()
        await there.stop()


class Certificate:
    """A self-signed certificate for 127.0.0.1."""

    def __init__(self, folder: Path) -> None:
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"]
        command += ["ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=test"]
        command += ["-addext", "subjectAltName=IP:127.0.0.1"]
        command += ["-keyout", str(self.key), "-out", str(self.cert)]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    try:
        return Certificate(tmp_path)
    except FileNotFoundError:
        pytest.skip("needs openssl to make a certificate")


@pytest.mark.parametrize("first", [False, True])
async def test_tls(tmp_path: Path, certificate: Certificate, first: bool) -> None:  # noqa: FBT001
    extra = 'tls { cert_file: "%s", key_file: "%s", ca_file: "%s", verify: true %s }' % (  # noqa: UP031
        *(certificate.cert, certificate.key, certificate.cert),
        ", handshake_first: true" if first else "",
    )
    async with EmbeddedServer(tmp_path / "nats", extra=extra) as server:
        cert, key = str(certificate.cert), str(certificate.key)
        async with connected(
            server.url, tls_first=first, ca=cert, cert=cert, key=key
        ) as connection:
            await connection.nc.flush()
        url = server.url.replace("nats:", "tls:")
        began = time.monotonic()
        with pytest.raises(ServerUnavailable, match=r"TLS failed .*VERIFY"):
            await connect(to(url, timeout=LONG, tls_first=first))
        assert time.monotonic() - began < LONG / 2


async def test_no_login_is_sent_in_the_clear(proxy: Proxy) -> None:
    settings = to(proxy.url.replace("nats:", "tls:"), user="me", password="hush")  # noqa: S106
    with pytest.raises(ServerUnavailable, match="does not offer TLS, which the settings demand"):
        await connect(settings)
    assert isinstance(settings.tls_context(), ssl.SSLContext)
    assert b"hush" not in proxy.passed


@pytest.mark.parametrize("version", ["2.12.0", "2.12.0-RC.1", "2.15.1", "3.0.0", "v2.14.0"])
def test_versions_that_will_do(version: str) -> None:
    check_version(version)


@pytest.mark.parametrize("version", ["2.11.9", "1.99.0", "", "dev"])
def test_versions_that_are_too_old(version: str) -> None:
    with pytest.raises(ServerTooOld, match=r"2.12 or newer, which has the message schedules"):
        check_version(version)


async def test_an_old_server_is_refused(nats_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layby.bus.server_version.OLDEST_SERVER", (99, 0))
    with pytest.raises(ServerTooOld, match=nats_url):
        await connect(to(nats_url))
