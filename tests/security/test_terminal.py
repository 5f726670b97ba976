"""What strangers wrote, on the screen of whoever looks: every control and format character through
every command, and not one of them comes out as it is."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import msgspec
import pytest

from layby.bus.connection import ConnectionSettings
from layby.bus.dead import DeadLetter
from layby.bus.opened import opened
from layby.bus.server import EmbeddedServer
from layby.cli.entry import run
from layby.cli.process.handshake import DEV
from layby.client import Client
from layby.runtime.index import IndexRow
from layby.runtime.untrusted_text import safe
from tests.fix_layby import ROOT, Desk

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]

HOSTILE = "".join(
    char
    for char in map(chr, range(sys.maxunicode + 1))
    if unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp")
    or "VARIATION SELECTOR" in unicodedata.name(char, "")
)
TICKETS = [HOSTILE[at : at + 199] + "x" for at in range(0, len(HOSTILE), 199)]
PLANTED = "0123456789abcdef0123"

APP = """
from __future__ import annotations

from typing import Any

from layby import App, Step

app = App("desk", retry=None)


@app.workflow(on="desk.opened", key="ticket")
async def handle(event: dict[str, Any], step: Step) -> str:
    text = event["text"]
    if event["does"] == "fail":
        async def fail() -> None:
            raise ValueError(text)

        await step.run(f"step {text[:40]}", fail)
    said = await step.ask("developer", text, context=text, timeout="1h")
    if event["does"] == "again":
        await step.ask("developer", text, timeout="1h")
    return said.text + text
"""


class Screen:
    """The commands, in this process, and all that they print."""

    def __init__(self, desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
        self.desk = desk
        self._capfd = capfd

    def __call__(self, *words: str, codes: tuple[int, ...] = (0,)) -> str:
        self._capfd.readouterr()
        code = run([*words])
        out, err = self._capfd.readouterr()
        assert code in codes, (words[0], code, out, err)
        harmless(out + err, " ".join(words[:2]))
        return out


def harmless(printed: str, where: str) -> None:
    bad = {hex(ord(char)) for char in printed if char not in "\n\t" and safe(char) != char}
    assert not bad, f"{where} printed {sorted(bad)}"


@pytest.fixture
def desk(tmp_path: Path, own_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return desk_at(tmp_path, own_server.url, monkeypatch)


def desk_at(folder: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Desk:
    (folder / "desk.py").write_text(APP)
    desk = Desk(folder, url)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    for name in ("NATS_USER", "NATS_PASSWORD", "NATS_CONTEXT", "NATS_CREDS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NATS_URL", desk.url)
    monkeypatch.setenv("HOME", str(folder))
    return desk


@pytest.fixture
def screen(desk: Desk, capfd: pytest.CaptureFixture[str]) -> Screen:
    return Screen(desk, capfd)


def worker(desk: Desk, log: Path, *options: str) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "layby", "worker", "desk:app", *options],
            cwd=desk.folder,
            env={**desk.environ, "PYTHONPATH": str(ROOT)},
            stdout=out,
            stderr=out,
        )


async def prepare(desk: Desk) -> None:
    """Hostile text wherever somebody may write: tickets, questions, errors, letters, rows."""
    settings = ConnectionSettings(servers=(desk.url,))
    async with Client.connect(settings) as client:
        for at, ticket in enumerate(TICKETS):
            does = ("ask", "again", "fail")[at % 3]
            await client.send("desk.opened", {"ticket": ticket, "text": HOSTILE, "does": does})
        for does in ("fail", "ask"):
            await client.send("desk.opened", {"ticket": does, "text": HOSTILE, "does": does})
    letter = DeadLetter(
        reason=HOSTILE, subject=f"a{HOSTILE}", mailbox="m", seq=1, at=0, size=3, body=HOSTILE
    )
    row = IndexRow(
        id=PLANTED,
        workflow=HOSTILE,
        ticket="planted",
        status="failed",
        started_at="2020-01-01T00:00:00.000Z",
        updated_at="2020-01-01T00:00:00.000Z",
        pos=1,
        error=HOSTILE,
        needs=HOSTILE,
        roles=(HOSTILE,),
        question=HOSTILE,
    )
    async with opened(settings) as bus:
        await bus.requests.store("dead.m", msgspec.json.encode(letter))
        await bus.requests.store("desk.opened", HOSTILE.encode())
        await bus.requests.store(f"$KV.runs.planted.{PLANTED}", msgspec.json.encode(row))


def asked(screen: Screen, count: int) -> list[Any]:
    def look() -> Any:
        found = json.loads(screen("questions", "--json"))
        return found if len(found) >= count else None

    found: list[Any] = Desk.sooner_or_later(look)
    return found


def test_every_command(desk: Desk, screen: Screen) -> None:
    screen("provision", "desk:app")
    screen("--verbose", "show", HOSTILE, codes=(1, 2))
    logs = [desk.folder / name for name in ("plain.log", "dev.log", "json.log")]
    asyncio.run(prepare(desk))
    workers = [
        worker(desk, logs[0], "--verbose"),
        worker(desk, logs[1], DEV, "--verbose"),
        worker(desk, logs[2], "--json", "--verbose"),
    ]
    try:
        desk.sooner_or_later(lambda: b"ready" in logs[0].read_bytes())  # and the index is current
        questions = asked(screen, len([t for i, t in enumerate(TICKETS) if i % 3 < 2]) + 1)
        desk.sooner_or_later(lambda: len(json.loads(screen("dead", "list", "--json"))) > 1)
        screen("questions")
        screen("runs")
        screen("runs", "--json")
        screen("runs", "--ticket", "planted")
        screen("runs", "--text", HOSTILE)
        screen("doctor", codes=(0, 1))
        screen("doctor", "--json", codes=(0, 1))
        for ticket in (*TICKETS, "fail"):
            screen("show", ticket)
        screen("show", "ask", "--json")
        screen("show", "fail", "--follow", codes=(0, 1))
        screen("show", HOSTILE, codes=(1, 2))
        screen("show", "planted", codes=(0, 1))
        screen("dead", "list")
        for letter in json.loads(screen("dead", "list", "--json")):
            screen("dead", "show", str(letter["id"]))
            screen("dead", "retry", str(letter["id"]), codes=(0, 1))
        screen("dead", "show", HOSTILE, codes=(2,))
        first = questions[0]["ticket"]
        screen("answer", first, HOSTILE, "--question", questions[0]["id"], "--by", HOSTILE)
        screen("answer", TICKETS[0], HOSTILE, codes=(0, 1, 2))
        screen("answer", HOSTILE, HOSTILE, codes=(1, 2))
        screen("answer", "nobody", HOSTILE, "--question", HOSTILE, codes=(1, 2))
        screen("cancel", TICKETS[1], "--reason", HOSTILE)
        screen("cancel", HOSTILE, codes=(1, 2))
        screen("retry", "fail", "--reason", HOSTILE, "--by", HOSTILE[:200])
        screen("retry", "--all", "--workflow", "handle", "--since", "1h", "--dry-run")
        screen("retry", HOSTILE, codes=(1, 2))
        body = json.dumps({"ticket": "sent", "text": HOSTILE, "does": "ask"})
        screen("send", "desk.opened", body, "--id", HOSTILE[:100], "--wait", codes=(0, 1))
        screen("send", HOSTILE, body, codes=(1, 2))
        screen("send", "desk.opened", HOSTILE, codes=(1, 2))
        screen("purge", "--older-than", HOSTILE, codes=(1, 2))
        screen("purge", "--older-than", "0s")
        screen("erase", "desk:app", HOSTILE, codes=(1, 2))
        screen(HOSTILE, codes=(2,))
    finally:
        for each in workers:
            each.terminate()
        for each in workers:
            each.wait(30)
    logged = {log.name: log.read_text() for log in logs}
    for name, text in logged.items():
        harmless(text, name)
    # Any of the workers may have taken any of the runs.
    assert sum(text.count("started") for text in logged.values()) >= len(TICKETS)
