"""A deploy that renames a step over parked runs, and the one that puts it back: real processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from layby.bus.server import EmbeddedServer
from tests.fix_layby import Desk
from tests.fix_messages import MessagesApi

pytestmark = [pytest.mark.nats, pytest.mark.slow, pytest.mark.timeout(240)]

APP = """
from __future__ import annotations

from pathlib import Path

from layby import Agent, App, Network, Step
from layby.models import anthropic

agent = Agent("A", model=anthropic("claude-haiku-4-5"))
team = Network("team", agents=[agent], router=lambda route: None if route.turns else agent)
app = App("desk", networks=[team])


def reserve(ticket: str) -> str:
    with Path("ledger").open("a") as ledger:
        ledger.write(f"{ticket}\\n")
    return ticket


@app.workflow(on="desk.opened", key="ticket")
async def handle(event: dict, step: Step) -> str:
    await step.run("STEP", reserve, event["ticket"])
    return (await step.ask("developer", "Ready?")).text


@app.workflow(on="desk.asked", key="ticket")
async def think(event: dict, step: Step) -> str:
    return (await step.network(team, "Say hello.")).text
"""
KEY = "ANTHROPIC_API_KEY"
TICKETS = [f"T{n}" for n in range(4)]


@pytest.fixture
def desk(tmp_path: Path, own_server: EmbeddedServer) -> Iterator[Desk]:
    made = Desk(tmp_path, own_server.url)
    try:
        yield made
    finally:
        made.stop_workers()


def deploy(desk: Desk, step: str) -> None:
    (desk.folder / "desk.py").write_text(APP.replace("STEP", step))


def test_a_deploy_that_renames_a_step_blocks_and_the_one_that_puts_it_back_finishes(
    desk: Desk,
) -> None:
    deploy(desk, "reserve")
    desk.start_worker()
    for ticket in TICKETS:
        desk.run("send", "desk.opened", json.dumps({"ticket": ticket}))
    desk.sooner_or_later(lambda: len(desk.json("questions")) == len(TICKETS))
    desk.stop_workers()
    deploy(desk, "book")
    desk.start_worker()
    for ticket in TICKETS:
        desk.run("answer", ticket, "go")
    desk.sooner_or_later(lambda: len(desk.json("runs", "--status", "blocked")) == len(TICKETS))
    shown = desk.run("runs").stdout
    assert "blocked: recorded step 'reserve'" in shown
    assert "put the step back" in shown
    detail = desk.json("show", TICKETS[0])
    assert (detail["status"], "'reserve'" in detail["error"]) == ("blocked", True)
    assert "put the step back" in detail["needs"]
    assert "put the step back" in desk.run("show", TICKETS[0]).stdout.replace("\n", " ")
    [finding] = [f for f in desk.json("doctor", code=1) if f["subject"] == "blocked runs"]
    assert f"{len(TICKETS)}: " in finding["message"]
    desk.stop_workers()
    deploy(desk, "reserve")
    desk.start_worker()
    ended = [desk.ended(ticket) for ticket in TICKETS]
    desk.stop_workers()
    assert {row["status"] for row in ended} == {"completed"}
    assert sorted((desk.folder / "ledger").read_text().split()) == TICKETS


def test_a_worker_with_the_key_finishes_what_one_without_has_blocked(
    desk: Desk, messages_api: MessagesApi
) -> None:
    deploy(desk, "reserve")
    messages_api.reply("hello")
    base = {"ANTHROPIC_BASE_URL": messages_api.url, "ANTHROPIC_AUTH_TOKEN": ""}
    refused = desk.run(
        "worker", "desk:app", "--require-keys", environ={**desk.environ, **base, KEY: ""}
    )
    assert refused.returncode == 1
    assert "set ANTHROPIC_API_KEY" in refused.stderr
    desk.start_worker(**base, ANTHROPIC_API_KEY="")
    desk.run("send", "desk.asked", json.dumps({"ticket": "K1"}))
    [row] = desk.sooner_or_later(lambda: desk.json("runs", "--status", "blocked"))
    assert "there is no API key" in row["reason"]
    desk.start_worker(**base, ANTHROPIC_API_KEY="sk-of-the-second-worker")
    assert desk.ended("K1")["status"] == "completed"
    assert len(messages_api.requests) == 1
    for said in (desk.run("show", "K1").stdout, json.dumps(desk.json("show", "K1"))):
        assert "sk-of" not in said


def test_many_are_retried_after_a_count_and_a_sample(desk: Desk) -> None:
    deploy(desk, "reserve")
    (desk.folder / "desk.py").write_text((desk.folder / "desk.py").read_text() + BROKEN)
    desk.start_worker()
    for ticket in TICKETS[:3]:
        desk.run("send", "desk.broken", json.dumps({"ticket": ticket}))
    desk.sooner_or_later(lambda: len(desk.json("runs", "--status", "failed")) == 3)
    every = ("retry", "--all", "--workflow", "broken", "--since", "1h")
    dry = desk.run(*every, "--dry-run").stdout
    assert "3 runs can be retried" in dry
    assert desk.json(*every, "--dry-run", "--status", "blocked")["count"] == 0
    assert desk.run(*every).returncode == 2
    (desk.folder / "mended").touch()
    assert desk.json(*every, "--yes", "--by", "ada")["retried"] == 3
    ended = [desk.ended(ticket) for ticket in TICKETS[:3]]
    assert {row["status"] for row in ended} == {"completed"}
    assert desk.run("retry", TICKETS[0]).returncode == 1


BROKEN = """

@app.workflow(on="desk.broken", key="ticket")
async def broken(event: dict, step: Step) -> str:
    from layby import NonRetriableError

    def work() -> str:
        if not Path("mended").exists():
            raise NonRetriableError("broken")
        return "fine"

    return await step.run("work", work)
"""
