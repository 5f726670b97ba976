"""What a program may send as its login, and what becomes of it before the server sees it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import Request

from layby.bus.connection import Connection
from layby.client import Client
from layby.console.login.own_connection import Given, OwnConnection, SignInFailed, TooOften
from layby.console.login.programs import CLEAR, Programs, is_private
from layby.console.login.responder_tokens import ResponderTokens
from layby.console.login.session import Session
from layby.console.login.token_file import TokenFile, add_token
from tests.http_request import Headers, request


class Door:
    """Lets nobody in, and notes what they came with."""

    def __init__(self, error: SignInFailed | None = None) -> None:
        self.came: list[Given] = []
        self.programs = Programs(self.admit, cast("Connection", None))
        self._error = error or SignInFailed("NATS refuses this login.")

    async def admit(self, request: Request, given: Given) -> tuple[Session, OwnConnection]:
        del request
        self.came.append(given)
        raise self._error

    async def refused(self, *given: str) -> HTTPException:
        headers = [("authorization", each) for each in given]
        with pytest.raises(HTTPException) as caught:
            await self.programs.session(request("/api/v1/runs", headers))
        return caught.value


def basic(text: str | bytes) -> str:
    data = text.encode() if isinstance(text, str) else text
    return f"Basic {base64.b64encode(data).decode()}"


@pytest.mark.parametrize(
    ("header", "user", "password", "pasted"),
    [
        (basic("ada:secret"), "ada", "secret", ""),
        (basic("ada:"), "ada", "", ""),
        (basic("ada:a:b"), "ada", "a:b", ""),
        (basic("jürgen:ß"), "jürgen", "ß", ""),
        ("bAsIc   " + basic("ada:x").split()[1], "ada", "x", ""),
        ("Bearer SUAB", "", "", "SUAB"),
        (f"bearer {base64.b64encode(b'-----BEGIN').decode()}", "", "", "-----BEGIN"),
    ],
)
async def test_a_program_sends_a_password_a_seed_or_credentials(
    header: str, user: str, password: str, pasted: str
) -> None:
    door = Door()
    assert (await door.refused(header)).status_code == 401
    assert door.came == [Given(user=user, password=password, pasted=pasted)]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [""],
        ["Basic"],
        ["Bearer"],
        ["Bearer   "],
        [basic("ada")],
        [basic(":secret")],
        [basic("a\0da:x")],
        [basic("ada:\0")],
        [basic(b"\xff:x")],
        ["Basic not base64"],
        ["Digest ada"],
        [basic("ada:x"), basic("bob:x")],
        [basic("ada:" + "x" * 20_000)],
    ],
)
async def test_anything_else_is_not_taken_to_the_server(headers: list[str]) -> None:
    door = Door()
    error = await door.refused(*headers)
    assert error.status_code == 401
    assert "Send `Authorization: Basic` with a NATS user and password" in error.detail
    assert door.came == []


async def test_why_a_login_is_refused_is_said_in_the_words_of_the_server() -> None:
    assert (await Door(SignInFailed("No such user.")).refused(basic("a:b"))).detail == (
        "No such user."
    )


async def test_who_tries_too_often_is_told_to_wait() -> None:
    error = await Door(TooOften("Wait.")).refused(basic("a:b"))
    assert error.status_code == 429
    assert error.headers == {"Retry-After": "5"}


async def test_a_login_that_was_refused_is_tried_again_the_next_time() -> None:
    door = Door()
    await door.refused(basic("a:b"))
    await door.refused(basic("a:b"))
    assert len(door.came) == 2


async def test_a_password_that_crossed_the_network_in_the_clear_is_not_tried() -> None:
    door = Door()
    with pytest.raises(HTTPException) as caught:
        await door.programs.session(
            request("/api/v1/runs", [("authorization", basic("a:b"))], peer="10.0.0.9")
        )
    assert (caught.value.status_code, caught.value.detail) == (403, CLEAR)
    assert door.came == []


@pytest.mark.parametrize(
    ("scheme", "peer", "forwarded", "private"),
    [
        ("http", "127.0.0.1", [], True),
        ("http", "127.8.8.8", [], True),
        ("http", "::1", [], True),
        ("http", "10.0.0.9", [], False),
        ("http", None, [], False),
        ("https", "10.0.0.9", [], True),
        ("http", "10.0.0.9", ["https"], True),
        ("http", "10.0.0.9", ["https", " https"], True),
        ("http", "127.0.0.1", ["http"], False),  # the proxy is here, the program is not
        ("https", "10.0.0.9", ["http"], False),
        ("http", "10.0.0.9", ["https,http"], False),
        ("http", "10.0.0.9", ["https", "http"], False),
        ("http", "127.0.0.1", [""], False),
    ],
)
def test_a_login_is_private_if_no_part_of_its_way_was_in_the_clear(
    scheme: str,
    peer: str | None,
    forwarded: list[str],
    private: bool,  # noqa: FBT001
) -> None:
    headers = [("x-forwarded-proto", each) for each in forwarded]
    assert is_private(request(headers=headers, scheme=scheme, peer=peer)) is private


@given(st.text(min_size=1).filter(lambda text: not set(text) & set(":\0")), st.text())
def test_a_login_is_known_by_all_of_it(user: str, password: str) -> None:
    programs = Door().programs
    one = programs._digest(Given(user=user, password=password))
    assert one == programs._digest(Given(user=user, password=password))
    assert one != programs._digest(Given(user=user, password=f"{password}x"))
    assert one != programs._digest(Given(user=user, pasted=f"{password}x"))
    assert one != Door().programs._digest(Given(user=user, password=password))


class Responders:
    """The tokens of a file with one person, and how a program asks with them."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self.path = folder / "tokens"
        self.token = add_token(self.path, "ada", ("developer",))
        file = TokenFile(self.path)
        self.tokens = ResponderTokens(file, cast("Client", None), read_only=read_only)

    def ask(self, *given: str, path: str = "/api/v1/questions", more: Headers = ()) -> object:
        headers = [("authorization", each.format(token=self.token)) for each in given]
        return self.tokens.session(request(path, [*headers, *more]))

    def session(self) -> Session:
        found = self.ask("Bearer {token}")
        assert isinstance(found, Session)
        return found


@pytest.fixture
def responders(tmp_path: Path) -> Responders:
    return Responders(tmp_path)


def test_a_token_answers_for_its_person_and_sees_nothing_else(responders: Responders) -> None:
    session = responders.session()
    assert (session.name, session.via, session.vouched) == ("ada", "token", None)
    assert session.rights.answers("developer")
    assert not session.rights.answers("lead")
    assert not session.rights.view
    assert not session.rights.operate
    assert responders.session() is session


@pytest.mark.parametrize("given", ["bearer {token}", "BEARER   {token}  "])
def test_a_token_is_taken_as_programs_write_it(responders: Responders, given: str) -> None:
    assert responders.ask(given) is responders.session()


@pytest.mark.parametrize(
    "given",
    [[], ["{token}"], ["Basic {token}"], ["Bearer other"], ["Bearer {token}", "Bearer {token}"]],
)
def test_what_is_no_token_is_left_to_the_other_logins(
    responders: Responders, given: list[str]
) -> None:
    assert responders.ask(*given) is None


@pytest.mark.parametrize("path", ["/", "/inbox", "/api/v2/questions", "/x/api/v1/questions"])
def test_a_token_opens_no_page(responders: Responders, path: str) -> None:
    assert responders.ask("Bearer {token}", path=path) is None


@pytest.mark.parametrize("given", ["Bearer {token}x", "Bearer lbt_", "Bearer lbt_" + "x" * 500])
def test_a_token_that_nobody_has_is_refused(responders: Responders, given: str) -> None:
    with pytest.raises(HTTPException) as caught:
        responders.ask(given)
    assert (caught.value.status_code, caught.value.detail) == (401, "Nobody has that token.")


def test_a_token_that_crossed_the_network_in_the_clear_is_refused(responders: Responders) -> None:
    with pytest.raises(HTTPException) as caught:
        responders.ask("Bearer {token}", more=[("x-forwarded-proto", "http")])
    assert (caught.value.status_code, caught.value.detail) == (403, CLEAR)


def test_the_streams_of_whoever_is_taken_out_end(responders: Responders) -> None:
    session = responders.session()
    responders.path.write_text("# nobody\n")
    with pytest.raises(HTTPException):
        responders.ask("Bearer {token}")
    assert session.over.is_set()


def test_all_streams_end_with_the_console(responders: Responders) -> None:
    session = responders.session()
    responders.tokens.end_all()
    assert session.over.is_set()
    assert responders.session() is not session


def test_in_a_console_that_is_read_only_a_token_only_looks(tmp_path: Path) -> None:
    rights = Responders(tmp_path, read_only=True).session().rights
    assert not rights.may_answer
    assert rights.sees("developer")
    assert not rights.sees("lead")
