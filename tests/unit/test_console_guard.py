"""A session that ends while its response is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from layby.console.console import Console
from layby.console.guard import Guard
from layby.console.login.session import Uses


class Login:
    """Knows one session."""

    def __init__(self) -> None:
        self.one = SimpleNamespace(over=asyncio.Event(), form_token="", uses=Uses())

    async def enter(self, request: Any) -> None:
        del request

    async def session(self, request: Any) -> Any:
        del request
        return self.one


async def sent(response: Any, *, ends_after: int) -> list[Message]:
    """What is sent of a response when the session ends after so many messages."""
    login = Login()
    options = SimpleNamespace(host="127.0.0.1", allow_hosts=(), base_path="")
    console = cast("Console", SimpleNamespace(options=options, login=login, tokens=None))
    messages: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await response(scope, receive, send)

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        messages.append(message)
        if len(messages) == ends_after:
            login.one.over.set()

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/inbox",
        "headers": [(b"host", b"127.0.0.1")],
        "query_string": b"",
    }
    await Guard(app, console)(scope, receive, send)
    return messages


async def test_a_page_that_has_begun_is_sent_whole() -> None:
    messages = await sent(PlainTextResponse("the inbox"), ends_after=1)

    assert [each.get("body") for each in messages[1:]] == [b"the inbox"]


@pytest.mark.timeout(10)
async def test_a_stream_is_cut() -> None:
    async def lines() -> AsyncIterator[bytes]:
        while True:
            yield b"data: 1\n\n"
            await asyncio.sleep(0)

    messages = await sent(StreamingResponse(lines()), ends_after=3)

    assert messages[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    assert len(messages) == 4
