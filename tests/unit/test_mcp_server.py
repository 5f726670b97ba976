"""The settings of `mcp_server()`: which fit together, and what is said if they do not."""

from __future__ import annotations

from typing import Any

import pytest

from layby.runtime.duration import InvalidDuration
from layby.runtime.errors import InvalidSetup
from layby.tools.mcp import mcp_server

URL = "https://mcp.test/mcp"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "give either command=[...] or url=..."),
        ({"command": ["uvx"], "url": URL}, "give either command=[...] or url=..."),
        ({"command": "uvx server"}, "command is a list, as in command=['uvx', 'the-server']"),
        ({"command": []}, "command is a list"),
        ({"url": URL, "env": {"A": "b"}}, "env and cwd are for a command, headers for a url"),
        ({"url": URL, "cwd": "/srv"}, "env and cwd are for a command, headers for a url"),
        ({"command": ["uvx"], "headers": {"A": "b"}}, "headers are for a url, env for a command"),
        ({"url": URL, "retries": -1}, "retries=-1: give 0 or more"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidSetup) as refused:
        mcp_server("desk", **options)
    assert str(refused.value).startswith("mcp_server('desk'): ")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "options",
    [
        {"url": URL, "headers": {"Authorization": "Bearer x"}},
        {"url": URL, "env": {}, "retries": 0},
        {"command": ["uvx", "server"], "env": {"A": "b"}, "cwd": "/srv", "headers": {}},
        {"command": ("uvx",), "only": [], "refresh": 0},
    ],
)
def test_settings_that_fit_start_nothing_yet(options: dict[str, Any]) -> None:
    server = mcp_server("desk", **options)
    assert server.name == "desk"
    assert repr(server) == "mcp_server('desk')"  # and no header, no variable


@pytest.mark.parametrize("name", ["", "my desk", "x" * 41, "desk/1"])
def test_a_name_that_models_do_not_take_is_refused(name: str) -> None:
    with pytest.raises(InvalidSetup, match="use 1 to 40 letters, digits, `_` and `-`"):
        mcp_server(name, url=URL)


@pytest.mark.parametrize("option", ["timeout", "refresh"])
def test_a_time_that_is_none_is_refused_at_once(option: str) -> None:
    options: dict[str, Any] = {option: "soon"}
    with pytest.raises(InvalidDuration):
        mcp_server("desk", url=URL, **options)


def test_a_call_cannot_have_no_time_at_all() -> None:
    with pytest.raises(InvalidDuration):
        mcp_server("desk", url=URL, timeout=0)


async def test_a_server_that_was_never_opened_can_be_closed() -> None:
    server = mcp_server("desk", url=URL)
    await server.aclose()
    await server.aclose()
