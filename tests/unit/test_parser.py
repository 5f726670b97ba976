from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nats.errors import ProtocolError

from layby.bus.parser import MessageParser
from tests.examples import examples

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


async def test_it_does_not_matter_where_the_stream_is_cut() -> None:
    for cut in range(len(STREAM) + 1):
        client = Recorder()

        await client.parser.parse(STREAM[:cut])
        await client.parser.parse(STREAM[cut:])

        assert client.said == SAID, cut


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
        b"MSG a.b 1 2\r\nabXX",
        b"MSG a.b 1 2\r\nabc\r\n",
        b"MSG a.b " + b"9" * 5_000 + b" 0\r\n\r\n",
        b"MSG a.b 1 " + b"9" * 5_000 + b"\r\n",
        b"MSG a.b 1 99999999999\r\n",
        b"HMSG a.b 1 13 12\r\nNATS/1.0\r\n\r\n\r\n",
        b"INFO {\r\n",
        b"INFO \xff\r\n",
        b"-ERR '\xff'\r\n",
        b"MSG\x0b> 0 0\r\n\r\n",
        b"HMSG\t> 0 12 12\r\nNATS/1.0\r\n\r\n\r\n",
        b"x" * 5_000 + b"\r\n",
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


# -- whatever comes ------------------------------------------------------------------------------


def understood(stream: bytes) -> list[Any]:
    """The messages that `stream` begins with, read in the plainest way."""
    found: list[Any] = []
    while stream:
        line, _, rest = stream.partition(b"\r\n")
        match line.split(b" "):
            case [b"MSG", subject, sid, *reply, size] if len(reply) < 2:
                head = b"0"
            case [b"HMSG", subject, sid, *reply, head, size] if len(reply) < 2:
                pass
            case _:
                stream = rest
                continue
        if not (sid.isdigit() and size.isdigit() and head.isdigit()) or int(head) > int(size):
            break
        total, start = int(size), int(head)
        if rest[total : total + 2] != b"\r\n":
            break
        found.append((int(sid), subject, b"".join(reply), rest[start:total], rest[:start]))
        stream = rest[total + 2 :]
    return found


words = st.text("ab.>\x0b", min_size=1, max_size=5).map(str.encode)
payloads = st.binary(max_size=20) | st.sampled_from([b"\r\n", b"MSG a 1 0\r\n\r\n", b"PING\r\n"])


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """One line of the protocol, with its payload."""
    if draw(st.booleans()):
        return draw(st.sampled_from([b"PING\r\n", b"PONG\r\n", b"+OK\r\n", b"-ERR 'no'\r\n"]))
    sid, reply = draw(st.integers(0, 8)), draw(st.just(b"") | words.map(lambda w: w + b" "))
    data = draw(payloads)
    if draw(st.booleans()):
        return b"MSG %s %d %s%d\r\n%s\r\n" % (draw(words), sid, reply, len(data), data)
    block = b"NATS/1.0\r\n%s\r\n" % draw(st.sampled_from([b"", b"A: b\r\n"]))
    sizes = (len(block), len(block) + len(data))
    return b"HMSG %s %d %s%d %d\r\n%s%s\r\n" % (draw(words), sid, reply, *sizes, block, data)


streams = st.lists(frames(), max_size=6).map(b"".join)
cuts = st.lists(st.integers(0, 300), max_size=6)
quietly = settings(deadline=None, database=None, max_examples=examples(300))


async def heard(stream: bytes, places: list[int]) -> list[Any]:
    """What a client hears of a stream that comes in parts, until it is refused."""
    client = Recorder()
    ends = sorted({0, len(stream), *(place for place in places if place < len(stream))})
    with suppress(ProtocolError):
        for begin, end in pairwise(ends):
            await client.parser.parse(stream[begin:end])
    return [said for said in client.said if isinstance(said, tuple)]


@quietly
@given(streams, cuts)
async def test_all_that_is_sent_is_heard_in_any_parts(stream: bytes, places: list[int]) -> None:
    assert await heard(stream, places) == understood(stream)


@quietly
@given(streams, cuts, st.integers(0, 200), st.binary(max_size=3), st.integers(0, 3))
@example(b"MSG \x0b> 0 0\r\n\r\n", [], 3, b"", 1)
async def test_a_corrupted_stream_yields_nothing_that_was_not_sent(
    stream: bytes, places: list[int], at: int, instead: bytes, less: int
) -> None:
    at = min(at, len(stream))
    spoilt = stream[:at] + instead + stream[at + less :]
    said = await heard(spoilt, places)
    assert said == understood(spoilt)[: len(said)]


@quietly
@given(st.binary(max_size=200), cuts)
async def test_rubbish_is_refused_and_raises_nothing_else(stream: bytes, places: list[int]) -> None:
    assert len(await heard(stream, places)) <= len(understood(stream))
