"""Programs sign in to the HTTP API with their NATS login in a header, and get what it may do."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from http.client import HTTPConnection
from typing import Any

import pytest

from layby.console.api import stream as api_stream
from layby.console.login import programs
from layby.console.login.nats_login import NatsLogin
from layby.console.login.own_connection import OwnConnection
from layby.console.server import Serving
from tests.acceptance.test_console_guard import FORM, Reply, Visitor
from tests.engine import until
from tests.fix_browser import console_on
from tests.security.house import WITHIN, House

pytestmark = pytest.mark.nats
API = "/api/v1"


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def login(name: str) -> str:
    return basic(name, f"of-{name}")


class Program(Visitor):
    """Sends a login with each request."""

    async def get(self, path: str, authorization: str, **headers: str) -> Reply:
        return await self.ask("GET", API + path, b"", Authorization=authorization, **headers)

    async def post(self, path: str, authorization: str, value: Any, **headers: str) -> Reply:
        sent = {"Content_Type": "application/json", "Layby_Console": "1"} | headers
        body = json.dumps(value).encode()
        return await self.ask("POST", API + path, body, Authorization=authorization, **sent)


@pytest.fixture
def program(serving: Serving) -> Program:
    return Program(serving)


def connections(serving: Serving) -> int:
    entrance = serving.console.login
    assert isinstance(entrance, NatsLogin)
    return len(entrance.programs.sessions.own)


async def test_a_program_has_the_rights_of_its_login(
    open_house: House, serving: Serving, program: Program
) -> None:
    run = await open_house.question("T1")
    for name, status in (("observer", 200), ("operator", 200), ("ada", 403)):
        assert (await program.get("/runs", login(name))).status == status, name
    cancel = f"/runs/{run}/cancel"
    for name in ("observer", "ada"):
        assert (await program.post(cancel, login(name), {})).status == 403, name

    async def asked() -> Any:
        return json.loads((await program.get("/questions", login("ada"))).body)["questions"]

    (question, *_) = await until(asked, WITHIN)
    answer = await program.post(
        f"/questions/{question['id']}/answer", login("ada"), {"answer": "Fixed"}
    )
    assert (answer.status, json.loads(answer.body)["by"]) == (200, "ada")
    assert (await open_house.ended(run)).result == "ada: Fixed"
    assert connections(serving) == 3


async def test_one_connection_serves_all_requests_of_a_login(
    serving: Serving, program: Program
) -> None:
    replies = await asyncio.gather(*(program.get("/runs", login("observer")) for _ in range(20)))
    assert {each.status for each in replies} == {200}
    assert connections(serving) == 1
    assert all("set-cookie" not in each.headers for each in replies)


@pytest.mark.parametrize(
    "header",
    [
        basic("observer", "wrong"),
        basic("observer", ""),
        basic("", "of-observer"),
        basic("nobody", "of-observer"),
        basic("observer\0", "of-observer"),
        "Basic",
        "Basic %%%",
        "Basic " + b64encode(b"observer").decode(),
        "Basic " + b64encode(b"\xff:\xff").decode(),
        "Basic " + "A" * 20_000,
        "Bearer",
        "Bearer SUAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "Bearer " + b64encode(b"x").decode(),
        "Digest username=observer",
        "of-observer",
    ],
)
async def test_a_wrong_login_is_refused_and_not_asked_for(
    serving: Serving, program: Program, header: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A challenge would have browsers keep a password, and send it by themselves."""
    reply = await program.get("/runs", header)
    assert reply.status == 401
    assert reply.headers["content-type"] == "application/problem+json"
    assert "www-authenticate" not in reply.headers
    assert "of-observer" not in reply.body + caplog.text
    assert connections(serving) == 0


async def test_a_wrong_login_is_not_made_good_by_a_cookie(program: Program) -> None:
    reply = await program.ask(
        "POST",
        "/sign-in",
        b"user=observer&password=of-observer",
        Content_Type=FORM,
    )
    program.cookie = reply.headers["set-cookie"].partition(";")[0]
    assert (await program.ask("GET", f"{API}/runs")).status == 200
    assert (await program.get("/runs", basic("observer", "wrong"))).status == 401


async def test_guessing_is_slowed_down_and_slows_down_no_known_program(
    serving: Serving, program: Program
) -> None:
    assert (await program.get("/runs", login("observer"))).status == 200
    guesses = [program.get("/runs", basic("operator", f"p{n}")) for n in range(12)]
    replies = await asyncio.gather(*guesses)
    statuses = [each.status for each in replies]
    assert set(statuses) == {401, 429}
    assert statuses.count(401) < 10
    late = next(each for each in replies if each.status == 429)
    assert late.headers["retry-after"].isdecimal()
    assert (await program.get("/runs", login("observer"))).status == 200
    assert connections(serving) == 1


@pytest.mark.parametrize("said", ["http", "https, http", "HTTPS ", "", "ftp"])
async def test_a_login_in_the_clear_is_refused(
    serving: Serving, program: Program, said: str
) -> None:
    reply = await program.get("/runs", login("observer"), X_Forwarded_Proto=said)
    assert reply.status == 403
    assert "change it" in reply.body
    assert connections(serving) == 0


async def test_a_proxy_with_tls_passes_logins_on(program: Program) -> None:
    reply = await program.get("/runs", login("observer"), X_Forwarded_Proto="https")
    assert reply.status == 200


async def test_another_site_cannot_make_a_browser_send_it(program: Program) -> None:
    ada = login("operator")
    event: dict[str, Any] = {"subject": "ticket.created", "data": {}}
    for headers in (
        {"Layby_Console": ""},
        {"Origin": "https://evil.example"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Content_Type": "text/plain", "Layby_Console": ""},
        {"Content_Type": FORM, "Layby_Console": ""},
    ):
        assert (await program.post("/events", ada, event, **headers)).status == 403, headers
    assert (await program.ask("OPTIONS", f"{API}/events", b"", Authorization=ada)).status == 403


async def test_pages_take_no_login_in_a_header(program: Program) -> None:
    for path in ("/", "/inbox", "/api", "/api/v1"):
        reply = await program.ask("GET", path, b"", Authorization=login("observer"))
        assert reply.status in {401, 404}, path


async def test_a_connection_that_is_not_used_is_closed(
    serving: Serving, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "_IDLE", 0.2)
    assert (await program.get("/runs", login("observer"))).status == 200

    async def closed() -> bool:
        return connections(serving) == 0

    await until(closed, WITHIN)
    assert (await program.get("/runs", login("observer"))).status == 200


async def test_a_stream_that_is_open_keeps_its_connection(
    serving: Serving, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    entrance: Any = serving.console.login
    stream = HTTPConnection(program.host, timeout=WITHIN)
    stream.request("GET", f"{API}/feed", headers={"Authorization": login("observer")})
    response = await asyncio.to_thread(stream.getresponse)
    assert response.status == 200
    monkeypatch.setattr(programs, "_IDLE", 0.0)
    entrance.programs._sweep()
    assert connections(serving) == 1
    response.close()
    stream.close()

    async def closed() -> bool:
        entrance.programs._sweep()
        return connections(serving) == 0

    await until(closed, WITHIN)


async def test_a_bounded_number_of_logins_is_connected(
    serving: Serving, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "_MOST", 2)
    for name in ("observer", "operator", "ada"):
        assert (await program.get("/questions", login(name))).status == 200
        assert connections(serving) <= 2


async def test_a_login_that_the_server_closes_is_out(serving: Serving, program: Program) -> None:
    assert (await program.get("/runs", login("observer"))).status == 200
    entrance = serving.console.login
    assert isinstance(entrance, NatsLogin)
    (own,) = entrance.programs.sessions.own.values()
    await own.bus.connection.nc.close()
    assert (await program.get("/runs", login("observer"))).status == 200
    assert own not in entrance.programs.sessions.own.values()


async def test_a_login_with_other_rights_than_before_is_let_in_anew(
    serving: Serving, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server closes a login's connections when its permissions change."""

    async def changed(_: OwnConnection) -> bool:
        return False

    monkeypatch.setattr(api_stream, "BEAT", 0.1)
    entrance: Any = serving.console.login
    stream = HTTPConnection(program.host, timeout=WITHIN)
    stream.request("GET", f"{API}/feed", headers={"Authorization": login("observer")})
    response = await asyncio.to_thread(stream.getresponse)
    (own,) = entrance.programs.sessions.own.values()
    monkeypatch.setattr(OwnConnection, "is_unchanged", changed)
    own.bus.connection.nc._transport.close()

    async def is_out() -> bool:
        return connections(serving) == 0

    await until(is_out, WITHIN)
    await asyncio.to_thread(response.read)  # it ends
    stream.close()
    assert (await program.get("/runs", login("observer"))).status == 200
    assert connections(serving) == 1


async def test_a_program_of_a_read_only_console_changes_nothing(open_house: House) -> None:
    settings = open_house.settings("observer")
    async with console_on(settings, auth="nats", read_only=True) as serving:
        program = Program(serving)
        event: dict[str, Any] = {"subject": "ticket.created", "data": {}}
        assert (await program.post("/events", login("operator"), event)).status == 403
        assert (await program.get("/runs", login("operator"))).status == 200


async def test_credentials_are_sent_as_a_token(jwt: House) -> None:
    async with jwt.working(), console_on(jwt.settings("observer"), auth="nats") as serving:
        program = Program(serving)
        token = b64encode(jwt.file("operator").encode()).decode()
        assert (await program.get("/runs", f"Bearer {token}")).status == 200
        other = b64encode(jwt.file("ada").replace("SU", "SX").encode()).decode()
        assert (await program.get("/runs", f"Bearer {other}")).status == 401


async def test_the_document_says_how_programs_sign_in(program: Program) -> None:
    reply = await program.get("/openapi.json", login("observer"))
    found = json.loads(reply.body)
    assert {"basic": []} in found["security"]
    assert found["components"]["securitySchemes"]["basic"] == {"type": "http", "scheme": "basic"}
