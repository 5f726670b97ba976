"""The `layby` command against a real nats-server and real workers."""

from __future__ import annotations

import asyncio
import json
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from layby.bus.connection import ConnectionSettings
from layby.bus.opened import opened
from layby.bus.server import EmbeddedServer
from layby.bus.threads import ThreadLog
from layby.bus.token import encode
from tests.fix_layby import APP, WITHIN, Desk, left_over

pytestmark = pytest.mark.timeout(240)

RUN_KEYS = {"id", "workflow", "ticket", "status", "started_at", "updated_at"}
QUESTION_KEYS = {"id", "ticket", "role", "question", "context", "run", "asked_at", "deadline"}
RECEIPT_KEYS = {"outcome", "ticket", "question", "reason", "by"}


@pytest.fixture
def desk(tmp_path: Path, own_server: EmbeddedServer) -> Iterator[Desk]:
    (tmp_path / "desk.py").write_text(APP)
    made = Desk(tmp_path, own_server.url)
    try:
        yield made
    finally:
        made.stop_workers()


def test_a_conversation_is_erased(desk: Desk) -> None:
    talks = "from layby import App\nfrom layby.history import nats_history\n"
    (desk.folder / "talks.py").write_text(f"{talks}app = App('talks', history=nats_history())\n")
    desk.json("provision", "talks:app")

    async def write() -> None:
        async with opened(ConnectionSettings(servers=(desk.url,))) as bus:
            for key in ("a", "b"):
                await ThreadLog(bus.requests).append("T 1", key, b"[]")

    asyncio.run(write())
    desk.start_worker(app="talks:app")
    assert desk.json("erase", "talks:app", "T 1") == {"thread": "T 1", "entries": 2}
    assert "erased 0 entries of T 1" in desk.run("erase", "talks:app", "T 1").stdout
    failed = desk.json("erase", "desk:app", "T 1", code=1)
    assert "'desk' keeps no threads" in failed["error"]["message"]


def test_a_ticket_from_event_to_result(desk: Desk) -> None:
    desk.start_worker()
    sent = desk.open_ticket("T125")
    assert sent["seq"] > 0

    question = desk.question("T125")
    assert question.keys() >= QUESTION_KEYS
    assert question["question"] == "What about T125?"
    assert question["context"] == "It is urgent."
    assert question["role"] == "developer"

    [waiting] = desk.json("runs", "--status", "waiting")
    assert waiting.keys() >= RUN_KEYS
    assert waiting["id"] == question["run"]

    receipt = desk.json("answer", "T125", "roll it back", "--by", "ada")
    assert receipt.keys() >= RECEIPT_KEYS
    assert receipt["outcome"] == "accepted"
    assert receipt["question"] == question["id"]
    assert receipt["by"] == "ada"

    assert desk.ended("T125")["status"] == "completed"
    shown = desk.json("show", waiting["id"][:8])
    assert shown.keys() >= RUN_KEYS | {"result", "error", "steps"}
    assert shown["result"] == {"said": "roll it back", "by": "ada"}
    assert shown["error"] is None
    assert [step["n"] for step in shown["steps"]] == sorted(step["n"] for step in shown["steps"])
    assert desk.json("questions") == []


def test_all_output_can_be_read_by_people(desk: Desk) -> None:
    desk.start_worker()
    desk.open_ticket("T125")
    desk.question("T125")
    assert "What about T125?" in desk.run("questions").stdout
    assert "waiting" in desk.run("runs").stdout
    answered = desk.run("answer", "T125", "-", stdin="from a pipe\n")
    assert answered.returncode == 0
    assert answered.stdout.startswith("accepted  T125")
    desk.ended("T125")
    shown = desk.run("show", "T125").stdout
    assert "What about T125?" in shown
    assert "from a pipe" in shown
    assert "completed" in shown


def test_following_a_finished_run_shows_all_of_it(desk: Desk) -> None:
    desk.start_worker()
    desk.open_ticket("T125")
    desk.question("T125")
    desk.json("answer", "T125", "roll it back")
    desk.ended("T125")
    shown = desk.run("show", "T125", "--follow")
    assert shown.returncode == 0
    for part in ("started", "What about T125?", "roll it back", "completed"):
        assert part in shown.stdout
    unknown = desk.run("show", "1001", "--follow")
    assert unknown.returncode == 1
    assert "1001" in unknown.stderr


def test_following_a_run_ends_with_it(desk: Desk) -> None:
    desk.start_worker()
    desk.open_ticket("T125")
    desk.question("T125")
    following = desk.start("show", "T125", "--follow")
    try:
        desk.json("answer", "T125", "go on")
        out, _ = following.communicate(timeout=WITHIN)
    finally:
        following.close()
    assert following.returncode == 0
    assert "go on" in out
    assert "completed" in out


@pytest.mark.parametrize(
    "ticket", ["ACME-1.2", "#45 21", "a/b", "*", ">", "..", "grüße 早安", "-x", "T" * 200]
)
def test_any_ticket_id_works(desk: Desk, ticket: str) -> None:
    desk.start_worker()
    desk.open_ticket(ticket)
    assert desk.question(ticket)["ticket"] == ticket
    done = desk.run("answer", "--json", "--", ticket, "yes")
    assert json.loads(done.stdout)["outcome"] == "accepted"
    assert desk.ended(ticket)["status"] == "completed"


def test_an_answer_on_a_responders_own_subject(desk: Desk) -> None:
    desk.start_worker()
    for ticket, options, named in (("T1", ["--by", "the boss"], "ada"), ("T2", [], "Bob-2_x")):
        desk.open_ticket(ticket)
        desk.question(ticket)
        receipt = desk.json("answer", ticket, "yes", "--responder", named, *options)
        assert (receipt["outcome"], receipt["by"]) == ("accepted", named)
        desk.ended(ticket)
        assert desk.json("show", ticket)["result"] == {"said": "yes", "by": named}


def test_refused_answers_show_why_and_exit_with_1(desk: Desk) -> None:
    desk.start_worker()
    unknown = desk.json("answer", "T404", "hello", code=1)
    assert unknown["outcome"] == "unknown_ticket"
    assert unknown["reason"]

    desk.open_ticket("T125")
    desk.question("T125")
    assert desk.json("answer", "T125", "first", "--by", "ada")["outcome"] == "accepted"
    second = desk.json("answer", "T125", "second", code=1)
    assert second["outcome"] in {"already_answered", "too_late"}
    assert second["reason"]
    assert "ada" in desk.run("answer", "T125", "third").stdout


def test_an_answer_before_any_worker_is_stored_and_applied_later(desk: Desk) -> None:
    worker = desk.start_worker()
    desk.open_ticket("T125")
    desk.question("T125")
    worker.kill()
    worker.wait()

    late = desk.run("answer", "T125", "when you are back", "--timeout", "500ms")
    assert late.returncode == 2
    assert "stored" in late.stderr

    desk.start_worker()
    assert desk.ended("T125")["status"] == "completed"
    assert desk.json("show", "T125")["result"]["said"] == "when you are back"


def test_an_event_sent_twice_starts_one_run(desk: Desk) -> None:
    desk.start_worker()
    assert not desk.open_ticket("T1", "--id", "e-1")["duplicate"]
    assert desk.open_ticket("T1", "--id", "e-1")["duplicate"]
    desk.question("T1")
    assert len(desk.json("runs")) == 1


def test_a_cancelled_run_has_no_open_questions(desk: Desk) -> None:
    desk.start_worker()
    desk.open_ticket("T1")
    desk.question("T1")
    assert desk.json("cancel", "T1", "--reason", "closed by hand")["status"] == "cancelled"
    assert desk.json("questions") == []
    refused = desk.json("answer", "T1", "too late now", code=1)
    assert refused["outcome"] == "too_late"


@pytest.mark.slow
def test_doctor_finds_nothing_wrong_with_a_healthy_server(desk: Desk) -> None:
    desk.start_worker()
    findings = desk.json("doctor")
    assert all(set(each) == {"level", "subject", "message", "advice"} for each in findings)
    assert not [each for each in findings if each["level"] == "error"]
    assert "2." in desk.run("doctor").stdout


@pytest.mark.slow
def test_doctor_reports_a_broken_event(desk: Desk) -> None:
    desk.start_worker()
    desk.json("send", "desk.ticket.opened", '{"nobody": "knows"}', code=1)
    desk.sooner_or_later(lambda: "ticketId" in json.dumps(desk.json("doctor")))
    [letters] = [each for each in desk.json("doctor") if each["subject"] == "dead letters"]
    assert letters["level"] == "warn"
    assert letters["advice"]


def test_dead_letters_are_listed_newest_first_up_to_a_limit(desk: Desk) -> None:
    assert desk.run("dead", "list", "--limit", "2").stdout == "no dead letters\n"
    desk.start_worker()
    for number in range(3):
        desk.json("send", "desk.ticket.opened", f'{{"nobody": {number}}}', code=1)
    desk.sooner_or_later(lambda: len(desk.json("dead", "list")) == 3)
    ids = [row["id"] for row in desk.json("dead", "list")]
    assert ids == sorted(ids, reverse=True)
    listed = desk.run("dead", "list", "--limit", "2")
    assert "there are more than these 2" in listed.stderr
    assert [row["id"] for row in desk.json("dead", "list", "--limit", "2")] == ids[:2]


def test_provisioning_twice_changes_nothing(desk: Desk) -> None:
    for _ in range(2):
        findings = desk.json("provision", "desk:app")
        assert {each["level"] for each in findings} == {"ok"}


READERS = [
    ["send", "desk.ticket.opened", '{"ticketId": "T1"}'],
    ["questions"],
    ["answer", "T1", "yes"],
    ["runs"],
    ["show", "T1"],
    ["cancel", "T1"],
    ["doctor"],
    ["worker", "desk:app"],
    ["provision", "desk:app"],
]


@pytest.mark.parametrize("arguments", READERS, ids=lambda arguments: arguments[0])
def test_a_missing_server_is_reported_at_once(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "desk.py").write_text(APP)
    desk = Desk(tmp_path, "nats://ada:s3cret@127.0.0.1:1")
    begun = time.monotonic()
    error = desk.json(*arguments, code=1)["error"]
    assert time.monotonic() - begun < 30, "a second, and what a loaded machine adds"
    assert error["type"] == "ServerUnavailable"
    assert "127.0.0.1:1" in error["message"]
    assert "s3cret" not in json.dumps(error)


def test_a_silent_server_times_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        desk = Desk(tmp_path, f"nats://127.0.0.1:{silent.getsockname()[1]}")
        begun = time.monotonic()
        done = desk.run("runs")
        assert done.returncode == 1
        assert time.monotonic() - begun < 30
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) <= 2


@pytest.mark.parametrize("arguments", [["show", "nothing"], ["cancel", "nothing"]])
def test_a_missing_run_is_reported(desk: Desk, arguments: list[str]) -> None:
    desk.json("provision", "desk:app")
    done = desk.run(*arguments)
    assert done.returncode == 1
    assert "nothing" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["runs"], ["questions"], ["doctor"], ["show", "T1"]])
def test_a_server_without_our_streams_is_explained(desk: Desk, arguments: list[str]) -> None:
    done = desk.run(*arguments)
    assert "Traceback" not in done.stderr
    assert "unexpected" not in done.stderr


def test_a_worker_without_a_server_gets_advice(tmp_path: Path) -> None:
    (tmp_path / "desk.py").write_text(APP)
    desk = Desk(tmp_path, "")
    done = desk.run("worker", "desk:app")
    assert done.returncode == 1
    assert "NATS_URL" in done.stderr
    assert "layby dev desk:app" in done.stderr


def test_an_app_that_does_not_import_shows_its_own_line(desk: Desk) -> None:
    (desk.folder / "broken.py").write_text("import json\n\nlimit = 1 / 0\n")
    done = desk.run("worker", "broken:app")
    assert done.returncode == 1
    assert "ZeroDivisionError: division by zero" in done.stderr
    assert "broken.py:3: limit = 1 / 0" in done.stderr
    assert "Traceback" not in done.stderr


def test_workers_that_start_together_all_come_up(desk: Desk) -> None:
    with ThreadPoolExecutor() as pool:
        starting = [pool.submit(desk.start_worker) for _ in range(4)]
    assert all(each.result().poll() is None for each in starting)


def test_a_worker_finishes_on_sigterm(desk: Desk) -> None:
    worker = desk.start_worker()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(WITHIN) == 0


def test_the_stock_nats_cli_can_answer(desk: Desk) -> None:
    nats = shutil.which("nats")
    if nats is None:
        pytest.skip("the nats CLI is not on PATH")
    desk.start_worker()
    desk.open_ticket("T 1")
    desk.question("T 1")
    subject = f"developer.response.{encode('T 1')}"
    body = json.dumps({"answer": "it's {{ fine }}", "by": "ada"})
    command = [nats, "-s", desk.url, "pub", "-J", "--no-templates", subject, body]
    subprocess.run(command, check=True, capture_output=True, env=desk.environ)  # noqa: S603
    assert desk.ended("T 1")["status"] == "completed"
    assert desk.json("show", "T 1")["result"] == {"said": "it's {{ fine }}", "by": "ada"}


@pytest.mark.slow
def test_development_follows_a_workflow_to_another_subject(tmp_path: Path) -> None:
    """The server is the developer's own: what no workflow declares any longer is taken away."""
    (tmp_path / "desk.py").write_text(APP)
    desk = Desk(tmp_path, "")
    dev = desk.start("dev", "desk:app", PYTHONUNBUFFERED="1")
    try:
        next(line for line in dev.stdout if "nats://" in line)
        desk.url = (tmp_path / ".layby" / "url").read_text().strip()
        (tmp_path / "desk.py").write_text(APP.replace("desk.ticket.opened", "desk.reopened"))
        lines = list[str]()
        for line in dev.stderr:
            lines.append(line)
            if "removed desk" in line:
                break
        assert "removed desk.ticket.opened from stream EVENTS" in lines[-1]
        desk.json("send", "desk.reopened", json.dumps({"ticketId": "T1"}))
        assert desk.question("T1")["ticket"] == "T1"
        dev.send_signal(signal.SIGINT)
        assert dev.wait(WITHIN) == 130
    finally:
        dev.close()


@pytest.mark.slow
def test_development_reloads_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "desk.py").write_text(APP)
    desk = Desk(tmp_path, "")
    dev = desk.start("dev", "desk:app", PYTHONUNBUFFERED="1")
    try:
        next(line for line in dev.stdout if "nats://" in line)
        desk.url = (tmp_path / ".layby" / "url").read_text().strip()  # with the password
        (tmp_path / "desk.py").write_text(APP.replace("What about", "Any news of"))
        for line in dev.stderr:
            if "desk.py changed" in line:
                break
        desk.open_ticket("T1")
        assert desk.question("T1")["question"] == "Any news of T1?"
        nearby = {name: text for name, text in desk.environ.items() if name != "NATS_URL"}
        assert "T1" in desk.run("questions", environ=nearby).stdout
        dev.send_signal(signal.SIGINT)
        assert dev.wait(WITHIN) == 130
        assert left_over(tmp_path) == []
        assert not (tmp_path / ".layby" / "url").exists()
    finally:
        dev.close()


ASKS_TWICE = """
from layby import App, Step

app = App("desk")


@app.workflow(on="desk.ticket.opened", key="ticketId")
async def handle(event, step: Step) -> list[str]:
    named = await step.ask("developer", "What do you say?", accept="nats")
    sure = await step.ask("developer", "Are you sure?", answer=bool)
    return [named.text, named.by, str(sure.value)]
"""


def test_the_line_that_a_refusal_prints_can_be_pasted(desk: Desk) -> None:
    (desk.folder / "desk.py").write_text(ASKS_TWICE)
    desk.start_worker()
    desk.open_ticket("T 1")
    first = desk.question("T 1")["id"]
    refused = desk.run("answer", "T 1", "it's fine", "--by", "ada")
    assert refused.stdout.startswith("invalid")
    line = shlex.split(refused.stdout.splitlines()[-1])
    assert line[-2:] == ["T 1", "it's fine"]
    assert desk.run(*line[line.index("answer") :]).stdout.startswith("accepted")

    desk.sooner_or_later(lambda: [q for q in desk.json("questions") if q["id"] != first])
    refused = desk.run("answer", "T 1", "perhaps")
    line = shlex.split(refused.stdout.splitlines()[-1])
    assert desk.run(*line[line.index("answer") :]).stdout.startswith("accepted")
    assert desk.ended("T 1")["status"] == "completed"
    assert desk.json("show", "T 1")["result"] == ["it's fine", "ada", "True"]
