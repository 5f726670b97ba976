"""What Prometheus and the probes of a platform get from a real worker."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Generator
from pathlib import Path

import pytest

from layby.bus.opened import opened
from layby.bus.server import EmbeddedServer
from layby.bus.settings import ConnectionSettings
from layby.metrics.families import FAMILIES
from tests.fix_layby import Desk
from tests.scraping import answers, free_port, get, scrape, seen

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]

APP = """
from __future__ import annotations

from typing import Any

from layby import Agent, App, Retry, Role, Step
from layby.channels import Card, Undeliverable
from layby.models import Message, ModelRequest, ModelResponse, Price, Text, Usage


class Model:
    name = "tiny-1"

    async def respond(self, request: ModelRequest, on_text: Any = None) -> ModelResponse:
        text = Message(role="assistant", parts=[Text(text="done")])
        usage = Usage(input_tokens=100, output_tokens=20, cache_read_tokens=7)
        return ModelResponse(message=text, stop_reason="end", usage=usage, model="tiny-1-20260101")


class Pager:
    name = "pager"

    def missing(self) -> str:
        return ""

    async def send(self, card: Card) -> str:
        if card.ticket == "LOST":
            raise Undeliverable("nobody has a pager")
        return "1"

    async def update(self, ref: str, card: Card) -> None: ...

    async def close(self, ref: str, card: Card) -> None: ...


clerk = Agent("Clerk", system="File it.", model=Model())
lead = Role("lead", channels=[Pager()])
price = Price(input=1_000.0, output=10_000.0)
app = App("desk", agents=[clerk], roles=["developer", lead], prices={"tiny-1": price})
tries: list[int] = []


def flaky() -> str:
    tries.append(1)
    if len(tries) < 2:
        raise RuntimeError("not yet")
    return "well"


def broken() -> None:
    raise RuntimeError("never")


@app.workflow(on="desk.ticket.opened", key="ticketId")
async def handle(event: dict[str, Any], step: Step) -> str:
    match event.get("do"):
        case "agent":
            return str((await step.agent(clerk, "file")).text)
        case "retry":
            return await step.run("flaky", flaky, retry=Retry(attempts=3, first=0.01))
        case "fail":
            await step.run("broken", broken, retry=Retry(attempts=1))
        case "expire":
            return (await step.ask("lead", "Anybody?", timeout=0.2, default="no")).text
        case "page":
            return (await step.ask("lead", "Are you there?")).text
        case "sleep":
            await step.sleep(1.1)
    return (await step.ask("developer", "What now?")).text
"""


@pytest.fixture
def desk(tmp_path: Path, own_server: EmbeddedServer) -> Generator[Desk]:
    (tmp_path / "desk.py").write_text(APP)
    made = Desk(tmp_path, own_server.url)
    try:
        yield made
    finally:
        made.stop_workers()


@pytest.fixture
def port(desk: Desk) -> int:
    """The port on which a worker of the desk serves its metrics."""
    port = free_port()
    desk.start_worker("--metrics-port", str(port))
    return port


def sends(desk: Desk, ticket: str, do: str = "") -> None:
    desk.json("send", "desk.ticket.opened", json.dumps({"ticketId": ticket, "do": do}))


def test_a_worker_counts_what_it_does(desk: Desk, port: int) -> None:
    before = scrape(port)
    assert before.value("layby_runs_started_total", workflow="handle") == 0
    assert before.value("layby_receipts_total", outcome="accepted") == 0
    for do in ("agent", "retry", "fail", "expire", "sleep", "cancel"):
        sends(desk, do.upper(), do)
    ended = {"completed": 3, "failed": 1}
    found = seen(
        port,
        lambda it: all(
            it.value("layby_run_seconds_count", workflow="handle", status=status) == count
            for status, count in ended.items()
        ),
    )
    assert found.value("layby_runs_started_total", workflow="handle") == 6
    tokens = {"agent": "Clerk", "model": "tiny-1"}
    assert found.value("layby_model_responses_total", **tokens) == 1
    assert found.value("layby_model_tokens_total", **tokens, direction="input") == 107
    assert found.value("layby_model_tokens_total", **tokens, direction="output") == 20
    assert found.value("layby_model_cost_dollars_total", **tokens) == pytest.approx(0.307)
    assert found.value("layby_step_attempts_total", outcome="retried") == 1
    assert found.value("layby_step_attempts_total", outcome="failed") == 1
    assert (found.value("layby_step_attempts_total", outcome="succeeded") or 0) >= 2
    expired = {"role": "lead", "resolution": "expired"}
    assert found.value("layby_question_seconds_count", **expired) == 1
    assert found.value("layby_timer_late_seconds_count", kind="question") == 1
    desk.question("CANCEL")
    desk.question("SLEEP")
    assert desk.json("claim", "SLEEP", "--responder", "ada")["outcome"] == "recorded"
    assert desk.json("answer", "SLEEP", "go on")["outcome"] == "accepted"
    assert desk.json("answer", "SLEEP", "again", code=1)["outcome"] == "already_answered"
    desk.json("cancel", "CANCEL")
    found = seen(
        port,
        lambda it: (
            it.value("layby_question_seconds_count", role="developer", resolution="answered") == 1
            and it.value("layby_question_seconds_count", role="developer", resolution="cancelled")
            == 1
            and it.value("layby_answer_to_resume_seconds_count") == 1
            and it.value("layby_receipts_total", outcome="already_answered") == 1
        ),
    )
    assert found.value("layby_receipts_total", outcome="accepted") == 1
    assert found.value("layby_receipts_total", outcome="recorded") == 1
    assert found.value("layby_timer_late_seconds_count", kind="wake") == 1
    assert found.value("layby_questions_asked_total", role="developer") == 2
    cancelled = {"workflow": "handle", "status": "cancelled"}
    assert found.value("layby_run_seconds_count", **cancelled) == 1
    assert found.value("layby_connected") == 1
    assert (found.value("layby_bus_round_trip_seconds_count") or 0) >= 1
    assert (found.value("layby_loop_lag_seconds_count") or 0) >= 1
    assert (found.value("process_cpu_seconds_total") or 0) > 0
    box = {"kind": "mailbox", "name": "workflow-handle"}
    assert found.value("layby_limit", **box) == 64
    served = {family.name for family in found.families if family.name.startswith("layby")}
    table = {each.name.removesuffix("_total") for each in FAMILIES if each.source != "streams"}
    assert served == table


def test_what_reached_people_is_counted_by_channel(desk: Desk, port: int) -> None:
    assert scrape(port).value("layby_question_undelivered_total", role="lead") == 0
    sends(desk, "FOUND", "page")
    sends(desk, "LOST", "page")
    found = seen(
        port,
        lambda it: (
            it.value("layby_cards_total", channel="pager", status="sent") == 1
            and it.value("layby_question_undelivered_total", role="lead") == 1
        ),
    )
    assert found.value("layby_cards_total", channel="pager", status="failed") == 1


def test_no_text_from_outside_becomes_a_label(desk: Desk, port: int) -> None:
    """One ticket, one person and one answer for each name: none may add a time series."""
    hostile = ['a"b', "x\ny", "{}", "\N{SNOWMAN}", "'; drop", "le", "__name__", "canary-7f"]
    for name in hostile:
        sends(desk, name)
    for name in hostile:
        desk.question(name)
        desk.json("answer", name, name, "--by", name)
    desk.run("send", "--raw", "nobody.response.T1", "hello")
    done = seen(
        port, lambda it: it.value("layby_receipts_total", outcome="accepted") == len(hostile)
    )
    one = len(done.text.splitlines())
    for name in hostile:
        sends(desk, f"{name} again")
    started = 2 * len(hostile)
    after = seen(
        port,
        lambda it: it.value("layby_runs_started_total", workflow="handle") == started,
    )
    assert len(after.text.splitlines()) == one
    assert not any(name in after.text for name in hostile if name not in {"{}", "le"})
    assert after.labels("layby_question_seconds") == {
        *("developer", "lead"),
        *("answered", "expired"),
    }


async def test_probes_say_whether_a_worker_lives_and_can_work(
    desk: Desk, own_server: EmbeddedServer
) -> None:
    port = free_port()
    desk.start_worker(LAYBY_METRICS_PORT=str(port))
    assert answers(port, "/healthz", 200).text == "ok\n"
    assert answers(port, "/readyz", 200).text == "ok\n"
    own_server.kill()
    assert answers(port, "/readyz", 503).text == "it is not connected to NATS\n"
    assert answers(port, "/healthz", 200)
    assert scrape(port).value("layby_connected") == 0
    await own_server.restart()
    assert answers(port, "/readyz", 200)
    async with opened(ConnectionSettings(servers=(own_server.url,))) as bus:
        await bus.requests.api("CONSUMER.DELETE.RUNS.human-developer")
    lost = answers(port, "/readyz", 503).text
    assert lost == "the mailbox human-developer does not answer\n"
    async with opened(ConnectionSettings(servers=(own_server.url,))) as bus:
        await bus.requests.api("CONSUMER.DELETE.TIMERS.due")
    both = r"the mailbox [a-z-]+ and 1 more do not answer\n"
    desk.sooner_or_later(lambda: re.fullmatch(both, answers(port, "/readyz", 503).text))
    desk.stop_workers()
    assert get(port, "/healthz") is None


def test_a_worker_without_a_port_listens_nowhere(desk: Desk) -> None:
    worker = desk.start_worker()
    listening = _listening(worker.pid)
    assert listening == set()


def test_metrics_are_on_loopback_alone_unless_told_otherwise(desk: Desk, port: int) -> None:
    [worker] = desk._workers
    assert _listening(worker.pid) == {f"127.0.0.1:{port}"}
    page = get(port, host="evil.example:80")
    assert page is not None
    assert page.code == 403
    assert "layby_" not in page.text
    for host in ("localhost", f"127.0.0.1:{port}", "[::1]:80", "LOCALHOST"):
        found = get(port, host=host)
        assert found is not None, host
        assert found.code == 200, host


def test_a_port_that_is_taken_is_named(desk: Desk) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = desk.run("worker", "desk:app", "--metrics-port", str(port))
    assert done.returncode == 1
    assert f"cannot serve metrics on 127.0.0.1:{port}" in done.stderr
    assert "--metrics-port" in done.stderr


def test_a_wrong_port_in_the_environment_is_a_wrong_command_line(desk: Desk) -> None:
    wrong = {**desk.environ, "LAYBY_METRICS_PORT": "soon"}
    done = desk.run("worker", "desk:app", environ=wrong)
    assert done.returncode == 2
    assert "metrics" in done.stderr.lower()


def _listening(pid: int) -> set[str]:
    """The addresses on which a process listens, as Linux says."""
    inodes = set[str]()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found = re.match(r"socket:\[(\d+)\]", str(link.readlink()))
        except OSError:
            continue
        inodes |= {found[1]} if found else set()
    listening = set[str]()
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A" and words[9] in inodes:
            address, _, port = words[1].partition(":")
            raw = bytes.fromhex(address)[::-1]
            listening.add(f"{'.'.join(map(str, raw))}:{int(port, 16)}")
    return listening
