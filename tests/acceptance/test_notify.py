"""`layby notify` as a process: it sends, listens, dies at any time, and is not alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from layby.bus.opened import opened
from layby.bus.server import EmbeddedServer
from layby.bus.settings import ConnectionSettings
from layby.views.workers import WorkerRow, Workers
from tests.command import Command
from tests.engine import until
from tests.fix_layby import WITHIN, Desk
from tests.notify_app import PORTS, line_of
from tests.scraping import answers, free_port, get, scrape, seen

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]

APP = "tests.notify_app:app"


class Called(Desk):
    """A folder, a server, and any number of `layby notify`."""

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self.started: list[Command] = []

    def start_notify(self, *options: str, complete: bool = True) -> Command:
        """Start one, and wait until it is ready."""
        environ = {PORTS: str(self.folder)} if complete else {}
        process = self.start("notify", APP, *options, **environ)
        self.started.append(process)
        said: list[str] = []
        for line in process.stderr:
            said.append(line)
            if line.startswith("ready on"):
                return process
        raise AssertionError("".join(said))

    def port(self, process: Command) -> int:
        """Where a process listens."""
        file = self.folder / f"{process.pid}.port"
        return int(self.sooner_or_later(lambda: file.exists() and int(file.read_text() or 0)))

    def line(self, process: Command) -> socket.socket:
        """A call to a process."""
        found = socket.create_connection(("127.0.0.1", self.port(process)), timeout=WITHIN)
        found.settimeout(WITHIN)
        return found

    def say(self, process: Command, asked: Any, person: str = "ada", **more: Any) -> Any:
        """Say something through a process; the outcome."""
        with self.line(process) as call:
            call.sendall(said(asked, person, **more))
            return json.loads(call.makefile().readline())

    def stored(self) -> int:
        """How many answers the stream has."""

        async def look() -> int:
            async with opened(ConnectionSettings(servers=(self.url,))) as bus:
                info = await bus.requests.api("STREAM.INFO.ANSWERS")
                return int(info["state"]["messages"])

        return asyncio.run(look())

    def sent(self) -> list[list[str]]:
        """The process and the question of each card that was sent."""
        file = self.folder / "sent"
        return [line.split() for line in file.read_text().splitlines()] if file.exists() else []

    def ask(self, ticket: str = "T1", **event: Any) -> Any:
        """Start a run; its question."""
        self.json("send", "called.asked", json.dumps({"ticket": ticket, **event}))
        return self.question(ticket)

    def close(self) -> None:
        self.stop_workers()
        for process in self.started:
            process.close()


def said(asked: Any, person: str = "ada", **more: Any) -> bytes:
    fields = {"ticket": asked["ticket"], "question": asked["id"], "role": asked["role"]}
    return line_of({**fields, "person": person, "answer": "yes", **more})


@pytest.fixture
def desk(tmp_path: Path, own_server: EmbeddedServer) -> Iterator[Called]:
    with contextlib.closing(Called(tmp_path, own_server.url)) as made:
        yield made


def result(desk: Called, ticket: str = "T1") -> Any:
    run = desk.ended(ticket)["id"]
    return desk.json("show", run)["result"]


def test_a_reply_on_a_channel_answers_the_question(desk: Called) -> None:
    desk.start_worker(app=APP)
    notify = desk.start_notify()
    asked = desk.ask()
    assert desk.sooner_or_later(desk.sent)[0][1] == asked["id"]
    outcome = desk.say(notify, asked)
    assert (outcome["outcome"], outcome["by"]) == ("accepted", "ada")
    assert result(desk) == ["yes", "ada", "token"]
    late = desk.say(notify, asked, "bob")
    assert (late["outcome"], late["by"]) == ("already_answered", "ada")
    assert "InvalidTicket" in desk.say(notify, asked, "ada.via-slack")["reason"]
    notify.terminate()
    assert notify.wait(WITHIN) == 0


def test_its_metrics_and_probes_are_those_of_a_worker(desk: Called) -> None:
    """It counts the cards that it sends, and is not taken for a worker itself."""
    desk.start_worker(app=APP)  # it lacks what the channel needs, so it sends nothing
    sends, listens, streams = free_port(), free_port(), free_port()
    desk.start_notify("--metrics-port", str(sends), "--only", "send")
    desk.start_notify("--metrics-port", str(listens), "--only", "listen")
    exporter = desk.start("exporter", "--metrics-port", str(streams))
    try:
        for port in (sends, listens):
            answers(port, "/healthz", 200)
            answers(port, "/readyz", 200)
            assert scrape(port).value("layby_connected") == 1
        desk.ask()
        seen(sends, lambda it: it.value("layby_cards_total", channel="phone", status="sent") == 1)
        found = seen(streams, lambda it: it.value("layby_workers", state="running") is not None)
        desk.sooner_or_later(lambda: scrape(streams).value("layby_workers", state="running") == 1)
        assert found.value("layby_workers", state="lost") == 0
    finally:
        exporter.terminate()
        exporter.wait(WITHIN)
        exporter.close()


@pytest.mark.slow
def test_an_answer_counts_once_if_the_process_is_killed_before_its_receipt(desk: Called) -> None:
    desk.start_worker(app=APP)
    notify = desk.start_notify()
    asked = desk.ask()
    desk.stop_workers()
    with desk.line(notify) as call:
        call.sendall(said(asked))
        desk.sooner_or_later(lambda: desk.stored() == 1)
        notify.kill()
        assert notify.wait(WITHIN) == -9
    again = desk.start_notify()
    assert desk.say(again, asked)["outcome"] == "stored"  # the channel delivers it once more
    desk.start_worker(app=APP)
    assert result(desk) == ["yes", "ada", "token"]
    assert desk.stored() == 2
    assert desk.say(again, asked)["outcome"] == "already_answered"


def test_two_processes_at_once_answer_once(desk: Called) -> None:
    desk.start_worker(app=APP)
    both = [desk.start_notify("--name", name) for name in ("one", "two")]
    for number in range(3):
        asked = desk.ask(f"T{number}")
        calls = [desk.line(process) for process in both]
        for call in calls:
            call.sendall(said(asked))
        outcomes = [json.loads(call.makefile().readline())["outcome"] for call in calls]
        assert sorted(outcomes) == ["accepted", "already_answered"]
        assert result(desk, f"T{number}") == ["yes", "ada", "token"]
        for call in calls:
            call.close()
    questions = [question for _, question in desk.sent()]
    assert len(questions) == len(set(questions)) == 3


def test_each_part_alone(desk: Called) -> None:
    desk.start_worker(app=APP)
    listening = desk.start_notify("--only", "listen")
    asked = desk.ask()
    assert desk.say(listening, asked)["outcome"] == "accepted"
    assert not desk.sent()
    sending = desk.start_notify("--only", "send")
    second = desk.ask("T2")
    found = desk.sooner_or_later(
        lambda: next((pid for pid, which in desk.sent() if which == second["id"]), None)
    )
    assert int(found) == sending.pid
    assert not (desk.folder / f"{sending.pid}.port").exists()


@pytest.mark.slow
def test_a_channel_that_breaks_stops_nobody_and_is_tried_again(desk: Called) -> None:
    desk.start_worker(app=APP)
    port = free_port()
    notify = desk.start_notify("--metrics-port", str(port))
    asked = desk.ask()
    assert desk.say(notify, asked)["outcome"] == "accepted"
    shown = seen(port, lambda it: it.value("layby_channel_heard", channel="broken") == 0)
    assert shown.value("layby_channel_heard", channel="phone") == 1
    deaf: list[str] = []
    deadline = time.monotonic() + WITHIN
    for line in notify.stderr:
        deaf += [line] if "channel.deaf" in line else []
        assert time.monotonic() < deadline
        if len(deaf) == 2:
            break
    assert all("no dial tone" in line and "broken" in line for line in deaf)
    first, second = [float(line.rsplit("again_in=", 1)[1]) for line in deaf]
    assert second == 2 * first


def test_it_survives_an_outage_of_the_server(desk: Called, own_server: EmbeddedServer) -> None:
    desk.start_worker(app=APP)
    notify = desk.start_notify()
    asked = desk.ask()
    own_server.kill()
    assert desk.say(notify, asked)["outcome"] == "error"
    asyncio.run(own_server.start())
    assert desk.sooner_or_later(
        lambda: desk.say(notify, asked)["outcome"] in {"accepted", "already_answered"}
    )
    assert result(desk) == ["yes", "ada", "token"]


@pytest.mark.parametrize("only", [(), ("--only", "send"), ("--only", "listen")])
def test_its_probes_tell_an_outage_and_its_end_and_it_ends_well(
    desk: Called, own_server: EmbeddedServer, only: tuple[str, ...]
) -> None:
    port = free_port()
    notify = desk.start_notify("--metrics-port", str(port), *only)
    answers(port, "/readyz", 200)
    own_server.kill()
    assert answers(port, "/readyz", 503).text.startswith("it is not connected to NATS\n")
    assert answers(port, "/healthz", 200), "to start it again would not help"
    assert scrape(port).value("layby_connected") == 0
    asyncio.run(own_server.start())
    answers(port, "/readyz", 200)
    notify.terminate()
    assert notify.wait(WITHIN) == 0
    assert get(port, "/healthz") is None


def test_a_second_process_on_the_same_port_ends_with_the_reason(desk: Called) -> None:
    port = free_port()
    desk.start_notify("--metrics-port", str(port))
    second = desk.run("notify", APP, "--metrics-port", str(port))
    assert second.returncode == 1
    assert f"cannot serve metrics on 127.0.0.1:{port}" in second.stderr


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((APP, "--only", "listen"), "can listen here"),
        (("tests.votes_app:app",), "has no channels"),
        ((APP, "--only", "talk"), "--only must be one of"),
        (("tests.notify_app:nothing",), "nothing"),
    ],
)
def test_a_setup_that_cannot_work_ends_with_the_reason(
    desk: Called, arguments: tuple[str, ...], why: str
) -> None:
    done = desk.run("notify", *arguments)
    assert done.returncode in {1, 2}
    assert why in done.stderr


def test_it_beats_as_a_notifier(desk: Called) -> None:
    notify = desk.start_notify()

    async def heard() -> list[tuple[str, str, int]]:
        async with (
            opened(ConnectionSettings(servers=(desk.url,))) as bus,
            Workers.listening(bus.connection, bus.requests.names) as workers,
        ):

            async def look() -> list[WorkerRow]:
                return workers.rows()

            return [(row.kind, row.app, row.pid) for row in await until(look, WITHIN)]

    assert asyncio.run(heard()) == [("notifier", "called", notify.pid)]
