"""A server on loopback that speaks Slack's Web API and Socket Mode to the real SDK.

It runs in a thread, over real HTTP and real websockets, so that this process and others can use it:
`fake_slack.url` is the base URL. It keeps Slack's rules: tokens, escaping, limits of Block Kit,
metadata that only who asks for it gets, addresses of sockets that are good for one connection.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from .slack_rules import Block, buttons_of, plain_texts, wrong_with_message, wrong_with_view

BOT_TOKEN = "xoxb-1-not-a-secret"  # noqa: S105
APP_TOKEN = "xapp-1-not-a-secret"  # noqa: S105
TEAM, BOT_USER, BOT = "T0ACME", "U0LAYBY", "B0LAYBY"
ONCALL = "C0ONCALL"

_Handler = Callable[[Block], Awaitable[Block]]


@dataclass
class Posted:
    """A message in a channel."""

    channel: str
    ts: str
    text: str
    blocks: list[Block]
    user: str = BOT_USER
    bot_id: str = BOT
    metadata: Block = field(default_factory=dict[str, Any])
    thread_ts: str = ""
    broadcast: bool = False
    edits: int = 0

    @property
    def words(self) -> str:
        """What people read."""
        return plain_texts(self.blocks) or self.text

    @property
    def labels(self) -> list[str]:
        """The buttons that people see."""
        return [each["text"]["text"] for each in buttons_of(self.blocks)]

    def button(self, label: str) -> Block:
        """One of its buttons."""
        [found] = [each for each in buttons_of(self.blocks) if each["text"]["text"] == label]
        return found


@dataclass
class Fault:
    """What goes wrong with one request."""

    status: int = 200
    error: str = ""
    retry_after: str = ""
    hang: bool = False
    lost: bool = False
    """It is done, and the response never arrives."""
    body: str | None = None
    answer: Any = None
    """Sent instead of what the method returns."""


class FakeSlack:
    """One workspace, as far as it is used."""

    def __init__(self) -> None:
        self.url = ""
        self.messages: list[Posted] = []
        self.whispers: list[Block] = []
        """What single people were told."""
        self.views: list[Block] = []
        """The forms that were opened, newest last."""
        self.requests: list[tuple[str, Block]] = []
        self.refused: list[str] = []
        """Why messages and forms were refused: not one of these should be sent."""
        self.channels = {ONCALL: "oncall", "C0RANDOM": "random"}
        self.page = 200
        self.sockets: list[web.WebSocketResponse] = []
        self.connections = 0
        self.acks: dict[str, Block] = {}
        self._faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._together: dict[str, asyncio.Barrier] = {}
        self._ids = itertools.count(1)
        self._addresses: set[str] = set()
        self._loop = asyncio.new_event_loop()
        self._held = asyncio.Event()
        self._connected = asyncio.Event()

    # What a test does

    def fail(self, method: str, **fault: Any) -> None:
        """Let the next request of a method fail."""
        self._faults[method].append(Fault(**fault))

    def together(self, method: str, count: int) -> None:
        """Let so many requests of a method wait for one another."""
        self._together[method] = asyncio.Barrier(count)

    def calls(self, method: str) -> list[Block]:
        """The requests of a method."""
        return [fields for name, fields in self.requests if name == method]

    def cards(self, channel: str = ONCALL) -> list[Posted]:
        """The messages of a channel that are not below others."""
        return [m for m in self.messages if m.channel == channel and not m.thread_ts]

    def replies(self, card: Posted) -> list[Posted]:
        """The messages below one."""
        return [m for m in self.messages if m.thread_ts == card.ts]

    def told(self, user: str) -> list[str]:
        """What one person was told."""
        return [each["text"] for each in self.whispers if each["user"] == user]

    def write(self, text: str, *, below: Posted | None = None, **fields: Any) -> Posted:
        """Somebody else posts a message, without an event."""
        given: Block = {"channel": ONCALL, "user": "U0EVE", "bot_id": "", "blocks": []}
        thread = below.ts if below else ""
        message = Posted(ts=self._ts(), text=text, thread_ts=thread, **{**given, **fields})
        self.messages.append(message)
        return message

    async def press(
        self, user: str, card: Posted, label: str, *, copies: int = 1, **changes: Any
    ) -> Block:
        """Somebody presses a button; returns what Slack got back."""
        button = card.button(label)
        return await self.act(user, card, button["action_id"], button["value"], copies, **changes)

    async def act(
        self,
        user: str,
        card: Posted,
        action: str,
        value: str,
        copies: int = 1,
        *,
        team: str = TEAM,
    ) -> Block:
        """Somebody presses a button with any value."""
        payload = {
            "type": "block_actions",
            "user": {"id": user, "username": "x", "team_id": team},
            "team": {"id": TEAM, "domain": "acme"},
            "channel": {"id": card.channel, "name": "x"},
            "container": {"type": "message", "message_ts": card.ts, "channel_id": card.channel},
            "trigger_id": f"trigger.{next(self._ids)}",
            "message": {"ts": card.ts, "text": card.text},
            "actions": [{"type": "button", "action_id": action, "value": _escaped(value)}],
        }
        return await self.deliver("interactive", payload, copies)

    async def submit(
        self, user: str, view: Block, entries: dict[str, str], *, team: str = TEAM
    ) -> Block:
        """Somebody sends a form; `entries` by label: a text, or the label of an option."""
        values = {
            block["block_id"]: {
                "entry": _entry(block["element"], entries.get(block["label"]["text"]))
            }
            for block in view["blocks"]
            if block["type"] == "input"
        }
        payload = {
            "type": "view_submission",
            "user": {"id": user, "username": "x", "team_id": team},
            "team": {"id": TEAM, "domain": "acme"},
            "view": {**view, "id": "V1", "state": {"values": values}},
        }
        return await self.deliver("interactive", payload)

    async def reply(self, user: str, card: Posted, text: str, **fields: Any) -> Block:
        """Somebody writes below a message."""
        event = {
            "type": "message",
            "user": user,
            "text": text,
            "channel": card.channel,
            "team": TEAM,
            "ts": self._ts(),
            "thread_ts": card.ts,
            "parent_user_id": card.user,
            **fields,
        }
        payload = {"type": "event_callback", "team_id": TEAM, "event": event, "event_id": "Ev1"}
        return await self.deliver("events_api", payload)

    async def deliver(self, kind: str, payload: Block, copies: int = 1) -> Block:
        """Send an envelope to a connection; returns the acknowledgement of the first copy."""
        envelope = f"envelope-{next(self._ids)}"
        message = {
            "type": kind,
            "envelope_id": envelope,
            "payload": payload,
            "accepts_response_payload": True,
        }
        begun = time.monotonic()
        await self._in_loop(self._send(message, copies))
        while envelope not in self.acks:
            assert time.monotonic() - begun < 10, f"not acknowledged: {payload}"
            await asyncio.sleep(0.005)
        assert time.monotonic() - begun < 3, "acknowledged too late"
        return self.acks[envelope]

    async def drop(self, *, politely: bool = False) -> None:
        """End all connections: as Slack does when it moves them, or just so."""
        await self._in_loop(self._drop(politely=politely))

    async def _in_loop(self, work: Any) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return await asyncio.wrap_future(future)

    async def _send(self, message: Block, copies: int) -> None:
        await self._connected.wait()
        for _ in range(copies):
            await self.sockets[-1].send_str(json.dumps(message))

    async def _drop(self, *, politely: bool) -> None:
        for socket in list(self.sockets):
            if politely:
                await socket.send_str('{"type": "disconnect", "reason": "refresh_requested"}')
            else:
                await socket.close()

    # The server

    def run(self, started: threading.Event) -> None:
        """Serve until stopped."""
        asyncio.set_event_loop(self._loop)
        app = web.Application()
        app.router.add_route("*", "/api/{method}", self._request)
        app.router.add_get("/socket/{address}", self._socket)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self._loop.run_until_complete(site.start())
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/api/"
        started.set()
        self._loop.run_forever()
        self._held.set()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    def stop(self) -> None:
        """End the server."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _request(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        fields = await _fields(request)
        self.requests.append((method, fields))
        if method in self._together:
            await self._together[method].wait()
            self._together.pop(method, None)
        fault = self._faults[method].popleft() if self._faults[method] else Fault()
        if fault.hang:
            await self._held.wait()
        if fault.body is not None:
            return web.Response(status=fault.status, text=fault.body, content_type="text/html")
        if fault.answer is not None:
            return web.json_response(fault.answer)
        if fault.error or fault.status != 200:
            headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
            body = {"ok": False, "error": fault.error}
            return web.json_response(body, status=fault.status, headers=headers)
        found = await self._answered(method, fields, request.headers.get("Authorization", ""))
        if fault.lost:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(found)

    async def _answered(self, method: str, fields: Block, authorization: str) -> Block:
        token = authorization.removeprefix("Bearer ")
        if token != (APP_TOKEN if method == "apps.connections.open" else BOT_TOKEN):
            return {"ok": False, "error": "invalid_auth"}
        handlers: dict[str, _Handler] = {
            "auth.test": self._auth_test,
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "chat.delete": self._delete,
            "chat.postEphemeral": self._whisper,
            "views.open": self._open,
            "conversations.history": self._history,
            "conversations.replies": self._replies,
            "conversations.list": self._list,
            "apps.connections.open": self._connect,
        }
        return {"ok": True, **await handlers[method](fields)}

    async def _auth_test(self, _: Block) -> Block:
        return {"team_id": TEAM, "user_id": BOT_USER, "bot_id": BOT, "team": "Acme", "url": "x"}

    async def _post(self, fields: Block) -> Block:
        if wrong := self._wrong(fields):
            return wrong
        message = Posted(
            channel=fields["channel"],
            ts=self._ts(),
            text=fields["text"],
            blocks=fields["blocks"],
            metadata=fields.get("metadata", {}),
            thread_ts=fields.get("thread_ts", ""),
            broadcast=fields.get("reply_broadcast", False),
        )
        assert fields["unfurl_links"] is False
        self.messages.append(message)
        return {"channel": message.channel, "ts": message.ts}

    async def _update(self, fields: Block) -> Block:
        if wrong := self._wrong(fields):
            return wrong
        for each in self.messages:
            if (each.channel, each.ts) == (fields["channel"], fields["ts"]):
                each.text, each.blocks = fields["text"], fields["blocks"]
                each.edits += 1
                return {"channel": each.channel, "ts": each.ts}
        return {"ok": False, "error": "message_not_found"}

    async def _delete(self, fields: Block) -> Block:
        kept = [m for m in self.messages if (m.channel, m.ts) != (fields["channel"], fields["ts"])]
        gone = len(kept) < len(self.messages)
        self.messages[:] = kept
        return {} if gone else {"ok": False, "error": "message_not_found"}

    def _wrong(self, fields: Block) -> Block:
        if fields["channel"] not in self.channels:
            return {"ok": False, "error": "channel_not_found"}
        wrong = wrong_with_message(fields)
        self.refused += wrong
        return {"ok": False, "error": "invalid_blocks"} if wrong else {}

    async def _whisper(self, fields: Block) -> Block:
        self.refused += wrong_with_message(fields)
        self.whispers.append(fields)
        return {"message_ts": self._ts()}

    async def _open(self, fields: Block) -> Block:
        self.refused += wrong_with_view(fields["view"])
        self.views.append(fields["view"])
        return {"view": {"id": "V1"}}

    async def _history(self, fields: Block) -> Block:
        seen = [
            each
            for each in self.messages
            if each.channel == fields["channel"] and (not each.thread_ts or each.broadcast)
        ]
        return self._shown(seen[::-1], fields)

    async def _replies(self, fields: Block) -> Block:
        thread = [
            each
            for each in self.messages
            if each.channel == fields["channel"] and fields["ts"] in {each.ts, each.thread_ts}
        ]
        if not thread:
            return {"ok": False, "error": "thread_not_found"}
        return self._shown(thread, fields)

    def _shown(self, messages: list[Posted], fields: Block) -> Block:
        first = fields.get("ts")
        oldest = float(fields.get("oldest", 0))
        messages = [m for m in messages if float(m.ts) >= oldest or m.ts == first]
        at = int(fields.get("cursor") or 0)
        size = min(int(fields["limit"]), self.page)
        with_metadata = fields.get("include_all_metadata") in {"true", "1"}
        more = {"next_cursor": str(at + size)} if at + size < len(messages) else {}
        shown = [_shown(each, with_metadata=with_metadata) for each in messages[at : at + size]]
        return {"messages": shown, "response_metadata": more}

    async def _list(self, fields: Block) -> Block:
        everything = [{"id": key, "name": name} for key, name in self.channels.items()]
        at = int(fields.get("cursor") or 0)
        more = {"next_cursor": str(at + 1)} if at + 1 < len(everything) else {}
        return {"channels": everything[at : at + 1], "response_metadata": more}

    async def _connect(self, _: Block) -> Block:
        address = f"ticket-{next(self._ids)}"
        self._addresses.add(address)
        base = self.url.replace("http://", "ws://").removesuffix("api/")
        return {"url": f"{base}socket/{address}"}

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        address = request.match_info["address"]
        if address not in self._addresses:
            return web.Response(status=403)
        self._addresses.remove(address)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        self.sockets.append(socket)
        self._connected.set()
        await socket.send_str('{"type": "hello", "num_connections": 1}')
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    found = json.loads(message.data)
                    self.acks.setdefault(found["envelope_id"], found.get("payload") or {})
        finally:
            self.sockets.remove(socket)
            if not self.sockets:
                self._connected.clear()
        return socket

    def _ts(self) -> str:
        return f"{time.time():.3f}{next(self._ids) % 1000:03d}"


async def _fields(request: web.Request) -> Block:
    if request.content_type == "application/json":
        found: Block = await request.json()
        return found
    return {**request.query, **await request.post()}


def _shown(message: Posted, *, with_metadata: bool) -> Block:
    about = {"user": message.user, **({"bot_id": message.bot_id} if message.bot_id else {})}
    thread = {"thread_ts": message.thread_ts} if message.thread_ts else {}
    metadata = {"metadata": message.metadata} if with_metadata and message.metadata else {}
    return {
        "type": "message",
        "ts": message.ts,
        "text": message.text,
        **about,
        **thread,
        **metadata,
    }


def _entry(element: Block, entered: str | None) -> Block:
    if element["type"] != "static_select":
        return {"type": element["type"], "value": entered}
    chosen = [each for each in element["options"] if each["text"]["text"] == entered]
    return {"type": element["type"], "selected_option": chosen[0] if chosen else None}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@contextmanager
def workspace() -> Generator[FakeSlack]:
    """A workspace that is there while the block is open."""
    slack = FakeSlack()
    started = threading.Event()
    thread = threading.Thread(target=slack.run, args=(started,), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield slack
    finally:
        slack.stop()
        thread.join(10)


@pytest.fixture
def fake_slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlack]:
    """A workspace, with the tokens for it in the environment."""
    monkeypatch.setenv("SLACK_BOT_TOKEN", BOT_TOKEN)
    monkeypatch.setenv("SLACK_APP_TOKEN", APP_TOKEN)
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)  # the SDK would ask it for loopback too
    with workspace() as slack:
        yield slack
    assert slack.refused == []
