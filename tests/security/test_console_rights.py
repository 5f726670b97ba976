"""What people reach in the console with the logins of the shipped configurations."""

from __future__ import annotations

import asyncio
import re
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.routing import Route

from layby.bus.settings import ConnectionSettings
from layby.console.api.operation import ROOT
from layby.console.api.operations import OPERATIONS
from layby.console.login import own_sessions
from layby.console.login.nats_login import NatsLogin, NoLogins
from layby.console.server import Serving
from layby.console.web import web_app
from tests.acceptance.test_console_guard import FORM, Reply, Visitor
from tests.engine import until
from tests.fix_browser import console_on
from tests.security.house import WITHIN, House

pytestmark = pytest.mark.nats
HELD = {
    "ada": {"public", "session", "answer"},
    "observer": {"public", "session", "view"},
    "operator": {"public", "session", "view", "operate"},
}
ADA = {"user": "ada", "password": "of-ada"}
INBOX = {"GET": "session", "POST": "answer"}
PAGE = {"GET": "view", "POST": "operate"}
DEED = {"GET": "operate", "POST": "operate"}
PUBLIC = {"GET": "public", "POST": "public"}
PLACES = {
    "/live": INBOX,
    "/inbox": INBOX,
    "/inbox/{question}": INBOX,
    "/inbox/{question}/{verb}": INBOX,
    "/inbox/{question}/opened": INBOX,
    "/inbox/live": INBOX,
    "/inbox/history": INBOX,
    "/health/dead/{letter:int}/{verb}": DEED,
    "/sign-in": PUBLIC,
    "/answer/layby.css": PUBLIC,
    "/answer/{token}": PUBLIC,
    f"{ROOT}/openapi.json": INBOX,
}
API: dict[tuple[str, str], str] = {
    (each.method, ROOT + each.path): each.right for each in OPERATIONS
}


class Person(Visitor):
    """Somebody who signs in with a NATS login."""

    token = ""

    async def sign_in(self, **fields: str) -> Reply:
        reply = await self.post("/sign-in", **fields)
        if reply.status == 303:
            self.cookie = reply.headers["set-cookie"].partition(";")[0]
            page = await self.ask("GET", "/inbox")
            self.token = re.findall(r'name="form_token" value="([\w-]+)"', page.body)[0]
        return reply

    async def post(self, path: str, **fields: str) -> Reply:
        body = urlencode({**fields, "form_token": self.token}).encode()
        return await self.ask("POST", path, body, Content_Type=FORM)

    async def status(self, method: str, path: str) -> tuple[int, str]:
        """The status, and where it leads to; streams are not read."""
        return await asyncio.to_thread(self._status, method, path)

    def _status(self, method: str, path: str) -> tuple[int, str]:
        api = path.startswith("/api/")
        kind = "application/json" if api else FORM
        headers = {"Cookie": self.cookie, "Content-Type": kind, "Layby-Console": "1"}
        body = "{}" if api else urlencode({"form_token": self.token})
        connection = HTTPConnection(self.host, timeout=60)
        try:
            connection.request(method, path, body if method == "POST" else None, headers)
            response = connection.getresponse()
            return response.status, response.getheader("location", "")
        finally:
            connection.close()


async def signed_in(serving: Serving, login: str) -> Person:
    person = Person(serving)
    reply = await person.sign_in(user=login, password=f"of-{login}")
    assert reply.status == 303, reply.body
    return person


def routes(serving: Serving) -> list[tuple[str, str, str]]:
    """What a route needs, its method, and a path."""
    found: list[tuple[str, str, str]] = []
    for each in web_app(serving.console).routes:
        if not isinstance(each, Route):
            continue
        path = re.sub(r"\{(\w+:int|seq)\}", "1", each.path)
        path = re.sub(r"\{(\w+)(:\w+)?\}", r"\1", path)
        for method in sorted((each.methods or {"GET"}) - {"HEAD"}):
            if each.path != "/sign-out":
                needs = API.get((method, each.path)) or PLACES.get(each.path, PAGE)[method]
                found.append((needs, method, path))
    return found


def open_connections(serving: Serving) -> int:
    login = serving.console.login
    assert isinstance(login, NatsLogin)
    return len(login.people.own)


@pytest.mark.parametrize("login", HELD)
async def test_every_url_is_only_for_those_who_may_use_it(serving: Serving, login: str) -> None:
    person = await signed_in(serving, login)
    wrong: list[str] = []
    for needs, method, path in routes(serving):
        if path == "/sign-in" and method == "POST":
            continue
        status, to = await person.status(method, path)
        refused = status == 403 or (path == "/" and to.endswith("/inbox"))
        if refused is (needs in HELD[login]) or status in {401, 500}:
            wrong.append(f"{method} {path}: {status}")
    assert not wrong, wrong


async def test_nobody_gets_in_without_signing_in(serving: Serving) -> None:
    nobody = Person(serving)
    for needs, method, path in routes(serving):
        status, _ = await nobody.status(method, path)
        if needs != "public":
            assert status == 401, (method, path, status)
    reply = await nobody.ask("GET", "/runs/x?a=b", Accept="text/html")
    assert (reply.status, reply.headers["location"]) == (303, "/sign-in?to=%2Fruns%2Fx%3Fa%3Db")


@pytest.mark.parametrize(
    "fields",
    [
        {"user": "ada", "password": "of-bob"},
        {"user": "ada", "password": ""},
        {"user": "nobody", "password": "of-ada"},
        {"user": "helpdesk", "password": "of-helpdesk"},
        {"user": "ada", "password": "of-ada", "inbox": "_INBOX_bob"},
        {"user": "ada", "password": "of-ada", "inbox": "a b"},
        {"credentials": "SUAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
        {"credentials": "-----BEGIN NATS USER JWT-----\nx.y\n-----BEGIN USER NKEY SEED-----\nSU\n"},
        {"user": "ada", "password": "of-ada", "credentials": "SU"},
        {"user": "", "password": ""},
        {"user": "\x00", "password": "\r\n"},
    ],
)
async def test_a_wrong_login_is_refused_in_words(
    serving: Serving, fields: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    reply = await Person(serving).sign_in(**fields)
    assert reply.status in {401, 422}
    assert "set-cookie" not in reply.headers
    assert 'role="alert"' in reply.body
    for secret in filter(None, (fields.get("password", ""), fields.get("credentials", ""))):
        if secret.strip():
            assert secret not in reply.body
            assert secret not in caplog.text
    assert open_connections(serving) == 0


async def test_many_tries_are_slowed_down(serving: Serving) -> None:
    guesser = Person(serving)
    replies = await asyncio.gather(
        *(guesser.sign_in(user="ada", password=f"p{n}") for n in range(12))
    )
    assert any("too often" in each.body for each in replies)
    assert all(each.status == 401 for each in replies)


async def test_ada_answers_in_her_own_name(open_house: House, serving: Serving) -> None:
    run = await open_house.question("T1")
    ada = await signed_in(serving, "ada")

    async def listed() -> list[str]:
        return re.findall(r"/inbox/(q[0-9a-f]{13})", (await ada.ask("GET", "/inbox")).body)

    (question, *_) = await until(listed, WITHIN)
    page = await ada.ask("GET", f"/inbox/{question}")
    assert page.status == 200
    assert "What about T1?" in page.body
    reply = await ada.ask(
        "POST",
        f"{ROOT}/questions/{question}/answer",
        b'{"answer": "Fixed"}',
        Content_Type="application/json",
        Layby_Console="1",
    )
    assert reply.status == 200, reply.body
    detail = await open_house.ended(run)
    assert detail.result == "ada: Fixed"


async def test_an_operator_cancels_with_their_own_login(
    open_house: House, serving: Serving
) -> None:
    run = await open_house.question("T2")
    operator = await signed_in(serving, "operator")
    reply = await operator.ask(
        "POST",
        f"{ROOT}/runs/{run}/cancel",
        b'{"reason": "no longer needed"}',
        Content_Type="application/json",
        Layby_Console="1",
    )
    assert reply.status == 200, reply.body
    assert (await open_house.ended(run)).status == "cancelled"


async def test_signing_out_closes_the_connection_and_what_is_open(serving: Serving) -> None:
    person = await signed_in(serving, "observer")
    stream = HTTPConnection(person.host, timeout=WITHIN)
    stream.request("GET", "/live/runs", headers={"Cookie": person.cookie})
    response = await asyncio.to_thread(stream.getresponse)
    assert response.status == 200
    assert open_connections(serving) == 1
    assert (await person.post("/sign-out")).status == 303
    assert open_connections(serving) == 0
    assert (await person.ask("GET", "/inbox")).status == 401
    await asyncio.to_thread(response.read)  # it ends
    stream.close()


async def test_a_session_ends_when_the_server_closes_its_connection(serving: Serving) -> None:
    person = await signed_in(serving, "observer")
    login = serving.console.login
    assert isinstance(login, NatsLogin)
    (own,) = login.people.own.values()
    await own.bus.connection.nc.close()
    assert (await person.ask("GET", "/inbox")).status == 401
    assert open_connections(serving) == 0


@pytest.mark.filterwarnings("ignore:.*StreamWriter")  # the client's, after a refused login
async def test_a_login_that_the_server_no_longer_takes_is_signed_out(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_sessions, "_RETURNS", 0.5)
    person = await signed_in(serving, "observer")
    login = serving.console.login
    assert isinstance(login, NatsLogin)
    (own,) = login.people.own.values()
    own.bus.connection.nc.options["password"] = "changed"  # noqa: S105
    client: Any = own.bus.connection.nc
    client._transport.close()

    async def is_out() -> bool:
        return (await person.ask("GET", "/inbox")).status == 401

    await until(is_out, WITHIN)


async def test_a_session_outlives_a_short_loss_of_its_connection(serving: Serving) -> None:
    person = await signed_in(serving, "observer")
    login = serving.console.login
    assert isinstance(login, NatsLogin)
    (own,) = login.people.own.values()
    client: Any = own.bus.connection.nc
    back = asyncio.Event()
    own.bus.connection.on_reconnect.append(back.set)
    client._transport.close()
    await asyncio.wait_for(back.wait(), WITHIN)
    assert (await person.ask("GET", "/inbox")).status == 200


async def test_a_form_of_another_site_signs_nobody_out(serving: Serving) -> None:
    person = await signed_in(serving, "observer")
    person.token = "x"  # noqa: S105
    assert (await person.post("/sign-out")).status == 403
    assert open_connections(serving) == 1


async def test_one_login_keeps_a_bounded_number_of_connections(serving: Serving) -> None:
    async def again() -> bool:
        reply = await Person(serving).sign_in(**ADA)
        return reply.status == 303

    for _ in range(10):
        await until(again, WITHIN)
    assert open_connections(serving) == 8


@pytest.mark.parametrize("to", ["//evil.example", "https://evil.example", "/\\evil", "/sign-out"])
async def test_signing_in_leads_to_no_other_site(serving: Serving, to: str) -> None:
    reply = await Person(serving).sign_in(**ADA, to=to)
    assert (reply.status, reply.headers["location"]) == (303, "/")


async def test_a_read_only_console_lets_nobody_change_anything(open_house: House) -> None:
    settings = open_house.settings("observer")
    async with console_on(settings, auth="nats", read_only=True) as serving:
        operator = await signed_in(serving, "operator")
        for needs, method, path in routes(serving):
            if method == "POST" and needs != "public":
                assert (await operator.status(method, path))[0] == 403, path
        assert (await operator.ask("GET", "/")).status == 200


async def test_a_responder_sees_their_questions_in_a_read_only_console(
    open_house: House,
) -> None:
    settings = open_house.settings("observer")
    async with console_on(settings, auth="nats", read_only=True) as serving:
        await open_house.question("T7")
        ada = await signed_in(serving, "ada")
        reply = await ada.ask("GET", "/")
        assert (reply.status, reply.headers["location"]) == (303, "/inbox")

        async def is_listed() -> bool:
            return "T7" in (await ada.ask("GET", "/inbox")).body

        await until(is_listed, WITHIN)
        page = (await ada.ask("GET", "/inbox")).body
        assert "Send answer" not in page
        assert "<textarea" not in page


async def test_credentials_can_be_pasted(jwt: House) -> None:
    async with jwt.working(), console_on(jwt.settings("observer"), auth="nats") as serving:
        ada, operator = Person(serving), Person(serving)
        pasted = jwt.file("ada").replace("\n", "\r\n")
        assert (await ada.sign_in(credentials=pasted)).status == 303
        assert "<b>ada</b>, responder" in (await ada.ask("GET", "/inbox")).body
        assert (await operator.sign_in(credentials=jwt.file("operator"))).status == 303
        assert "<b>operator</b>, operator" in (await operator.ask("GET", "/inbox")).body
        seedless = jwt.file("ada").replace("SU", "SX")
        assert (await Person(serving).sign_in(credentials=seedless)).status == 401


async def test_a_server_without_logins_is_refused(nats_url: str) -> None:
    with pytest.raises(NoLogins, match="lets anybody in"):
        async with console_on(ConnectionSettings(servers=(nats_url,)), auth="nats"):
            pass
