"""A server on loopback that speaks Anthropic's Messages API from a script.

It runs in a thread, over real HTTP and server-sent events, so that the real SDK can talk to it from
this process or another: give it `messages_api.url` as base URL.
"""

from __future__ import annotations

import importlib
import json
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

Block = dict[str, Any]


def text(said: str) -> Block:
    """A text block."""
    return {"type": "text", "text": said}


def call(name: str, arguments: Mapping[str, Any] | None = None, *, id: str = "") -> Block:  # noqa: A002
    """A tool-use block; its id defaults to `toolu_<name>`."""
    return {"type": "tool_use", "id": id or f"toolu_{name}", "name": name, "input": arguments or {}}


@dataclass(kw_only=True)
class Reply:
    """One response: blocks as a stream, or with a `status` of its own the `body` of an error."""

    blocks: list[Block] = field(default_factory=list[Block])
    stop: str | None = None
    """Default: `tool_use` if a block is one, else `end_turn`."""
    details: dict[str, Any] | None = None
    usage: dict[str, int] = field(default_factory=dict[str, int])
    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    cut: str | None = None
    """Ends the stream before the last block is done: `hard` breaks the connection, `soft` ends the
    response properly, `error` sends the API's own error event."""
    until: threading.Event | None = None
    """Holds the stream after its first event until this is set."""


@dataclass(frozen=True)
class Request:
    """One request as it came in."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class MessagesApi:
    """The script, and the requests so far. Replies are used up in order."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[Request] = []
        self.replies: deque[Reply] = deque()
        self.decide: Callable[[Request], Reply | None] | None = None
        """Asked first, if set; None leaves the reply to the script. It runs in another thread."""

    @property
    def last(self) -> dict[str, Any]:
        """The body of the newest request."""
        return self.requests[-1].body

    def reply(self, *blocks: Block | str, **options: Any) -> None:
        """Script one response of blocks; a string is a text block."""
        written = [text(block) if isinstance(block, str) else block for block in blocks]
        self.replies.append(Reply(blocks=written, **options))

    def fail(self, status: int, kind: str, message: str = "no", **headers: str) -> None:
        """Script an error as the API writes it; `retry_after="3"` becomes a header."""
        body = {"type": "error", "error": {"type": kind, "message": message}}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.replies.append(Reply(status=status, body=body, headers=named))

    def answer(self, request: Request) -> Reply:
        """The reply to a request."""
        self.requests.append(request)
        decided = self.decide(request) if self.decide else None
        if decided is not None:
            return decided
        if self.replies:
            return self.replies.popleft()
        error = {"type": "invalid_request_error", "message": "the test's script is at its end"}
        return Reply(status=400, body={"type": "error", "error": error})


@pytest.fixture
def messages_api() -> Iterator[MessagesApi]:
    """A server of its own for one test."""
    # On a busy machine it takes seconds, which are not the test's.
    importlib.import_module("anthropic.resources.messages")
    with _Server(("127.0.0.1", 0), _Handler) as server:
        api = MessagesApi(f"http://127.0.0.1:{server.server_port}")
        server.api = api
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield api
        server.shutdown()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    api: MessagesApi

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # the client went away: so be it
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.path, headers, json.loads(self.rfile.read(length)))
        assert isinstance(self.server, _Server)
        reply = self.server.api.answer(request)
        if reply.body is not None:
            self._send_body(reply)
        else:
            self._send_stream(request, reply)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""

    def _head(self, reply: Reply, **headers: str) -> None:
        self.send_response(reply.status)
        for name, value in {"request-id": "req_test", **headers, **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("connection", "close")
        self.end_headers()

    def _send_body(self, reply: Reply) -> None:
        body = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
        self._head(reply, **{"content-type": "application/json", "content-length": str(len(body))})
        self.wfile.write(body.encode())

    def _send_stream(self, request: Request, reply: Reply) -> None:
        stream = {"content-type": "text/event-stream", "transfer-encoding": "chunked"}
        self._head(reply, **stream)
        for number, event in enumerate(_events(request.body["model"], reply)):
            data = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            if number == 0 and reply.until is not None:
                reply.until.wait(20)
        if reply.cut != "hard":
            self.wfile.write(b"0\r\n\r\n")


def _events(model: str, reply: Reply) -> Iterator[dict[str, Any]]:
    usage = {"input_tokens": 10, "output_tokens": 1, **reply.usage}
    message: Block = {
        "id": "msg_test", "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": usage,
    }  # fmt: skip
    yield {"type": "message_start", "message": message}
    yield {"type": "ping"}
    for index, block in enumerate(reply.blocks):
        yield from _block_events(index, block)
        if reply.cut is None or index + 1 < len(reply.blocks):
            yield {"type": "content_block_stop", "index": index}
    if reply.cut == "error":
        yield {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    if reply.cut is None:
        called = any(block["type"] == "tool_use" for block in reply.blocks)
        stop = reply.stop or ("tool_use" if called else "end_turn")
        delta = {"stop_reason": stop, "stop_sequence": None, "stop_details": reply.details}
        yield {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 20}}
        yield {"type": "message_stop"}


def _block_events(index: int, block: Block) -> Iterator[dict[str, Any]]:
    """A block as the API streams it: empty at first, then in pieces of five characters."""
    empty: Block
    match block["type"]:
        case "text":
            empty, pieces = {**block, "text": ""}, _pieces("text_delta", "text", block["text"])
        case "thinking":
            empty = {**block, "thinking": "", "signature": ""}
            pieces = _pieces("thinking_delta", "thinking", block["thinking"])
            if block["signature"]:
                pieces += [{"type": "signature_delta", "signature": block["signature"]}]
        case "tool_use":
            arguments = block["input"]  # a string is sent as it is: JSON cut short, say
            written = arguments if isinstance(arguments, str) else json.dumps(arguments)
            empty = {**block, "input": {}}
            pieces = _pieces("input_json_delta", "partial_json", written)
        case _:
            empty, pieces = block, []
    yield {"type": "content_block_start", "index": index, "content_block": empty}
    for piece in pieces:
        yield {"type": "content_block_delta", "index": index, "delta": piece}


def _pieces(kind: str, key: str, whole: str) -> list[dict[str, Any]]:
    return [{"type": kind, key: whole[at : at + 5]} for at in range(0, len(whole), 5)]
