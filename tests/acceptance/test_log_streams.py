"""Logs of runs in several streams: everything is as with one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from layby import Agent, App, Network, Step, tool
from layby.bus.log_subject import partition, shares, stream_of
from layby.bus.server import EmbeddedServer
from layby.client import NoSuchRun
from layby.runtime.ids import run_id
from layby.testing import running
from layby.tools import ask_developer
from layby.views.rows import Purged
from tests.engine import WITHIN, WORKFLOW, Engine, app_of, once, until
from tests.examples import proofs_but
from tests.fix_layby import APP, Desk
from tests.scripted import Scripted, asks, calls, says
from tests.split_app import CHARGES

pytestmark = pytest.mark.nats


@pytest.fixture(params=proofs_but(1, [4, 1, 16]))
def count(request: pytest.FixtureRequest) -> int:
    """Over how many streams logs are split."""
    return int(request.param)


def events_of_every_partition() -> dict[str, str]:
    """An event id for each partition."""
    found: dict[str, str] = {}
    number = 0
    while len(found) < 16:
        found.setdefault(partition(run_id(WORKFLOW, f"e{number}")), f"e{number}")
        number += 1
    return found


async def ask(event: dict[str, Any], step: Step) -> str:
    """Sleep, then ask: mail of all kinds."""
    await step.sleep("20ms")
    answer = await step.ask("developer", f"What about {event['ticket']}?")
    return f"{event['ticket']}: {answer.text}"


async def stored(engine: Engine, count: int) -> dict[str, int]:
    found = {name: await engine.wire.api(f"STREAM.INFO.{name}") for name in shares(count)}
    return {name: info["state"]["messages"] for name, info in found.items()}


async def test_runs_of_every_partition_are_asked_answered_and_watched(
    engine: Engine, count: int
) -> None:
    app = app_of(ask, log_streams=count)
    over: set[str] = set()

    async def look_on() -> None:
        async for line in engine.client.follow():
            if line.kind == "run.ended":
                over.add(line.run)

    async with engine.works(app), engine.works(app):
        looking = asyncio.create_task(look_on())
        runs = {
            digit: await engine.start(f"T{digit}", event_id=event)
            for digit, event in events_of_every_partition().items()
        }
        for question in await engine.questions(16):
            receipt = await engine.answer(question.ticket, "go on")
            assert (receipt.outcome, receipt.question) == ("accepted", question.id)
        for digit, run in runs.items():
            assert await engine.result(run) == f"T{digit}: go on"

        async def all_told() -> bool:
            return over == set(runs.values())

        await until(all_told)
        looking.cancel()
    expected = Counter(dict.fromkeys(shares(count), 0))
    for run in runs.values():
        expected[stream_of(run, count)] += (await engine.state(run)).tail
        kinds = [event async for event in engine.client.events(run, wait=True)]
        assert kinds[-1].id.partition(".")[0] == str((await engine.state(run)).tail)
    assert await stored(engine, count) == expected


async def test_a_network_works_and_asks(engine: Engine, count: int) -> None:
    @tool
    async def look_up(word: str) -> str:
        """Look something up."""
        return f"{word} is known"

    model = Scripted(calls(("look_up", {"word": "x"})), asks("Is it x?"), says("It is x."))
    agent = Agent("Clerk", tools=[look_up, ask_developer])
    network = Network("team", agents=[agent], router=once, default_model=model)

    async def handle(event: dict[str, Any], step: Step) -> str:
        return str((await step.network(network, f"Ticket {event['ticket']}")).text)

    async with engine.works(app_of(handle, network, log_streams=count)):
        run = await engine.start()
        await engine.question(run=run)
        assert (await engine.answer(text="yes")).outcome == "accepted"
        assert await engine.result(run) == "It is x."


async def test_mail_with_the_same_number_in_two_streams_is_handled_in_parallel(
    engine: Engine,
) -> None:
    """Sequences are a stream's own: the third message of one is not that of another."""
    meeting = asyncio.Barrier(2)

    async def meet() -> None:
        async with asyncio.timeout(WITHIN):
            await meeting.wait()

    async def handle(event: dict[str, Any], step: Step) -> None:
        del event
        await step.sleep("20ms")
        await step.run("meet", meet)

    events = events_of_every_partition()
    async with engine.works(app_of(handle, log_streams=4)):
        runs = [await engine.start(f"T{d}", event_id=events[d]) for d in ("0", "f")]
        for run in runs:
            assert await engine.result(run) is None
    assert {stream_of(run, 4) for run in runs} == {"RUNS", "RUNS_c"}


@pytest.mark.parametrize("point", proofs_but(1, ["after_append", "after_effect", "before_ack"]))
async def test_what_a_killed_worker_leaves_is_taken_up(
    own_server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    charges = tmp_path / "charges"
    monkeypatch.setenv(CHARGES, str(charges))
    async with running("tests.split_app:app", url=own_server.url, workers=0) as rt:
        async with rt.crashing(point):
            runs = [await rt.send("split.opened", {"ticket": f"T{n}"}) for n in range(8)]
        async with rt.worker():
            for number, run in enumerate(runs):
                await rt.answer(run, "yes")
                said = [f"charged T{number}-1", "yes", f"charged T{number}-2"]
                assert await rt.result(run) == said
    done = Counter(charges.read_text().split())
    # What ran, and was not recorded when its worker was killed, runs again: one step of each run.
    assert set(done) == {f"T{n}-{k}" for n in range(8) for k in (1, 2)}
    assert max(done.values()) <= 2


async def test_runs_are_cancelled_purged_and_examined(engine: Engine, count: int) -> None:
    app = app_of(ask, log_streams=count)
    async with engine.works(app):
        events = events_of_every_partition()
        runs = [await engine.start(f"T{d}", event_id=event) for d, event in events.items()]
        await engine.questions(16)
        for run in runs[:8]:
            assert (await engine.client.cancel(run, "enough")).status == "cancelled"

        async def all_cancelled() -> bool:
            return len(await engine.client.runs("cancelled")) == 8

        await until(all_cancelled)
        found = {finding.subject: finding for finding in await engine.client.doctor()}
        sick = {finding.subject for finding in found.values() if finding.level != "ok"}
        assert sick <= {"authorisation", "replicas", "sync_interval"}  # of the tests' own server
        assert f"in {count} stream" in found["logs"].message
        assert all(name in found["logs"].message for name in shares(count))
        entries = sum([(await engine.state(run)).tail for run in runs[:8]])
        fences = 8  # one each, so that nobody takes it up again meanwhile
        assert await engine.client.purge(0) == Purged(runs=8, messages=entries + fences)
        for run in runs[:8]:
            with pytest.raises(NoSuchRun):
                await engine.client.show(run)
        for run in runs[8:]:
            assert (await engine.client.show(run)).status == "waiting"


async def test_the_doctor_misses_a_stream_of_logs(engine: Engine) -> None:
    async with engine.works(app_of(ask, log_streams=4)):
        pass
    await engine.wire.api("STREAM.DELETE.RUNS_8")
    findings = [f for f in await engine.client.doctor() if f.level == "error"]
    assert [(f.subject, f.message) for f in findings] == [("streams", "missing: RUNS_8")]


@pytest.fixture
def desk(tmp_path: Path, own_server: EmbeddedServer) -> Iterator[Desk]:
    (tmp_path / "desk.py").write_text(APP.replace('App("desk")', 'App("desk", log_streams=4)'))
    made = Desk(tmp_path, own_server.url)
    try:
        yield made
    finally:
        made.stop_workers()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_command_finds_its_way(desk: Desk) -> None:
    desk.start_worker()
    tickets = [f"T{number}" for number in range(5)]
    for ticket in tickets:
        desk.open_ticket(ticket)
    for ticket in tickets:
        question = desk.question(ticket)
        assert desk.json("answer", ticket, "roll it back")["outcome"] == "accepted"
        assert desk.ended(ticket)["status"] == "completed"
        shown = desk.json("show", question["run"])
        assert shown["result"]["said"] == "roll it back"
        assert "roll it back" in desk.run("show", ticket, "--follow").stdout
    assert {row["ticket"] for row in desk.json("runs", "--status", "completed")} == set(tickets)
    told = {finding["subject"]: finding["message"] for finding in desk.json("doctor")}
    assert "in 4 streams: RUNS " in told["logs"]
    assert desk.json("purge", "--older-than", "0s")["runs"] == len(tickets)
    assert desk.json("runs") == []


@pytest.mark.timeout(240)
def test_the_command_says_what_is_there_and_what_to_do(desk: Desk) -> None:
    assert desk.run("provision", "desk:app").returncode == 0
    (desk.folder / "desk.py").write_text(APP)
    for command in ("provision", "worker"):
        done = desk.run(command, "desk:app")
        assert done.returncode != 0
        words = " ".join(done.stderr.split())
        assert "in 4 streams here (RUNS, RUNS_4, RUNS_8, RUNS_c)" in words
        assert "App(log_streams=4)" in words


def test_other_numbers_of_streams_are_refused() -> None:
    for wrong in (0, 3, 5, 32):
        with pytest.raises(Exception, match="log_streams must be 1, 2, 4, 8 or 16"):
            App("desk", log_streams=wrong)
