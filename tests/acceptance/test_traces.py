"""The spans of real workers, as a backend receives them over OTLP."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
from nats.js.errors import NotFoundError

from layby.bus.connection import Connection
from layby.bus.opened import opened
from layby.bus.server import EmbeddedServer
from layby.bus.settings import ConnectionSettings
from layby.runtime import trace_context
from layby.runtime.envelope import Envelope, read
from tests.collector import Collector, Span, collecting
from tests.fix_layby import WITHIN, Desk

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]

CANARY = "sk-canary-4711-4711"
APP = """
from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from layby import Agent, App, Network, Retry, Step, tool
from layby.models import ModelRequest, ToolResult
from layby.testing import ScriptedModel, calls, says


@tool
def look_up(order: str) -> str:
    "Look an order up."
    return f"order {order} is paid"


@tool(needs_approval=True)
def refund(order: str) -> str:
    "Give the money back."
    return "refunded"


def script(request: ModelRequest) -> Any:
    told = [p.content for m in request.messages for p in m.parts if isinstance(p, ToolResult)]
    if not told:
        return calls("look_up", order="A-1")
    if len(told) == 1:
        return calls("refund", order="A-1")
    return says("all done")


clerk = Agent(
    "Clerk", system="Be kind, and say SYSTEM.", model=ScriptedModel(script), tools=[look_up, refund]
)
desk = Network("Desk", agents=[clerk], router=lambda route: None if route.turns else "Clerk")
app = App("desk", networks=[desk], events=["desk.paid"])


def note(text: str) -> str:
    return text


def broken() -> None:
    raise ValueError("the key is sk-canary-4711-4711")


def slow(folder: str) -> str:
    if Path(folder, "go").exists():
        return "slow"
    Path(folder, "slow").touch()
    while True:
        time.sleep(0.05)


@app.workflow(on="desk.child.opened", key="ticketId")
async def child(event: dict[str, Any], step: Step) -> str:
    return "grown up"


@app.workflow(on="desk.ticket.opened", key="ticketId")
async def handle(event: dict[str, Any], step: Step) -> str:
    await step.run("note", note, "noted")
    match event.get("do"):
        case "fail":
            await step.run("broken", broken, retry=Retry(attempts=1))
        case "ask":
            return (await step.ask("developer", "What now?")).text
        case "expire":
            return (await step.ask("developer", "Anybody?", timeout=0.2, default="no")).text
        case "slow":
            return await step.run("slow", slow, event["folder"])
        case "child":
            await step.send_event("desk.paid", {"ticketId": event["ticketId"]})
            return await step.workflow(child, {"ticketId": "C"})
    return (await step.network(desk, "refund A-1")).text
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
def collector() -> Generator[Collector]:
    with collecting() as made:
        yield made


def send(desk: Desk, ticket: str, do: str = "", **more: str) -> None:
    desk.json("send", "desk.ticket.opened", json.dumps({"ticketId": ticket, "do": do, **more}))


async def published(desk: Desk, ticket: str, do: str, **headers: str) -> None:
    """Publish an event as a program does that knows nothing of Layby."""
    body = json.dumps({"ticketId": ticket, "do": do}).encode()
    async with opened(ConnectionSettings(servers=(desk.url,))) as bus:
        await bus.requests.store("desk.ticket.opened", body, headers)


async def last(nats: Connection, stream: str, subject: str) -> Message | None:
    """The newest message of a subject; None: there is none."""
    with contextlib.suppress(NotFoundError):
        found = await nats.nc.jetstream().get_last_msg(stream, subject)
        headers = cast("dict[str, str]", found.headers or {})
        return Message(found.data or b"", headers)
    return None


async def entries(nats: Connection, run: str) -> list[tuple[Envelope, dict[str, str]]]:
    """A run's log as it is stored: entries, and the headers of their messages."""
    found: list[tuple[Envelope, dict[str, str]]] = []
    while message := await last(nats, "RUNS", f"to.*.*.{run}.{len(found) + 1}"):
        envelope = read(message.data)
        assert envelope is not None
        found.append((envelope, message.headers))
    return found


class Message(NamedTuple):
    """A message as it is stored."""

    data: bytes
    headers: dict[str, str]


@contextlib.contextmanager
def working(desk: Desk, collector: Collector, **environ: str) -> Generator[list[dict[str, Any]]]:
    """A worker that takes work while the block is open; gives what it has logged at the end."""
    worker = desk.start("worker", "desk:app", "--json", **collector.environ, **environ)
    said: list[dict[str, Any]] = []
    try:
        for line in worker.stderr:
            said.append(json.loads(line))
            if said[-1]["event"] == "worker.ready":
                break
        yield said
        worker.terminate()
        assert worker.wait(WITHIN) == 0
    finally:
        worker.terminate()
        worker.wait(WITHIN)
        said += [json.loads(line) for line in worker.stderr]
        worker.close()


def of(collector: Collector, ticket: str) -> list[Span]:
    """The spans about a ticket, in the order in which they began."""
    found = [each for each in collector.spans if each.attributes.get("layby.ticket") == ticket]
    return sorted(found, key=lambda each: each.start)


def paused(span: Span) -> dict[str, Any]:
    return span.event("gen_ai.agent.paused").attributes


def resumed(span: Span) -> dict[str, Any]:
    return span.event("gen_ai.agent.resumed").attributes


async def test_a_ticket_is_one_trace_through_park_and_resume_in_another_worker(
    desk: Desk, collector: Collector
) -> None:
    first = desk.start_worker(OTEL_SERVICE_NAME="one", **collector.environ)
    send(desk, "T1")
    question = desk.question("T1")
    [waiting] = collector.seen_named("invoke_agent Clerk")  # exported while the run waits

    def traced() -> str:
        [row] = desk.json("runs", "--ticket", "T1")
        return str(row["trace"])

    parked = desk.sooner_or_later(traced)
    desk.stop_workers()
    assert first.returncode == 0
    desk.start_worker(**collector.environ)
    desk.json("answer", "T1", "approve")
    assert desk.ended("T1")["status"] == "completed"
    desk.stop_workers()

    spans = {span.id: span for span in collector.spans}
    assert len(spans) == len(collector.spans), "a span was sent twice"
    shown = desk.json("show", "T1")
    assert {span.trace for span in collector.spans} == {shown["trace"]}
    assert parked == traced() == shown["trace"]
    assert f"trace {shown['trace']}" in desk.run("show", "T1").stdout
    names = {span.id: span.name for span in collector.spans}
    tree = [
        (names.get(span.parent, ""), span.name, span.segment)
        for span in sorted(collector.spans, key=lambda each: each.start)
    ]
    handle, net, clerk = "invoke_workflow handle", "invoke_workflow Desk", "invoke_agent Clerk"
    assert tree == [
        ("", handle, "initial"),
        (handle, "step note", ""),
        (handle, net, "initial"),
        (net, clerk, "initial"),
        (clerk, "chat scripted", ""),
        (clerk, "execute_tool look_up", ""),
        (clerk, "chat scripted", ""),
        (clerk, clerk, "resumed"),
        (clerk, "execute_tool refund", ""),
        (clerk, "chat scripted", ""),
        (net, net, "resumed"),
        (handle, handle, "resumed"),
    ]
    for span in collector.spans:
        links = [id_ for _, id_, facts in span.links if facts]
        assert links == ([span.parent] if span.segment == "resumed" else [])
        assert span.attributes["gen_ai.conversation.id"] == shown["id"]
        assert span.attributes["layby.ticket"] == "T1"
        assert span.attributes["gen_ai.agent.name"] in {"handle", "Desk", "Clerk"}
        assert span.scope == "layby"
    assert paused(waiting) == {
        "gen_ai.agent.pause.id": question["id"],
        "gen_ai.agent.pause.reason": "human_input",
        "layby.question.role": "developer",
        "layby.question.deadline": question["deadline"],
    }
    [_, again] = collector.named(clerk)
    assert resumed(again)["layby.question.resolution"] == "answered"
    assert resumed(again)["gen_ai.agent.resumed_from.id"] == question["id"]
    assert waiting.resource["service.name"] == "one"
    assert again.resource["service.name"] == "desk"
    chat = collector.named("chat scripted")[0]
    assert chat.attributes["gen_ai.usage.output_tokens"] > 0
    assert chat.attributes["gen_ai.response.finish_reasons"] == ["tool_call"]
    assert b"SYSTEM" not in collector.raw
    assert b"A-1" not in collector.raw

    async with opened(ConnectionSettings(servers=(desk.url,))) as bus:
        stored = await entries(bus.connection, shown["id"])
        asked = await last(bus.connection, "QUESTIONS", "developer.question.T1")
    kept = [envelope.trace for envelope, _ in stored if envelope.cause]
    assert {trace_context.trace_id(each) for each in kept} == {shown["trace"]}
    assert [each for _, each in stored if "traceparent" in each], "mail carries the trace"
    assert asked is not None
    assert asked.headers["traceparent"][36:52] == waiting.id


OUTSIDE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{OUTSIDE}-b7ad6b7169203331-01"


async def test_traces_come_in_and_go_out(desk: Desk, collector: Collector) -> None:
    with working(desk, collector, SHOP_API_KEY=CANARY):
        await published(desk, "CHILD", "child", traceparent=PARENT, tracestate="vendor=1")
        await published(desk, "BAD", "fail", traceparent="00-" + "f" * 4_000, tracestate="\x01")
        await published(desk, "OFF", "expire", traceparent=f"{PARENT[:-2]}00")
        for ticket, status in (("CHILD", "completed"), ("BAD", "failed"), ("OFF", "completed")):
            assert desk.ended(ticket)["status"] == status
        environ = {**desk.environ, **collector.environ}
        event = json.dumps({"ticketId": "SENT"})
        told = desk.run("send", "desk.child.opened", event, "--json", environ=environ)
        assert told.returncode == 0, told.stderr
        assert json.loads(told.stdout)["seq"]
        assert desk.ended("SENT")["status"] == "completed"

    ours = of(collector, "CHILD")
    assert {span.trace for span in ours} == {OUTSIDE}
    assert (ours[0].parent, ours[0].state) == ("b7ad6b7169203331", "vendor=1")
    [sent] = collector.named("send desk.paid")
    assert sent.attributes["messaging.destination.name"] == "desk.paid"
    [child] = of(collector, "C")
    assert (child.name, child.trace, child.parent) == (
        "invoke_workflow child",
        OUTSIDE,
        ours[0].id,
    )
    assert child.attributes["layby.parent.run.id"] == ours[0].attributes["layby.run.id"]
    async with opened(ConnectionSettings(servers=(desk.url,))) as bus:
        paid = await last(bus.connection, "EVENTS", "desk.paid")
    assert paid is not None
    assert paid.headers["traceparent"] == f"00-{OUTSIDE}-{sent.id}-01"

    bad = of(collector, "BAD")
    assert bad[0].parent == ""
    [broken] = collector.named("step broken")
    assert broken.attributes["error.type"] == bad[0].attributes["error.type"] == "ValueError"
    assert (broken.status, broken.says) == (2, "the key is [redacted]")
    assert CANARY.encode() not in collector.raw
    assert not of(collector, "OFF"), "its sender does not want it sampled"

    [client] = collector.named("send desk.child.opened")
    [started] = of(collector, "SENT")
    assert (started.trace, started.parent) == (client.trace, client.id)
    assert (client.resource["service.name"], started.resource["service.name"]) == ("layby", "desk")


@pytest.mark.slow
def test_every_end_of_a_question_is_in_the_trace(desk: Desk, collector: Collector) -> None:
    contents = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"}
    with working(desk, collector, **contents) as said:
        send(desk, "EXPIRED", "expire")
        assert desk.ended("EXPIRED")["status"] == "completed"
        send(desk, "CANCELLED", "ask")
        desk.question("CANCELLED")
        desk.json("cancel", "CANCELLED", "--reason", "no need")
        assert desk.ended("CANCELLED")["status"] == "cancelled"
        send(desk, "REJECTED")
        desk.question("REJECTED")
        desk.json("answer", "REJECTED", "reject: no")
        assert desk.ended("REJECTED")["status"] == "completed"

    assert resumed(of(collector, "EXPIRED")[-1])["layby.question.resolution"] == "expired"
    first, *_, cancelled = of(collector, "CANCELLED")
    assert resumed(cancelled)["layby.question.resolution"] == "cancelled"
    assert cancelled.attributes["layby.outcome"] == "cancelled"
    assert [id_ for _, id_, _ in cancelled.links] == [first.id]
    rejected = of(collector, "REJECTED")
    [again] = [each for each in rejected if each.name == "invoke_agent Clerk" and each.links]
    assert resumed(again)["layby.question.resolution"] == "rejected"
    assert "execute_tool refund" not in {each.name for each in rejected}

    chat = next(each for each in rejected if each.name == "chat scripted")
    assert "SYSTEM" in chat.attributes["gen_ai.system_instructions"]
    assert "A-1" in chat.attributes["gen_ai.output.messages"]

    lines = [each for each in said if each.get("actor")]
    assert {each["event"] for each in lines} >= {"run.started", "question.asked", "run.completed"}
    trace_ids = {span.attributes["layby.run.id"]: span.trace for span in collector.spans}
    assert all(each["trace_id"] == trace_ids[each["run"]] for each in lines)
    span_ids = {span.id for span in collector.spans}
    assert all(each["span_id"] in span_ids for each in lines if "span_id" in each)
    assert [each for each in lines if "span_id" in each]


@pytest.mark.slow
def test_a_killed_worker_loses_its_open_segment_and_no_span_is_sent_twice(
    desk: Desk, collector: Collector
) -> None:
    killed = desk.start_worker(**collector.environ)
    send(desk, "K", "slow", folder=str(desk.folder))
    desk.sooner_or_later((desk.folder / "slow").exists)
    [note] = collector.seen_named("step note")
    killed.send_signal(signal.SIGKILL)
    killed.wait(WITHIN)
    (desk.folder / "go").touch()
    desk.start_worker(**collector.environ)
    assert desk.ended("K")["status"] == "completed"
    desk.stop_workers()
    assert len(collector.named("step note")) == 1
    [slow] = collector.named("step slow")
    [whole] = collector.named("invoke_workflow handle")
    assert whole.segment == "repeated"
    assert slow.parent == whole.id
    assert slow.trace == whole.trace == note.trace == desk.json("show", "K")["trace"]
    assert [id_ for _, id_, _ in whole.links] == [note.parent]


@pytest.mark.slow
def test_a_server_that_never_answers_stops_neither_runs_nor_the_end(
    desk: Desk, collector: Collector
) -> None:
    collector.hangs.set()
    try:
        # As long as the exporter may take by itself, the worker would outlive the test.
        with working(desk, collector, OTEL_EXPORTER_OTLP_TIMEOUT="600") as said:
            for ticket in ("A", "B", "C"):
                send(desk, ticket, "expire")
            for ticket in ("A", "B", "C"):
                assert desk.ended(ticket)["status"] == "completed"
            Desk.sooner_or_later(lambda: collector.waiting)
    finally:
        collector.hangs.clear()
    assert "tracing.spans_lost" in {line["event"] for line in said}
