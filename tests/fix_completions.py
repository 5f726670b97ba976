"""A server on loopback that speaks OpenAI's Chat Completions API from a script.

It runs in a thread, over real HTTP and server-sent events, so that the real SDK can talk to it from
this process or another: give it `completions_api.url` as base URL.
"""

from __future__ import annotations

import importlib
import json
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

Delta = dict[str, Any]


def call(
    name: str, arguments: Mapping[str, Any] | str | None = None, **more: Any
) -> dict[str, Any]:
    """A tool call as the API sends it; its id defaults to `call_<name>`."""
    written = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    function = {"name": name, "arguments": written}
    return {"id": f"call_{name}", "type": "function", "function": function, **more}


@dataclass(kw_only=True)
class Reply:
    """One response: text and calls as a stream, or with a `status` the `body` of an error."""

    text: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    refusal: str = ""
    finish: str | None = None
    """Default: `tool_calls` if there are calls, else `stop`."""
    usage: dict[str, Any] | None = None
    """Default: 10 tokens in, 20 out; `{}`: the server tells nothing."""
    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    cut: str | None = None
    """Ends the stream before it is done: `hard` breaks the connection, `soft` ends the response
    properly, `error` sends an error as a chunk."""
    items: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """Of the Responses API: items before the text, thoughts for instance."""
    phase: str = ""
    """Of the Responses API: what the text is."""
    until: threading.Event | None = None
    """Holds the stream after its first event until this is set."""


@dataclass(frozen=True)
class Request:
    """One request as it came in."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class CompletionsApi:
    """The script, and the requests so far. Replies are used up in order."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[Request] = []
        self.replies: deque[Reply] = deque()

    @property
    def last(self) -> dict[str, Any]:
        """The body of the newest request."""
        return self.requests[-1].body

    def reply(self, text: str = "", *calls: dict[str, Any], **options: Any) -> None:
        """Script one response."""
        self.replies.append(Reply(text=text, calls=list(calls), **options))

    def fail(
        self, status: int, message: str = "no", *, code: str | None = None, **headers: str
    ) -> None:
        """Script an error as the API writes it; `retry_after="3"` becomes a header."""
        body = {"error": {"message": message, "type": "api_error", "param": None, "code": code}}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.replies.append(Reply(status=status, body=body, headers=named))

    def answer(self, request: Request) -> Reply:
        """The reply to a request."""
        self.requests.append(request)
        if self.replies:
            return self.replies.popleft()
        return Reply(status=400, body={"error": {"message": "the test's script is at its end"}})


@pytest.fixture
def completions_api() -> Iterator[CompletionsApi]:
    """A server of its own for one test."""
    # On a busy machine it takes seconds, which are not the test's.
    importlib.import_module("openai.resources.chat")
    with serving(Handler) as api:
        yield api


@contextmanager
def serving(handler: type[Handler]) -> Generator[CompletionsApi]:
    """A server that writes its replies as `handler` does."""
    with _Server(("127.0.0.1", 0), handler) as server:
        api = CompletionsApi(f"http://127.0.0.1:{server.server_port}/v1")
        server.api = api
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield api
        server.shutdown()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    api: CompletionsApi

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # the client went away: so be it
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
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

    def events(self, model: str, reply: Reply) -> Iterator[str]:
        """What is streamed."""
        for chunk in _chunks(model, reply):
            yield f"data: {json.dumps(chunk)}\n\n"
        if reply.cut is None:
            yield "data: [DONE]\n\n"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""

    def _head(self, reply: Reply, **headers: str) -> None:
        self.send_response(reply.status)
        for name, value in {"x-request-id": "req_test", **headers, **reply.headers}.items():
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
        for number, event in enumerate(self.events(request.body["model"], reply)):
            self._send(event)
            if number == 0 and reply.until is not None:
                reply.until.wait(20)
        if reply.cut != "hard":
            self.wfile.write(b"0\r\n\r\n")

    def _send(self, event: str) -> None:
        data = event.encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def _chunks(model: str, reply: Reply) -> Iterator[dict[str, Any]]:
    frame = {"id": "cmpl_test", "object": "chat.completion.chunk", "created": 1, "model": model}

    def chunk(delta: Delta, finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {**frame, "choices": [choice], "usage": None}

    yield chunk({"role": "assistant", "content": ""})
    for piece in pieces(reply.text):
        yield chunk({"content": piece})
    for piece in pieces(reply.refusal):
        yield chunk({"refusal": piece})
    for number, whole in enumerate(reply.calls):
        for delta in _call_deltas({"index": number, **whole}):
            yield chunk({"tool_calls": [delta]})
    if reply.cut == "error":
        yield {"error": {"message": "The server had an error", "type": "server_error"}}
    if reply.cut is None:
        yield chunk({}, reply.finish or ("tool_calls" if reply.calls else "stop"))
        usage = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}
        if reply.usage != {}:
            yield {**frame, "choices": [], "usage": {**usage, **(reply.usage or {})}}


def _call_deltas(whole: dict[str, Any]) -> Iterator[Delta]:
    """A call as the API streams it: its name first, then the arguments in pieces."""
    function = whole["function"]
    yield {**whole, "function": {**function, "arguments": ""}}
    for piece in pieces(function["arguments"]):
        yield {"index": whole["index"], "function": {"arguments": piece}}


def pieces(whole: str) -> list[str]:
    """A text as it is streamed."""
    return [whole[at : at + 5] for at in range(0, len(whole), 5)]
