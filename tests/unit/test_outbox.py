"""What adapters say that they send: the body of a request, without logins."""

from __future__ import annotations

import asyncio
from typing import Any

from layby.actors.models.outbox import Outbox, opened, put

SECRET = "hunter2"  # noqa: S105


def kept(**arguments: Any) -> dict[str, Any]:
    """What is kept of a request."""
    outbox = Outbox()
    with opened(outbox):
        put("anthropic", arguments)
    assert outbox.form == "anthropic"
    return dict(outbox.body)


def test_headers_and_what_is_no_part_of_the_body_are_left_out() -> None:
    found = kept(
        model="m",
        extra_headers={"x-key": SECRET},
        extra_query={"key": SECRET},
        timeout=3,
        extra_body={"foo": 1},
    )
    assert found == {"model": "m", "foo": 1}


def test_logins_of_servers_that_the_provider_connects_to_are_masked() -> None:
    found = kept(
        mcp_servers=[{"url": "http://files", "authorization_token": SECRET}],
        tools=[
            {"type": "mcp", "headers": {"Authorization": SECRET}, "authorization": SECRET},
            {"name": "log_in", "input_schema": {"properties": {"password": {"type": "string"}}}},
            {"type": "function", "function": {"name": "f", "parameters": {"token": {"a": 1}}}},
        ],
    )
    assert SECRET not in str(found)
    assert found["mcp_servers"][0]["url"] == "http://files"
    assert found["tools"][1]["input_schema"] == {"properties": {"password": {"type": "string"}}}
    assert found["tools"][2]["function"]["parameters"] == {"token": {"a": 1}}


def test_what_is_said_is_never_changed() -> None:
    said: Any = [{"role": "user", "content": [{"type": "x", "password": "a word", "headers": {}}]}]
    assert kept(messages=said, system=[{"token": "t"}]) == {
        "messages": said,
        "system": [{"token": "t"}],
    }


def test_the_newest_request_counts() -> None:
    outbox = Outbox()
    with opened(outbox):
        put("anthropic", {"model": "first"})
        put("openai", {"model": "second"})
    assert (outbox.form, outbox.body) == ("openai", {"model": "second"})


def test_nobody_listens_outside_of_a_request() -> None:
    outbox = Outbox()
    with opened(outbox):
        pass
    put("anthropic", {"model": "m"})
    with opened(None):
        put("anthropic", {"model": "m"})
    assert outbox.form == ""


async def test_parallel_requests_do_not_mix() -> None:
    """A model may send from a task of its own, as one with a time limit does."""

    async def send(name: str) -> Outbox:
        outbox = Outbox()
        with opened(outbox):
            await asyncio.sleep(0)
            await asyncio.create_task(say(name))
        return outbox

    async def say(name: str) -> None:
        await asyncio.sleep(0)
        put("anthropic", {"model": name})

    boxes = await asyncio.gather(*(send(str(n)) for n in range(5)))
    assert [box.body["model"] for box in boxes] == ["0", "1", "2", "3", "4"]
