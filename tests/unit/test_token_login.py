"""The printed address signs in once, and its token stays in no address and no other place."""

from __future__ import annotations

from typing import cast
from urllib.parse import quote

import pytest
from starlette.exceptions import HTTPException
from starlette.responses import Response

from layby.client import Client
from layby.console.login.cookie import cookie_name, delete_cookie, set_cookie
from layby.console.login.token_login import TokenLogin
from layby.console.options import ConsoleOptions
from tests.http_request import Headers, request


def login(*, base_path: str = "", read_only: bool = False) -> TokenLogin:
    options = ConsoleOptions(port=7422, base_path=base_path, read_only=read_only)
    return TokenLogin(cast("Client", None), "ada", options)


def key_in(response: Response) -> str:
    return response.headers["set-cookie"].partition(";")[0].partition("=")[2]


async def entered(one: TokenLogin, query: str, path: str = "/", headers: Headers = ()) -> Response:
    found = await one.enter(request(path, headers, query=query))
    assert found is not None
    return found


async def test_the_printed_address_leads_to_the_same_page_without_the_token() -> None:
    one = login()
    response = await entered(one, f"status=failed&token={one.token}&q=a%26b&q=", "/runs")
    assert response.status_code == 303
    assert response.headers["location"] == "/runs?status=failed&q=a%26b&q="
    session = await one.session(
        request(headers=[("cookie", f"layby_7422={key_in(response)}")]),
    )
    assert session is not None
    assert session.name == "ada"
    assert session.rights.operate


async def test_an_address_with_nothing_but_the_token_has_no_question_mark_left() -> None:
    one = login(base_path="/layby")
    response = await entered(one, f"token={one.token}")
    assert response.headers["location"] == "/layby/"
    assert "Path=/layby/;" in response.headers["set-cookie"]


async def test_no_address_leads_to_another_site() -> None:
    one = login()
    response = await entered(one, f"token={one.token}", "//evil.example/")
    assert response.headers["location"] == "/evil.example/"


async def test_the_token_is_taken_out_even_if_another_one_is_beside_it() -> None:
    one = login()
    response = await entered(one, f"token=wrong&token={one.token}")
    assert one.token not in response.headers["location"]
    assert "wrong" not in response.headers["location"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_only_opening_a_page_signs_in(method: str) -> None:
    one = login()
    assert await one.enter(request(method=method, query=f"token={one.token}")) is None
    assert await one.enter(request(method="HEAD", query=f"token={one.token}")) is not None


@pytest.mark.parametrize("query", ["", "token=", "token=x", "token=%F0%9F%8C%8D", "Token=y"])
async def test_a_wrong_token_signs_nobody_in(query: str) -> None:
    one = login()
    assert await one.enter(request(query=query)) is None
    assert len(one.sessions) == 0


async def test_whoever_is_signed_in_keeps_their_session() -> None:
    one = login()
    first = await entered(one, f"token={one.token}")
    cookie = ("cookie", f"layby_7422={key_in(first)}")
    second = await entered(one, f"token={one.token}", headers=[cookie])
    assert "set-cookie" not in second.headers
    assert len(one.sessions) == 1


@pytest.mark.parametrize(
    "cookie", ["", "layby_7422=", "layby_7422=guess", "layby_7423={key}", "other={key}"]
)
async def test_no_other_cookie_is_a_session(cookie: str) -> None:
    one = login()
    key = key_in(await entered(one, f"token={one.token}"))
    headers = [("cookie", cookie.format(key=key))]
    assert await one.session(request(headers=headers)) is None


async def test_a_program_sends_the_token_as_a_header_and_needs_no_cookie() -> None:
    one = login()
    first = await one.session(request(headers=[("authorization", f"Bearer {one.token}")]))
    again = await one.session(request(headers=[("authorization", f"Bearer {one.token}")]))
    assert first is not None
    assert first is again
    assert len(one.sessions) == 0


@pytest.mark.parametrize("given", ["{token}", "Basic {token}", "Bearer", "Bearer {token}x", "é"])
async def test_a_program_with_anything_else_is_a_stranger(given: str) -> None:
    one = login()
    headers = [("authorization", given.format(token=one.token))]
    assert await one.session(request(headers=headers)) is None


async def test_in_a_console_that_is_read_only_everybody_only_looks() -> None:
    one = login(read_only=True)
    session = await one.session(request(headers=[("authorization", f"Bearer {one.token}")]))
    assert session is not None
    assert session.rights.word == "viewer"


async def test_sessions_end_with_the_console() -> None:
    one = login()
    key = key_in(await entered(one, f"token={one.token}"))
    await one.close()
    assert await one.session(request(headers=[("cookie", f"layby_7422={key}")])) is None


def test_a_stranger_is_told_how_to_come_in_and_not_the_token() -> None:
    one = login()
    with pytest.raises(HTTPException) as caught:
        one.stranger(request())
    assert caught.value.status_code == 401
    assert "Open the address that the console printed" in caught.value.detail
    assert one.token not in caught.value.detail


def test_two_consoles_have_two_tokens_and_two_cookies() -> None:
    one, other = login().token, login().token
    assert one != other
    assert len(one) >= 32
    assert quote(one) == one  # it is in an address
    assert cookie_name(1) != cookie_name(2)


@pytest.mark.parametrize(
    ("scheme", "headers", "secure"),
    [
        ("http", [], False),
        ("https", [], True),
        ("http", [("x-forwarded-proto", "https")], True),
        ("http", [("x-forwarded-proto", "http")], False),
    ],
)
def test_a_cookie_goes_over_tls_only_where_the_browser_speaks_it(
    scheme: str,
    headers: Headers,
    secure: bool,  # noqa: FBT001
) -> None:
    response = Response()
    set_cookie(response, request(headers=headers, scheme=scheme), name="n", key="k", path="/p/")
    said = response.headers["set-cookie"]
    assert said.startswith("n=k;")
    assert ("Secure" in said) is secure
    assert "HttpOnly" in said
    assert "SameSite=strict" in said
    assert "Path=/p/" in said
    assert "Domain" not in said


def test_signing_out_takes_the_cookie_from_where_it_was_given() -> None:
    response = Response()
    delete_cookie(response, name="n", path="/p/")
    said = response.headers["set-cookie"]
    assert said.startswith('n="";')
    assert "Max-Age=0" in said
    assert "Path=/p/" in said
    assert "HttpOnly" in said
