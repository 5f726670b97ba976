"""Takes apart what the server sends, where nats-py spends coroutines and regular expressions on it.

Only messages: errors, pings and whatever else the protocol has stay nats-py's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from nats.errors import ProtocolError
from nats.protocol.parser import MAX_CONTROL_LINE_SIZE, Parser

Taken = tuple[int, bytes, bytes, bytes, bytes]
"""A message: subscription, subject, reply, payload, header block."""

_END: Final = b"\r\n"
_HEADERS: Final = b"HMSG"
_DIGITS: Final = 9
"""Of a number; the largest payload that a server takes has eight."""
_LONGEST: Final = {b"MSG": 5, _HEADERS: 6}
"""Words of a message's line that names a reply; one that names none has one fewer."""


class MessageParser(Parser):
    """Parses messages itself and offers them to `take`, or leaves them when that returns False."""

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
        """Forget what came in part: a new connection begins."""
        super().reset()
        self._rest = b""
        self._resets += 1

    async def parse(self, data: bytes = b"") -> None:
        """Handle what has come as a whole, keep the rest.

        Raises:
            ProtocolError: this is not what a NATS server says.
        """
        data, self._rest = self._rest + data, b""
        resets, begin = self._resets, 0
        while (end := data.find(_END, begin)) >= 0:
            words = data[begin:end].split(b" ")
            after = end + len(_END)
            if words[0] in _LONGEST:
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
                return  # what follows came from a connection that is gone
            begin = after
        self._rest = data[begin:]
        if end < 0 and len(self._rest) > MAX_CONTROL_LINE_SIZE:
            raise ProtocolError("nats: unknown protocol")

    async def _parse_rest(self, line: bytes) -> None:
        try:
            await super().parse(line)
        except ValueError as error:  # text that is no UTF-8, or an INFO that is no JSON
            raise ProtocolError(f"nats: malformed line: {error}") from error


def _message(words: list[bytes], body: bytes) -> Taken:
    if len(words) not in {_LONGEST[words[0]], _LONGEST[words[0]] - 1}:
        raise ProtocolError("nats: malformed message")
    reply = words[3] if len(words) == _LONGEST[words[0]] else b""
    start = _number(words[-2]) if words[0] == _HEADERS else 0
    if start > len(body):
        raise ProtocolError("nats: headers longer than their message")
    return _number(words[2]), words[1], reply, body[start:], body[:start]


def _number(word: bytes) -> int:
    if not word.isdigit() or len(word) > _DIGITS:
        raise ProtocolError("nats: malformed message")
    return int(word)
