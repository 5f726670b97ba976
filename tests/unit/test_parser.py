from __future__ import annotations

from typing import Any

import pytest
from nats.errors import ProtocolError

from layby.bus.parser import MessageParser

STREAM = (
    b"PING\r\n"
    b"MSG a.b 1 5\r\nhello\r\n"
    b"MSG a.b 2 reply.to 0\r\n\r\n"
    b"HMSG a.b 3 12 17\r\nNATS/1.0\r\n\r\nhello\r\n"
    b"HMSG a\x0bb 4 reply.to 22 22\r\nNATS/1.0\r\nA: b MSG\r\n\r\n\r\n"
    b"PONG\r\n"
    b"MSG other 9 14\r\nMSG a.b 1 5\r\n!\r\n"
    b"-ERR 'Permissions Violation'\r\n"
    b"MSG a.b 1 2\r\n\r\n\r\n"
)
SAID = [
    "ping",
    (1, b"a.b", b"", b"hello", b""),
    (2, b"a.b", b"reply.to", b"", b""),
    (3, b"a.b", b"", b"hello", b"NATS/1.0\r\n\r\n"),
    (4, b"a\x0bb", b"reply.to", b"", b"NATS/1.0\r\nA: b MSG\r\n\r\n"),
    "pong",
    ("left", 9, b"other", b"", b"MSG a.b 1 5\r\n!", b""),
    "'permissions violation'",
    (1, b"a.b", b"", b"\r\n", b""),
]


class Recorder:
    """The client, as its parser knows it."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.parser = MessageParser(self, self.take, self.leave)

    def take(self, sid: int, *message: bytes) -> bool:
        if sid != 9:
            self.said.append((sid, *message))
        return sid != 9

    async def leave(self, *message: Any) -> None:
        self.said.append(("left", *message))

    async def _process_ping(self) -> None:
        self.said.append("ping")

    async def _process_pong(self) -> None:
        self.said.append("pong")

    async def _process_err(self, text: str) -> None:
        self.said.append(text)
        if "stale" in text:
            self.parser.reset()


@pytest.mark.parametrize("cut", range(len(STREAM) + 1))
async def test_it_does_not_matter_where_the_stream_is_cut(cut: int) -> None:
    client = Recorder()

    await client.parser.parse(STREAM[:cut])
    await client.parser.parse(STREAM[cut:])

    assert client.said == SAID


async def test_a_stream_may_come_byte_by_byte() -> None:
    client = Recorder()

    for place in range(len(STREAM)):
        await client.parser.parse(STREAM[place : place + 1])

    assert client.said == SAID


@pytest.mark.parametrize(
    "line",
    [
        b"MSG a.b 1\r\nx\r\n",
        b"MSG a.b 1 x\r\n",
        b"MSG a.b x 0\r\n\r\n",
        b"MSG a.b 1 -1\r\n",
        b"MSG a.b 1 b c 0\r\n\r\n",
        b"HMSG a.b 1 12\r\nNATS/1.0\r\n\r\n\r\n",
        b"HELLO\r\n",
        b"\r\n",
        b"x" * 5_000,
    ],
)
async def test_what_no_server_says_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        await Recorder().parser.parse(line)


async def test_nothing_of_a_connection_that_is_gone_is_kept() -> None:
    client = Recorder()

    await client.parser.parse(b"-ERR 'Stale Connection'\r\nMSG a.b 1 5\r\nhel")
    await client.parser.parse(b"PING\r\n")

    assert client.said == ["'stale connection'", "ping"]
