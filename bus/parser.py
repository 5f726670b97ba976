"""Parses messages from the server without the coroutines and regular expressions of nats-py.

Everything else in the protocol, such as errors and pings, is left to nats-py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from nats.errors import ProtocolError
from nats.protocol.parser import AWAITING_CONTROL_LINE, MAX_CONTROL_LINE_SIZE, Parser

ParsedMessage = tuple[int, bytes, bytes, bytes, bytes]
"""A message: subscription, subject, reply, payload, header block."""

_END: Final = b"\r\n"
_HEADERS: Final = b"HMSG"
_MAX_DIGITS: Final = 9
"""Digits of a number; the size of the largest payload that a server accepts has eight."""
_WORDS: Final = {b"MSG": 5, _HEADERS: 6}
"""Words in the first line of a message with a reply subject; without one there is one fewer."""


class MessageParser(Parser):
    """Parses messages and offers them to `take`; those it returns False for go to `leave`."""

    def __init__(
        self,
        nc: Any,
        take: Callable[[int, bytes, bytes, bytes, bytes], bool],
        leave: Callable[[int, bytes, bytes, bytes, bytes], Awaitable[None]],
    ) -> None:
        self._rest = b""
        self._resets = 0
        self._take = take
        self._leave = leave
        super().__init__(nc)

    def reset(self) -> None:
        """Discard partial input, because a new connection begins."""
        super().reset()
        self._rest = b""
        self._resets += 1

    async def parse(self, data: bytes = b"") -> None:
        """Handle every complete message or line, and keep the rest.

        Raises:
            ProtocolError: a NATS server does not send this.
        """
        data, self._rest = self._rest + data, b""
        resets, begin = self._resets, 0
        while (end := data.find(_END, begin)) >= 0:
            words = data[begin:end].split(b" ")
            after = end + len(_END)
            if words[0] in _WORDS:
                body, after = after, after + _number(words[-1]) + len(_END)
                if after > len(data):
                    break
                if data[after - len(_END) : after] != _END:
                    raise ProtocolError("nats: a message is not as long as its line says")
                message = _message(words, data[body : after - len(_END)])
                if not self._take(*message):
                    await self._leave(*message)
            else:
                await self._parse_rest(data[begin:after])
            if self._resets != resets:
                return  # the rest came from a connection that is gone
            begin = after
        self._rest = data[begin:]
        if end < 0 and len(self._rest) > MAX_CONTROL_LINE_SIZE:
            raise ProtocolError("nats: unknown protocol")

    async def _parse_rest(self, line: bytes) -> None:
        try:
            await super().parse(line)
        except ValueError as error:  # text that is not UTF-8, or an INFO that is not JSON
            raise ProtocolError(f"nats: malformed line: {error}") from error
        if self.buf or self.state != AWAITING_CONTROL_LINE:
            # nats-py waits for more input: it takes any white space after MSG for a separator, and
            # keeps a long line that it does not know.
            raise ProtocolError("nats: unknown protocol")


def _message(words: list[bytes], body: bytes) -> ParsedMessage:
    if len(words) not in {_WORDS[words[0]], _WORDS[words[0]] - 1}:
        raise ProtocolError("nats: malformed message")
    reply = words[3] if len(words) == _WORDS[words[0]] else b""
    start = _number(words[-2]) if words[0] == _HEADERS else 0
    if start > len(body):
        raise ProtocolError("nats: headers longer than their message")
    return _number(words[2]), words[1], reply, body[start:], body[:start]


def _number(word: bytes) -> int:
    if not word.isdigit() or len(word) > _MAX_DIGITS:
        raise ProtocolError("nats: malformed message")
    return int(word)
