"""A proxy says who somebody is: only the proxy, only in its header, only one name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest
from starlette.exceptions import HTTPException

from layby.bus.opened import Bus
from layby.client import Client
from layby.console.login import proxy_login
from layby.console.login.proxy_login import ProxyLogin
from layby.console.login.session import Session
from layby.console.options import ConsoleOptions, ProxyOptions
from tests.http_request import request

ROLES = (("carl", ("developer",)), ("dora", ("lead",)), ("dora", ("boss", "lead")), ("eve", ()))


def login(
    *trusted: str, read_only: bool = False, vouched: frozenset[str] | None = None
) -> ProxyLogin:
    proxy = ProxyOptions(
        header="X-User",
        trusted=trusted or ("10.0.0.0/8",),
        operators=frozenset({"ann"}),
        responders=ROLES,
    )
    options = ConsoleOptions(auth="proxy", proxy=proxy, read_only=read_only)
    one = ProxyLogin(cast("Client", None), options, proxy, cast("Bus", None))
    one._vouched = vouched
    return one


async def session(one: ProxyLogin, *names: str, peer: str | None = "10.1.2.3") -> Session:
    found = await one.session(request(headers=[("X-User", each) for each in names], peer=peer))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("trusted", "peer"),
    [
        ("10.0.0.0/8", "10.255.255.255"),
        ("10.0.0.0/8", "::ffff:10.1.2.3"),  # as a socket of both kinds calls an IPv4 address
        ("10.1.2.3", "10.1.2.3"),
        ("fd00::/8", "fd00::1"),
    ],
)
async def test_the_header_counts_if_it_comes_from_the_proxy(trusted: str, peer: str) -> None:
    assert (await session(login(trusted), "carl", peer=peer)).name == "carl"


@pytest.mark.parametrize(
    ("trusted", "peer"),
    [
        ("10.0.0.0/8", "11.0.0.1"),
        ("10.0.0.0/8", "127.0.0.1"),
        ("10.0.0.0/8", "::1"),
        ("10.0.0.0/8", "fd00::1"),
        ("10.0.0.0/8", "::ffff:11.0.0.1"),
        ("10.0.0.0/8", "testclient"),
        ("10.0.0.0/8", ""),
        ("10.0.0.0/8", None),
        ("fd00::/8", "10.1.2.3"),
    ],
)
async def test_the_header_of_anybody_else_counts_for_nothing(
    trusted: str, peer: str | None
) -> None:
    with pytest.raises(HTTPException) as caught:
        await session(login(trusted), "ann", peer=peer)
    assert caught.value.status_code == 403
    assert caught.value.detail == "Only the proxy in front of the console may ask it."


async def test_each_of_several_proxies_counts() -> None:
    one = login("10.0.0.1", "10.0.0.2")
    assert (await session(one, "carl", peer="10.0.0.2")).name == "carl"


@pytest.mark.parametrize(
    "names",
    [[], [""], ["   "], ["ann", "carl"], ["ann", "ann"], ["a\x01b"], ["a\xa0b"], ["a" * 129]],
)
async def test_a_proxy_that_does_not_name_one_person_lets_nobody_in(names: Sequence[str]) -> None:
    with pytest.raises(HTTPException) as caught:
        await session(login(), *names)
    assert caught.value.status_code == 403
    assert caught.value.detail == "The proxy did not say who you are, in X-User."


async def test_a_name_is_taken_without_the_spaces_around_it_and_may_be_long() -> None:
    assert (await session(login(), "  ann \t")).rights.word == "operator"
    assert (await session(login(), "a" * 128)).name == "a" * 128


@pytest.mark.parametrize(
    ("name", "word", "roles"),
    [
        ("ann", "operator", None),
        ("carl", "responder", {"developer"}),
        ("dora", "responder", {"lead", "boss"}),  # both of her lines count
        ("eve", "viewer", set[str]()),
        ("somebody", "viewer", set[str]()),
        ("Ann", "viewer", set[str]()),
    ],
)
async def test_what_somebody_may_do_is_what_the_options_say(
    name: str, word: str, roles: set[str] | None
) -> None:
    rights = (await session(login(), name)).rights
    assert (rights.word, rights.roles) == (word, roles)


@pytest.mark.parametrize(
    ("name", "view"), [("ann", True), ("somebody", True), ("carl", False), ("eve", False)]
)
async def test_who_is_a_responder_sees_the_questions_to_their_roles_alone(
    name: str,
    view: bool,  # noqa: FBT001
) -> None:
    rights = (await session(login(), name)).rights
    assert rights.view is view
    assert rights.sees("developer") is (view or name == "carl")
    assert rights.sees("lead") is view


@pytest.mark.parametrize("name", ["ann", "carl", "somebody"])
async def test_nobody_changes_anything_in_a_console_that_is_read_only(name: str) -> None:
    open_, read_only = await session(login(), name), await session(login(read_only=True), name)
    assert read_only.rights.word == "viewer"
    assert read_only.rights.sees("developer") is open_.rights.sees("developer")
    assert read_only.rights.view is open_.rights.view


async def test_a_person_has_one_session_however_often_they_come() -> None:
    one = login()
    first, other = await session(one, "carl"), await session(one, "ann")
    assert await session(one, "carl") is first
    assert other is not first
    assert other.form_token != first.form_token
    await one.close()
    assert await session(one, "carl") is not first


async def test_whoever_came_least_lately_is_forgotten_when_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(proxy_login, "_MOST", 2)
    one = login()
    first, second = await session(one, "a"), await session(one, "b")
    assert await session(one, "a") is first
    await session(one, "c")
    assert await session(one, "a") is first
    assert await session(one, "b") is not second


async def test_the_console_vouches_for_the_roles_for_which_the_server_lets_it() -> None:
    found = await session(login(vouched=frozenset({"lead"})), "dora")
    assert found.vouched == frozenset({"lead"})
    assert (found.via, found.responder) == ("proxy", None)


async def test_nobody_signs_in_at_the_console_itself() -> None:
    one = login()
    assert await one.enter(request(query="token=x")) is None
    with pytest.raises(HTTPException) as caught:
        one.stranger(request())
    assert caught.value.status_code == 403
