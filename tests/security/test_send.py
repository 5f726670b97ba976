"""What `layby send` refuses: subjects on which the server or a worker obeys what it is told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from layby.bus.connection import ConnectionSettings
from layby.bus.opened import opened
from layby.bus.server import EmbeddedServer
from layby.client import Client
from layby.client.dispatch import NotATrigger
from tests.fix_layby import APP, Desk

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]

TICKET = '{"ticketId": "T125"}'


@pytest.fixture
def desk(tmp_path: Path, own_server: EmbeddedServer) -> Desk:
    return desk_at(tmp_path, own_server.url)


def desk_at(folder: Path, url: str) -> Desk:
    (folder / "desk.py").write_text(APP)
    made = Desk(folder, url)
    made.json("provision", "desk:app")
    return made


def api(desk: Desk, verb: str, body: Any = None) -> dict[str, Any]:
    async def ask() -> dict[str, Any]:
        async with opened(ConnectionSettings(servers=(desk.url,))) as bus:
            return await bus.requests.api(verb, body)

    return asyncio.run(ask())


OBEYED = [
    "$JS.API.STREAM.DELETE.DEAD",
    "$KV.runs.T1.0123456789abcdef0123",
    "to.0.log.0123456789abcdef0123.1",
    "layby.cancel.0123456789abcdef0123",
    "_INBOX.a.b",
    "developer.response.T125",
]


def test_no_command_of_the_server_and_no_record_is_sent_as_an_event(desk: Desk) -> None:
    before = {name: api(desk, f"STREAM.INFO.{name}")["state"] for name in ("RUNS", "ANSWERS")}
    for subject in OBEYED:
        for words in ((), ("--raw",)):
            failed = desk.json("send", subject, TICKET, *words, code=1)
            assert failed["error"]["type"] == "NotATrigger", failed
            assert subject in failed["error"]["message"]
    assert api(desk, "STREAM.INFO.DEAD")
    for name, state in before.items():
        assert api(desk, f"STREAM.INFO.{name}")["state"] == state


def test_two_words_send_it_after_all(desk: Desk) -> None:
    sent = desk.json("send", "layby.x", TICKET, "--internal", code=2)
    assert "--raw" in sent["error"]["message"]
    sent = desk.json("send", "dead.letters", '{"reason": "no"}', "--raw", "--internal", code=1)
    assert sent["error"]["sent"]["stream"] == "DEAD"


def test_a_stream_of_others_takes_triggers_only(desk: Desk) -> None:
    api(desk, "STREAM.CREATE.CORP", {"name": "CORP", "subjects": ["corp.>"]})
    failed = desk.json("send", "corp.pay.everybody", TICKET, code=1)
    assert failed["error"]["type"] == "NotATrigger"
    assert "--raw" in failed["error"]["advice"]
    assert api(desk, "STREAM.INFO.CORP")["state"]["messages"] == 0
    desk.json("send", "corp.pay.everybody", TICKET, "--raw", code=1)  # stored; no workflow takes it
    assert api(desk, "STREAM.INFO.CORP")["state"]["messages"] == 1


def test_a_program_cannot_be_made_to_send_a_command_either(desk: Desk) -> None:
    async def send() -> None:
        async with Client.connect(ConnectionSettings(servers=(desk.url,))) as client:
            with pytest.raises(NotATrigger, match="the server's own"):
                await client.send("$JS.API.STREAM.DELETE.DEAD", {})

    asyncio.run(send())
    assert api(desk, "STREAM.INFO.DEAD")
