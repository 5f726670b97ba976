"""Questions as CloudEvents, posted to a real web server that may be hostile."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from layby.channels import ChannelError, Undeliverable, webhook
from layby.runtime.errors import InvalidSetup
from layby.testing import check_channel
from tests.cards import approval, card

SECRET = f"whsec_{base64.b64encode(b's' * 32).decode()}"
OLD = f"whsec_{base64.b64encode(b'o' * 32).decode()}"
DOCS = Path(__file__).parents[2] / "docs" / "webhooks.md"


@dataclass
class Request:
    """What was posted."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Receiver:
    """A web server, and how it behaves."""

    url: str = ""
    reply: bytes = b"HTTP/1.1 204 No Content\r\n\r\n"
    hangs: bool = False
    floods: bool = False
    requests: list[Request] = field(default_factory=list[Request])
    left: asyncio.Event = field(default_factory=asyncio.Event)

    def says(self, status: str, *headers: str) -> None:
        lines = [f"HTTP/1.1 {status}", "Content-Length: 0", *headers, "", ""]
        self.reply = "\r\n".join(lines).encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {
                name.lower(): value
                for name, _, value in (line.partition(": ") for line in head[1:])
            }
            body = await reader.readexactly(int(headers["content-length"]))
            self.requests.append(Request(head[0].split()[1], headers, body))
            if self.hangs:
                await reader.read()
            writer.write(self.reply)
            while self.floods:
                writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
                await writer.drain()
        except OSError:
            pass
        finally:
            self.left.set()
            writer.close()


@pytest.fixture
async def receiver(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Receiver]:
    monkeypatch.setenv("LAYBY_WEBHOOK_SECRET", SECRET)
    found = Receiver()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hooks?app=desk"
    async with server:
        yield found


def verified(request: Request, secret: str = SECRET) -> Any:
    """The event, as the receiver in the docs reads it."""
    [block] = [each for each in DOCS.read_text().split("```") if each.startswith("python\nimport")]
    code = block.removeprefix("python\n")
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAYBY_WEBHOOK_SECRET", secret)
        exec(code, names)  # noqa: S102
    return names["event_in"](request.headers, request.body)


async def test_a_question_is_posted_as_a_cloud_event(receiver: Receiver) -> None:
    ref = await webhook(receiver.url).send(approval())
    [request] = receiver.requests
    assert request.path == "/hooks?app=desk"
    assert request.headers["content-type"] == "application/cloudevents+json"
    event = verified(request)
    assert event == request.event
    assert event["specversion"] == "1.0"
    assert event["id"] == request.headers["webhook-id"] == event["data"]["ref"] == ref
    assert event["source"] == "urn:layby:run:3f9a1c07be5522d804aa"
    assert event["type"] == "layby.card.sent"
    assert event["subject"] == "T125"
    assert event["time"] == "2026-11-30T00:53:20.000Z"
    assert event["data"]["card"]["arguments"] == '{"cents": 900}'
    assert event["data"]["card"]["digest"] == "3f9a1c07be55"


async def test_an_event_that_is_posted_again_has_the_same_id(receiver: Receiver) -> None:
    channel, closed = webhook(receiver.url), card(status="answered", by="ada", outcome="ada: yes")
    ref = ""
    for _ in range(2):
        ref = await channel.send(card())
        await channel.update(ref, card(claimed_by="ada"))
        await channel.close(ref, closed)
        await channel.close(ref, card(status="answered", by="ada", run_status="completed"))
    ids = [each.event["id"] for each in receiver.requests]
    assert ids[:4] == ids[4:]
    assert len(set(ids)) == 4
    assert {each.event["data"]["ref"] for each in receiver.requests} == {ref}
    kinds = [each.event["type"] for each in receiver.requests[:4]]
    assert kinds == [f"layby.card.{each}" for each in ("sent", "updated", "closed", "closed")]


async def test_it_keeps_the_rules_of_channels(receiver: Receiver) -> None:
    await check_channel(webhook(receiver.url))


async def test_half_a_character_stops_no_event(receiver: Receiver) -> None:
    await webhook(receiver.url).send(card(text="half \ud83d of it"))
    assert receiver.requests[0].event["data"]["card"]["text"] == "half \ud83d of it"


async def test_a_changed_or_old_request_is_not_believed(receiver: Receiver) -> None:
    await webhook(receiver.url).send(card())
    [request] = receiver.requests
    changed = Request(request.path, request.headers, request.body.replace(b"T125", b"T126"))
    now = int(request.headers["webhook-timestamp"])
    assert abs(now - time.time()) < 60
    for name, value in (
        ("webhook-id", "another"),
        ("webhook-timestamp", str(now - 1)),
        ("webhook-timestamp", str(now - 3_600)),
        ("webhook-signature", f"v2,{request.headers['webhook-signature'][3:]}"),
        ("webhook-signature", ""),
    ):
        other = Request(request.path, {**request.headers, name: value}, request.body)
        with pytest.raises(ValueError, match=r"signed|old"):
            verified(other)
    with pytest.raises(ValueError, match="signed"):
        verified(changed)
    with pytest.raises(ValueError, match="signed"):
        verified(request, OLD)


async def test_a_secret_is_changed_by_signing_with_both(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAYBY_WEBHOOK_SECRET", f"{SECRET} {OLD}")
    await webhook(receiver.url).send(card())
    [request] = receiver.requests
    assert verified(request, OLD) == verified(request, SECRET)


@pytest.mark.parametrize(
    ("status", "headers", "wait"),
    [
        ("429 Too Many Requests", ["Retry-After: 7"], 7.0),
        ("503 Service Unavailable", ["Retry-After: 99999999"], 3_600.0),
        ("503 Service Unavailable", ["Retry-After: -1"], None),
        ("503 Service Unavailable", ["Retry-After: 1e9"], None),
        ("500 Internal Server Error", [], None),
        ("404 Not Found", [], None),
        ("401 Unauthorized", [], None),
    ],
)
async def test_what_is_refused_is_tried_again(
    receiver: Receiver, status: str, headers: list[str], wait: float | None
) -> None:
    receiver.says(status, *headers)
    with pytest.raises(ChannelError, match=status[:3]) as refused:
        await webhook(receiver.url).send(card())
    assert refused.value.retry_after == wait
    assert not isinstance(refused.value, Undeliverable)


async def test_a_receiver_that_says_gone_is_undeliverable(receiver: Receiver) -> None:
    receiver.says("410 Gone")
    with pytest.raises(Undeliverable):
        await webhook(receiver.url).send(card())


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
async def test_a_redirect_leads_nowhere(receiver: Receiver, status: str) -> None:
    """Or whoever has the address could make a worker post inside its network."""
    inside = Receiver()
    server = await asyncio.start_server(inside.serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        receiver.says(status, f"Location: http://127.0.0.1:{port}/admin")
        with pytest.raises(ChannelError, match="redirects are not followed"):
            await webhook(receiver.url).send(card())
    assert inside.requests == []


async def test_a_response_without_end_is_not_read(receiver: Receiver) -> None:
    receiver.reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    receiver.floods = True
    async with asyncio.timeout(30):
        await webhook(receiver.url).send(card())
    await receiver.left.wait()


async def test_a_receiver_that_hangs_is_given_up(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layby.actors.people.channels.webhook._WITHIN", 0.3)
    receiver.hangs = True
    with pytest.raises(ChannelError, match=r"did not answer|cannot be reached"):
        await webhook(receiver.url).send(card())
    await receiver.left.wait()


@pytest.mark.parametrize(
    "reply", [b"", b"HTTP/1.1 ", b"\0\xff\r\n\r\n", b"HTTP/1.1 999999 x\r\n\r\n", b"SSH-2.0\r\n"]
)
async def test_rubbish_is_a_failure_that_is_tried_again(receiver: Receiver, reply: bytes) -> None:
    receiver.reply = reply
    with pytest.raises(ChannelError, match=r"cannot be reached|status"):
        await webhook(receiver.url).send(card())


async def test_a_receiver_that_is_away_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYBY_WEBHOOK_SECRET", SECRET)
    with pytest.raises(ChannelError, match="cannot be reached") as away:
        await webhook("http://127.0.0.1:1/?key=geheim").send(card())
    assert "geheim" not in str(away.value)


async def test_neither_the_address_nor_the_secret_is_logged(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        await webhook(receiver.url).send(card())
        async with httpx2.AsyncClient() as client:
            await client.post(receiver.url.replace("/hooks", "/other"), content=b"{}")
    assert "/other" in caplog.text
    assert "/hooks" not in caplog.text


@pytest.mark.parametrize(
    "value", ["", "geheim", "whsec_geheim", "whsec_", f"whsec_{'!' * 40}", f"{SECRET} geheim"]
)
async def test_an_invalid_secret_counts_as_missing_and_is_not_shown(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("LAYBY_WEBHOOK_SECRET", value)
    channel = webhook(receiver.url)
    assert "LAYBY_WEBHOOK_SECRET" in channel.missing()
    assert "geheim" not in channel.missing()
    with pytest.raises(ChannelError, match="LAYBY_WEBHOOK_SECRET"):
        await channel.send(card())
    assert receiver.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "acme.example",
        "ftp://acme.example",
        "https://",
        "https://u:geheim@acme.example",
        "https://acme.example/#x",
        "https://acme.example/a\r\nX: y",
        "https://acme.example/ä",
        "https://[",
        "https://acme.example:99999",
    ],
)
def test_an_invalid_address_is_refused_where_it_is_declared(url: str) -> None:
    with pytest.raises(InvalidSetup) as refused:
        webhook(url)
    assert "geheim" not in str(refused.value)
