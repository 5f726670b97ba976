"""Claims, passes and declines by the `layby` command, and by a nats CLI."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from layby.bus.server import EmbeddedServer
from tests.fix_layby import Desk

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]

APP = "tests.claims_app:app"


@pytest.fixture
def desk(tmp_path: Path, own_server: EmbeddedServer) -> Iterator[Desk]:
    made = Desk(tmp_path, own_server.url)
    try:
        made.start_worker(app=APP)
        yield made
    finally:
        made.stop_workers()


def ask(desk: Desk, ticket: str = "T1") -> Any:
    desk.json("send", "claims.asked", json.dumps({"ticket": ticket}))
    return desk.question(ticket)


def test_a_question_is_claimed_passed_on_and_declined_by_the_command(desk: Desk) -> None:
    question = ask(desk)
    claimed = desk.run("claim", "T1", "--responder", "ada", "--for", "2h")
    assert claimed.returncode == 0, claimed.stderr
    assert "recorded  T1" in claimed.stdout
    assert "claim: " in claimed.stderr
    second = desk.json("claim", "T1", "--responder", "bob", code=1)
    assert (second["outcome"], second["by"]) == ("already_claimed", "ada")
    listed = " ".join(desk.run("questions").stdout.split())
    assert "ada is on it for 2 h" in listed or "ada is on it for 119 m" in listed
    passed = desk.json("pass", "T1", "role:lead", "--responder", "ada")
    assert (passed["act"], passed["question"]) == ("pass", question["id"])
    declined = desk.json("decline", "T1", "--responder", "bob")
    assert declined["outcome"] == "recorded"
    desk.sooner_or_later(lambda: desk.question("T1")["declined"] == ["ada", "bob"])
    listed = " ".join(desk.run("questions").stdout.split())
    assert "declined by ada, bob" in listed
    assert "ada passed it to role:lead" in listed
    shown = desk.run("show", "T1").stdout
    for line in ("ada is on it", "ada passed it to role:lead", "bob declined"):
        assert line in shown
    desk.json("answer", "T1", "yes", "--role", "lead", "--responder", "cto")
    assert desk.ended("T1")["status"] == "completed"
    late = desk.json("claim", "T1", "--responder", "bob", code=1)
    assert late["outcome"] == "already_answered"


def test_a_claim_is_released_and_its_time_is_checked(desk: Desk) -> None:
    ask(desk)
    assert desk.json("claim", "T1", "--responder", "ada")["until"]
    released = desk.json("claim", "T1", "--responder", "ada", "--release")
    assert released["reason"] == "released"
    assert desk.question("T1")["claim"] is None
    none = desk.json("claim", "T1", "--responder", "ada", "--release", code=1)
    assert "not claimed" in none["reason"]
    for wrong in ("0s", "soon"):
        assert desk.run("claim", "T1", "--for", wrong).returncode == 2
    long = desk.json("claim", "T1", "--responder", "ada", "--for", "25h", code=1)
    assert "1440" in long["reason"]


def test_one_of_two_open_questions_must_be_named_and_an_unknown_one_is_reported(desk: Desk) -> None:
    ask(desk)
    desk.json("send", "claims.asked", json.dumps({"ticket": "T1"}))
    desk.sooner_or_later(lambda: len(desk.json("questions", "--ticket", "T1")) == 2)
    which = desk.run("claim", "T1", "--responder", "ada", "--for", "1h")
    assert which.returncode == 2
    assert "layby claim --question" in which.stderr
    assert "--for 1h" in which.stderr
    first, second = (each["id"] for each in desk.json("questions", "--ticket", "T1"))
    named = desk.json("pass", "T1", "person:bob", "--question", second, "--responder", "ada")
    assert named["question"] == second
    assert desk.run("claim", "T1", "--question", first, "--responder", "a b").returncode == 2
    unknown = desk.json("decline", "T9", "--responder", "ada", code=1)
    assert unknown["outcome"] == "unknown_ticket"
    nobody = desk.json("pass", "T1", "bob", "--question", first, "--responder", "ada", code=1)
    assert "role:lead" in nobody["reason"]


def test_without_a_worker_it_is_stored_and_says_so(desk: Desk) -> None:
    ask(desk)
    desk.stop_workers()
    waiting = desk.run("claim", "T1", "--responder", "ada", "--timeout", "200ms")
    assert waiting.returncode == 2
    assert "do not send it again" in waiting.stderr
    desk.start_worker(app=APP)

    def claimed() -> bool:
        claim: Any = desk.question("T1")["claim"]
        return claim is not None and claim["by"] == "ada"

    desk.sooner_or_later(claimed)


@pytest.mark.skipif(shutil.which("nats") is None, reason="needs the nats CLI")
def test_the_lines_of_the_docs_work_in_a_nats_cli(desk: Desk) -> None:
    ask(desk, "T125")
    said = [
        ["developer.claim.T125.ada", ""],
        ["developer.pass.T125.ada", "role:lead"],
        ["developer.decline.T125.bob", ""],
    ]
    for subject, body in said:
        line = ["nats", "--server", desk.url, "pub", "-J", subject, body]
        subprocess.run(line, check=True, capture_output=True)  # noqa: S603
    desk.sooner_or_later(lambda: desk.question("T125")["declined"] == ["ada", "bob"])


@pytest.fixture
def asked_back(tmp_path: Path, own_server: EmbeddedServer, monkeypatch: Any) -> Iterator[Desk]:
    monkeypatch.setenv("ASK_BACK_LEDGER", str(tmp_path / "ledger"))
    made = Desk(tmp_path, own_server.url)
    try:
        made.start_worker(app="tests.ask_back_app:app")
        yield made
    finally:
        made.stop_workers()


def test_somebody_asks_back_by_the_command_and_reads_the_reply(asked_back: Desk) -> None:
    desk = asked_back
    desk.json("send", "agent.asked", json.dumps({"ticket": "T1"}))
    desk.question("T1")
    done = desk.run("ask-back", "T1", "the order?", "--responder", "ada")
    assert done.returncode == 0, done.stderr
    assert "replied  T1" in done.stdout
    assert "Because of the order?" in done.stdout
    listed = " ".join(desk.run("questions").stdout.split())
    assert "ada asked back" in listed
    assert "Clerk: Because of the order?" in listed
    shown = desk.run("show", "T1").stdout
    assert "ada asked back" in shown
    assert "Clerk replied" in shown
    refused = desk.json("ask-back", "T1", " ", "--responder", "ada", "--no-wait", code=1)
    assert (refused["outcome"], refused["act"]) == ("invalid", "ask-back")
    unsent = desk.json("ask-back", "T1", "x", "--responder", "a.b", code=2)
    assert "error" in unsent
