"""What is counted, and what the port does with clients of all kinds."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import generate_latest

from layby import Agent, App, Network, Step
from layby.metrics import probe as probes
from layby.metrics import server as servers
from layby.metrics import work as work_metrics
from layby.metrics.families import FAMILIES
from layby.metrics.monitor import Monitor, new_registry
from layby.metrics.probe import Probe
from layby.metrics.server import MetricsServer, serving
from layby.metrics.work import Declared, WorkMetrics
from layby.runtime.entry import Answered, Cancelled, Ended, Stepped, Voted, Withdrawn
from layby.runtime.spent import Spent
from layby.runtime.state import Frame, Question, RunState, Slot
from layby.testing import ScriptedModel
from layby.worker.monitoring import declared_by
from tests.scraping import Scrape, get

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
_ROW = re.compile(r"^\| `(layby_\w+)` \| (\w+) \| ([^|]*)\| (.*) \|$", re.MULTILINE)


def declared() -> Declared:
    return Declared(
        workflows=["handle"], roles=["lead"], actors={"agent-clerk": "Clerk"}, models=["tiny-1"]
    )


class Counting:
    """Metrics of a worker, without the worker."""

    def __init__(self) -> None:
        self.registry = new_registry()
        self.work = WorkMetrics(self.registry, declared())

    def value(self, name: str, **labels: str) -> float | None:
        return Scrape(generate_latest(self.registry).decode()).value(name, **labels)


@pytest.fixture
def counting() -> Counting:
    return Counting()


def test_the_page_names_every_metric_with_its_type_labels_and_meaning() -> None:
    for heading, source in (("Of a worker", "worker"), ("Of the streams", "streams")):
        section = PAGE.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        rows = [
            (name, kind, re.findall(r"`(\w+)`", labels), text)
            for name, kind, labels, text in _ROW.findall(section)
        ]
        wanted = [each for each in FAMILIES if each.source in {source, "both"}]
        assert rows == [(each.name, each.kind, list(each.labels), each.help) for each in wanted]


def test_names_are_as_prometheus_wants_them() -> None:
    names = [each.name for each in FAMILIES]
    assert len(set(names)) == len(names)
    for each in FAMILIES:
        assert re.fullmatch(r"layby_[a-z_]+", each.name)
        assert each.name.endswith("_total") is (each.kind == "counter")
        assert bool(each.buckets) is (each.kind == "histogram")


def test_labels_come_from_what_the_app_declares() -> None:
    model = ScriptedModel([], name="claude-x")
    app = App("desk", agents=[Agent("Clerk", model=model)], roles=["lead"])

    @app.workflow(on="a.b", key="id")
    async def handle(event: dict[str, Any], step: Step) -> None: ...

    found = declared_by(app)
    assert found.workflows == {"handle"}
    assert found.roles == {"lead"}
    assert found.agent("agent-clerk") == "Clerk"
    assert found.agent("agent-nobody") == "other"
    assert found.model("claude-x-20260101") == "claude-x"
    assert found.model("claude-x") == "claude-x"
    assert found.model("claude-x-pro") == "other"


def test_a_name_that_nobody_declares_is_other(counting: Counting) -> None:
    state = RunState(id="r", workflow="evil", started_at=1.0, updated_at=3.0, status="failed")
    counting.work.appended(state, [Ended(status="failed")])
    counting.work.receipt("evil")
    counting.work.due("evil", 1.0)
    counting.work.responded("agent-evil", "evil", Spent(input_tokens=1))
    text = generate_latest(counting.registry).decode()
    assert "evil" not in text
    assert counting.value("layby_run_seconds_sum", workflow="other", status="failed") == 2.0
    assert counting.value("layby_receipts_total", outcome="other") == 1.0


def question(id_: str, status: str, at: float, seq: int = 0) -> Question:
    return Question(
        id=id_,
        frame="w",
        key=id_,
        role="lead",
        question="?",
        asked_at=10.0,
        status=status,
        at=at,
        seq=seq,
    )


def test_a_question_counts_once_whatever_closes_it(counting: Counting) -> None:
    state = RunState(id="r", workflow="handle", started_at=1.0, updated_at=40.0, status="cancelled")
    state.frames["w"] = Frame(id="w", actor="workflow-handle")
    state.frames["w"].slots["b"] = Slot(kind="ask", ref="b", dropped=True)
    state.questions = {
        "a": question("a", "answered", 20.0),
        "b": question("b", "cancelled", 25.0),
        "c": question("c", "cancelled", 40.0),
        "d": question("d", "answered", 30.0, seq=7),
    }
    work = counting.work
    work.appended(state, [Answered(id="a", text="yes")])
    work.appended(state, [Stepped(frame="w", key="x"), Withdrawn(frame="w", key="b")])
    work.appended(
        state,
        [
            Voted(id="d", role="lead", text="no", by="ann", at=1.0, seq=6, vouched="nats"),
            Voted(id="d", role="lead", text="yes", by="bo", at=1.0, seq=7, vouched="nats"),
        ],
    )
    work.appended(state, [Cancelled()])
    seconds = "layby_question_seconds_"
    assert counting.value(f"{seconds}count", role="lead", resolution="answered") == 2
    assert counting.value(f"{seconds}sum", role="lead", resolution="answered") == 30.0
    assert counting.value(f"{seconds}count", role="lead", resolution="cancelled") == 2
    assert counting.value(f"{seconds}sum", role="lead", resolution="cancelled") == 45.0


def test_a_fault_in_counting_is_logged_once_and_stops_nothing(
    counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken: Any = None
    logged: list[str] = []

    def error(event: str, **_: Any) -> None:
        logged.append(event)

    monkeypatch.setattr(work_metrics, "log", SimpleNamespace(error=error))
    counting.work.appended(broken, broken)
    counting.work.appended(broken, broken)
    counting.work.responded(broken, broken, broken)
    assert logged == ["metrics.failed"]


# -- probes ------------------------------------------------------------------------------------


def test_a_loop_that_does_not_run_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = Probe()
    probe.checks.clear()
    assert probe.why_dead() == ""
    assert probe.why_not_ready() == []
    monkeypatch.setattr(probes, "STUCK", -1.0)
    assert probe.why_dead() == "the event loop has not run for 0 s"
    assert probe.why_not_ready() == [probe.why_dead()]


async def test_a_process_that_starts_is_alive_and_not_ready() -> None:
    monitor = Monitor(declared())
    async with monitor.serving("127.0.0.1", 0) as port:
        alive, ready = get(port, "/healthz"), get(port, "/readyz")
    assert alive is not None
    assert ready is not None
    assert (alive.code, ready.code, ready.text) == (200, 503, "it is starting\n")


# -- the port ----------------------------------------------------------------------------------


@pytest.fixture
def server() -> Generator[MetricsServer]:
    with serving("127.0.0.1", 0, new_registry(), Probe()) as made:
        yield made


def test_only_three_pages_exist(server: MetricsServer) -> None:
    for path in ("/", "/metrics/", "/../metrics", "/%2e", "/healthz/x", "//x/metrics", "*"):
        page = get(server.port, path)
        assert page is not None
        assert page.code == 404, path
    for method in ("POST", "PUT", "DELETE", "TRACE", "BREW"):
        page = get(server.port, "/metrics", method=method)
        assert page is not None
        assert page.code == 501
        assert "<" not in page.text
    page = get(server.port, "/metrics", method="HEAD")
    assert page is not None
    assert page.text == ""


def test_metrics_are_not_kept_by_browsers_or_read_as_pages(server: MetricsServer) -> None:
    page = get(server.port, "/metrics?<script>")
    assert page is not None
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["content-type"].startswith("text/plain")
    assert "python" not in page.headers["server"].lower()


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\x16\x03\x01\x02\x00",
        b"GET " + b"a" * 70_000,
        b"GET /metrics HTTP/9.9\r\n\r\n",
        b"\xff\xfe\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: [::\r\n\r\n",
        b"GET http://[::/metrics HTTP/1.1\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n" + b"x: y\r\n" * 500 + b"\r\n",
    ],
)
def test_rubbish_stops_nobody(server: MetricsServer, rubbish: bytes) -> None:
    with closing(socket.create_connection(("127.0.0.1", server.port))) as client:
        client.sendall(rubbish)
        client.shutdown(socket.SHUT_WR)
        client.settimeout(10)
        try:
            said = client.recv(100)
        except ConnectionError:
            said = b""
        assert b"200" not in said
    page = get(server.port)
    assert page is not None
    assert page.code == 200


def test_clients_that_say_nothing_are_limited_and_cut_off(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = threading.active_count()
    silent = [
        socket.create_connection(("127.0.0.1", server.port)) for _ in range(servers._MOST * 2)
    ]
    try:
        for each in silent[servers._MOST :]:
            each.settimeout(10)
            assert each.recv(1) == b""  # refused
        assert threading.active_count() <= before + servers._MOST
        with monkeypatch.context() as patience:
            patience.setattr(servers, "_LONGEST", 0.0)
            for each in silent[: servers._MOST]:
                each.settimeout(10)
                assert each.recv(1) == b""  # cut off
        deadline = time.monotonic() + 10
        while (page := get(server.port)) is None or page.code != 200:
            assert time.monotonic() < deadline
    finally:
        for each in silent:
            each.close()


def test_an_app_with_networks_names_them_too() -> None:
    clerk = Agent("Clerk", model=ScriptedModel([]))
    network = Network("Desk", agents=[clerk], router=lambda _: None, max_turns=1)
    found = declared_by(App("desk", networks=[network]))
    assert found.agent(network.address) == "Desk"
    assert found.agent("agent-clerk") == "Clerk"
