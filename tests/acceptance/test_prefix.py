"""Two apps in one account, kept apart by their prefixes: the same trigger, ticket, role, code."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from layby import App, Step
from layby.bus.connection import ConnectionSettings
from layby.bus.opened import opened
from layby.bus.server import EmbeddedServer
from layby.client import Client
from layby.operations.provisioning import provision
from layby.runtime.ids import run_id
from layby.worker.worker import working
from tests.engine import until
from tests.fix_layby import Desk

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]

APP = """
from layby import App, Step

app = App("{prefix}", prefix="{prefix}", events=["corp.paid"], streams={{"corp.paid": "CORP"}})


@app.workflow(on="corp.opened", key="ticket", stream="CORP", name="handle")
async def handle(event, step: Step) -> dict[str, str]:
    answer = await step.ask("developer", "{prefix}: what about it?")
    paid = await step.wait_for_event("corp.paid", match={{"ticket": event["ticket"]}})
    return {{"said": answer.text, "by": "{prefix}", "paid": paid["to"]}}
"""
PREFIXES = ("shop", "bank")


class Street(Desk):
    """A folder with two apps, and a stream of their company that triggers both."""

    def as_of(self, prefix: str, *arguments: str, code: int = 0) -> Any:
        return self.json("--prefix", prefix, *arguments, code=code)


@pytest.fixture
async def street(tmp_path: Path, own_server: EmbeddedServer) -> Street:
    for prefix in PREFIXES:
        (tmp_path / f"{prefix}.py").write_text(APP.format(prefix=prefix))
    async with opened(ConnectionSettings(servers=(own_server.url,))) as bus:
        corp = {"name": "CORP", "subjects": ["corp.>"], "allow_direct": True}
        await bus.requests.api("STREAM.CREATE.CORP", corp)
    return Street(tmp_path, own_server.url)


@pytest.fixture
def workers(street: Street) -> Iterator[Street]:
    """Real workers of both apps."""
    try:
        for prefix in PREFIXES:
            street.start_worker(app=f"{prefix}:app")
        yield street
    finally:
        street.stop_workers()


def test_neither_app_takes_messages_of_the_other(workers: Street) -> None:
    street = workers
    street.as_of("shop", "send", "corp.opened", json.dumps({"ticket": "T1"}), "--id", "e1")
    asked = {p: street.sooner_or_later(partial(street.as_of, p, "questions")) for p in PREFIXES}
    for prefix in PREFIXES:
        [question] = asked[prefix]
        assert question["question"] == f"{prefix}: what about it?"
    assert street.json("runs") == street.json("questions") == [], "no app has no prefix"

    told = street.as_of("shop", "answer", "T1", "from shop")
    assert told["outcome"] == "accepted"
    [still] = street.as_of("bank", "questions")
    assert still["id"] == asked["bank"][0]["id"]
    assert street.as_of("shop", "questions") == []

    assert street.as_of("bank", "answer", "T1", "from bank")["outcome"] == "accepted"
    street.as_of("shop", "send", "corp.paid", json.dumps({"ticket": "T1", "to": "both"}))
    for prefix in PREFIXES:
        run = street.sooner_or_later(
            partial(street.as_of, prefix, "runs", "--status", "completed")
        )[0]["id"]
        result = street.as_of(prefix, "show", run)["result"]
        assert result == {"said": f"from {prefix}", "by": prefix, "paid": "both"}


def test_dead_letters_and_cancels_are_each_apps_own(workers: Street) -> None:
    street = workers
    street.as_of("shop", "send", "corp.opened", json.dumps({"no": "ticket"}), code=1)
    for prefix in PREFIXES:
        [letter] = street.sooner_or_later(partial(street.as_of, prefix, "dead", "list"))
        assert letter["mailbox"] == f"{prefix}-on-handle"
    [letter] = street.as_of("shop", "dead", "list")
    street.as_of("shop", "dead", "drop", str(letter["id"]))
    assert len(street.as_of("bank", "dead", "list")) == 1

    street.as_of("shop", "send", "corp.opened", json.dumps({"ticket": "T2"}))
    for prefix in PREFIXES:
        street.sooner_or_later(partial(street.as_of, prefix, "questions"))
    street.as_of("shop", "cancel", "T2")
    street.sooner_or_later(lambda: street.as_of("shop", "runs", "--status", "cancelled"))
    assert street.as_of("bank", "runs", "--status", "cancelled") == []
    assert len(street.as_of("bank", "questions")) == 1


def test_the_prefix_comes_from_the_environment_too(workers: Street) -> None:
    street = workers
    street.as_of("shop", "send", "corp.opened", json.dumps({"ticket": "T3"}))
    street.sooner_or_later(lambda: street.as_of("bank", "questions"))
    done = street.run("questions", environ={**street.environ, "LAYBY_PREFIX": "bank"})
    assert "bank: what about it?" in done.stdout


def test_the_doctor_misses_no_stream_of_events_where_all_come_from_streams_of_others(
    street: Street,
) -> None:
    for prefix in PREFIXES:
        street.as_of(prefix, "provision", f"{prefix}:app")
    street.as_of("shop", "send", "corp.opened", json.dumps({"ticket": "T4"}))
    findings = {each["subject"]: each for each in street.as_of("shop", "doctor")}
    assert findings["streams"]["level"] == "ok"
    assert "1 message waits" in findings["CORP/shop-on-handle"]["message"]
    assert "CORP/bank-on-handle" not in findings


def test_a_prefix_other_than_the_apps_is_refused(street: Street) -> None:
    told = street.as_of("bank", "provision", "shop:app", code=2)["error"]["message"]
    assert told == "--prefix is 'bank', and shop:app declares 'shop'"


# -- what only one of the two is up for --------------------------------------------------------


def app(prefix: str, deadline: str) -> App:
    made = App("desk", prefix=prefix)

    @made.workflow(on="corp.opened", key="ticket", stream="CORP", name="handle")
    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        await step.ask("developer", "Well?", timeout=deadline, default="")
        return prefix

    return made


@asynccontextmanager
async def client(url: str, prefix: str) -> AsyncGenerator[Client]:
    async with Client.connect(ConnectionSettings(servers=(url,)), prefix=prefix) as found:
        yield found


async def test_deadlines_are_kept_by_workers_of_the_app_alone(street: Street) -> None:
    settings = ConnectionSettings(servers=(street.url,))
    run = run_id("handle", "e9")
    await provision(app("shop", "1h"), settings)
    async with client(street.url, "shop") as shop, client(street.url, "bank") as bank:
        async with working(app("bank", "100ms"), settings):
            await bank.send("corp.opened", {"ticket": "T9"}, event_id="e9")

            async def over() -> bool:
                return bool(await bank.runs("completed"))

            await until(over)
            assert (await bank.show(run)).result == "bank"
            assert await shop.runs() == [], "nobody works for this app yet"
        async with working(app("shop", "1h"), settings):

            async def asked() -> bool:
                return bool(await shop.questions())

            await until(asked)
            assert [each.run for each in await shop.questions()] == [run], "the same id, apart"
            assert await bank.questions() == []
            assert (await bank.show(run)).status == "completed"
            assert (await shop.show(run)).status == "waiting"
