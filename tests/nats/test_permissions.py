"""The logins of one account: what each may do is enough, and what is denied is denied.

What it does not stop is in tests/security/.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from layby import Agent, App, Network, Step, tool
from layby.access import Staff, Wall, outline
from layby.access.config import one_account
from layby.bus.binary import find_binary
from layby.bus.connection import Connection, ConnectionSettings, connect
from layby.bus.errors import BusError, PermissionDenied
from layby.bus.opened import opened
from layby.bus.server import EmbeddedServer
from layby.bus.threads import ThreadLog
from layby.client import Client
from layby.history import HistoryStore, nats_history
from layby.operations.provisioning import provision
from layby.runtime.ids import run_id
from layby.tools import ask_developer
from layby.views.rows import QuestionRow
from layby.worker.worker import working
from tests.engine import once, until
from tests.examples import proofs_but
from tests.scripted import Scripted, asks, calls, says

pytestmark = pytest.mark.nats

CONFIG = Path(__file__).parents[2] / "deploy" / "nats-server.conf"
USERS = ("provisioner", "worker", "helpdesk", "ada", "observer", "operator")
WITHIN = 30.0


class House:
    """A server that is strict about who may do what, and the ways in."""

    def __init__(self, url: str) -> None:
        self.url = url

    def settings(self, user: str) -> ConnectionSettings:
        return ConnectionSettings(
            servers=(self.url,), user=user, password=f"of-{user}", inbox_prefix=f"_INBOX_{user}"
        )

    @asynccontextmanager
    async def client(self, user: str) -> AsyncGenerator[Client]:
        async with Client.connect(self.settings(user)) as client:
            yield client

    @asynccontextmanager
    async def connection(self, user: str) -> AsyncGenerator[Connection]:
        async with await connect(self.settings(user)) as connection:
            yield connection


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    wall = Wall(apps=(outline(desk(16, nats_history())),), named_only=True)
    text = one_account(wall, Staff(), "layby accounts config APP --one-account --named-only")
    for user in USERS:
        text = text.replace(f"$LAYBY_{user.upper()}_PASSWORD", f'"of-{user}"')
    async with EmbeddedServer(tmp_path / "nats", extra=text) as server:
        yield House(server.url)


def desk(log_streams: int = 1, history: HistoryStore | None = None) -> App:
    """An app that does a bit of everything: steps, turns, questions, sleeps, big values."""

    @tool
    async def read_book() -> str:
        """Read a lot."""
        return "x" * 200_000

    model = Scripted(calls(("read_book", {})), asks("Is it known?"), says("It is."))
    agent = Agent("Technical Support", tools=[ask_developer, read_book])
    network = Network("support", agents=[agent], router=once, default_model=model)
    app = App("support", networks=[network], log_streams=log_streams, history=history)

    @app.workflow(on="support.ticket.created", key="ticketId", name="support_ticket")
    async def support_ticket(event: dict[str, Any], step: Step) -> str:
        if event["ticketId"] == "long":
            await step.sleep("1h")
        await step.run("look", str, event["ticketId"])
        await step.sleep("50ms")
        found = await step.network(network, "Help!")
        return str(found.text)

    return app


async def the_question(client: Client) -> QuestionRow:
    return (await until(client.questions))[0]


async def test_a_user_who_may_only_send_learns_that_the_event_is_stored(house: House) -> None:
    await provision(desk(), house.settings("provisioner"))
    async with house.client("helpdesk") as helpdesk:
        sent = await helpdesk.dispatch("support.ticket.created", {"ticketId": "T1"}, within=2)
    assert sent.seq == 1
    assert not sent.told


@pytest.mark.parametrize("log_streams", proofs_but(1, [4, 1]))
async def test_a_worker_that_may_create_nothing_does_everything(
    house: House, log_streams: int
) -> None:
    app = desk(log_streams)
    await provision(app, house.settings("provisioner"))
    async with (
        working(app, house.settings("worker")),
        house.client("observer") as observer,
        house.client("helpdesk") as helpdesk,
        house.connection("ada") as ada,
    ):
        await helpdesk.send("support.ticket.created", {"ticketId": "T1"}, event_id="e1")
        await helpdesk.send("support.ticket.created", b"no JSON at all")
        asked = await the_question(observer)
        assert asked.ticket == "T1"
        receipts = await ada.nc.subscribe("developer.receipt.T1")
        await ada.nc.flush()
        await ada.nc.publish("developer.response.T1.ada", b"Fixed in v1.1.4")
        receipt = await receipts.next_msg(WITHIN)
        assert b'"outcome":"accepted"' in receipt.data
        assert b'"by":"ada"' in receipt.data
        run = run_id("support_ticket", "e1")
        async with asyncio.timeout(WITHIN):
            lines = [line async for line in observer.follow(run, wait=True)]
        assert (lines[-1].kind, lines[-1].data["result"]) == ("run.ended", "It is.")

        async def done() -> bool:
            return bool(await observer.runs("completed"))

        await until(done)
        assert (await observer.show(run)).result == "It is."
        findings = await observer.doctor()
        assert any("not JSON" in finding.message for finding in findings)
        assert not any(finding.level == "error" for finding in findings)


async def test_a_person_sees_the_open_questions(house: House) -> None:
    app = desk()
    await provision(app, house.settings("provisioner"))
    async with (
        working(app, house.settings("worker")),
        house.client("helpdesk") as helpdesk,
        house.client("ada") as ada,
    ):
        await helpdesk.send("support.ticket.created", {"ticketId": "T1"})
        assert (await the_question(ada)).question == "Is it known?"
        with pytest.raises(PermissionDenied, match=r"developer\.response\.T1"):
            await ada.answer("T1", "I say so", timeout=2)
        with pytest.raises(PermissionDenied, match=r"developer\.response\.T1\.bob"):
            await ada.answer("T1", "I say so", responder="bob", timeout=2)
        with pytest.raises(ValueError, match="use letters"):
            await ada.answer("T1", "I say so", responder="ada.>")
        receipt = await ada.answer("T1", "I say so", by="the boss", responder="ada")
        assert (receipt.outcome, receipt.by) == ("accepted", "ada")


@pytest.mark.parametrize("log_streams", proofs_but(1, [4, 1, 16]))
async def test_an_operator_may_cancel_and_purge_and_an_observer_may_not(
    house: House, log_streams: int
) -> None:
    app = desk(log_streams)
    await provision(app, house.settings("provisioner"))
    async with (
        working(app, house.settings("worker")),
        house.client("helpdesk") as helpdesk,
        house.client("observer") as observer,
        house.client("operator") as operator,
    ):
        await helpdesk.send("support.ticket.created", {"ticketId": "long"})

        async def waiting() -> bool:
            return bool(await observer.runs("waiting"))

        await until(waiting)
        with pytest.raises(PermissionDenied):
            await observer.cancel("long")
        assert (await operator.cancel("long", "enough")).status == "cancelled"

        async def cancelled() -> bool:
            return bool(await observer.runs("cancelled"))

        await until(cancelled)
        with pytest.raises(PermissionDenied):
            await observer.purge(0)
        assert (await operator.purge(0)).runs == 1


async def test_an_operator_may_have_threads_erased_and_nobody_else_may(house: House) -> None:
    app = App("talks", history=nats_history())
    await provision(app, house.settings("provisioner"))
    async with working(app, house.settings("worker")):
        async with opened(house.settings("worker")) as bus:
            await ThreadLog(bus.requests).append("T1", "k", b"[]")
        for user in ("worker", "observer", "ada"):
            with pytest.raises(PermissionDenied, match=rf"layby\.do\.erase\.{user}"):
                async with house.client(user) as client:
                    await client.erase(app.name, "T1")
        async with house.client("operator") as client:
            assert await client.erase(app.name, "T1") == 1


async def test_a_worker_on_an_empty_server_says_who_can_help(house: House) -> None:
    async with asyncio.timeout(30):
        with pytest.raises(PermissionDenied, match="layby provision"):
            async with working(desk(), house.settings("worker")):
                pass


async def test_a_worker_says_who_can_change_a_look_ahead_of_an_earlier_release(
    house: House,
) -> None:
    await provision(desk(), house.settings("provisioner"))
    name = "ANSWERS.look-developer"
    async with opened(house.settings("provisioner")) as bus:
        config = (await bus.requests.api(f"CONSUMER.INFO.{name}"))["config"] | {
            "headers_only": True
        }
        body = {"stream_name": "ANSWERS", "config": config}
        await bus.requests.api(f"CONSUMER.CREATE.{name}.{config['filter_subject']}", body)
    with pytest.raises(PermissionDenied, match=r"headers only.*layby provision"):
        async with working(desk(), house.settings("worker")):
            pass
    await provision(desk(), house.settings("provisioner"))
    async with working(desk(), house.settings("worker")):
        pass


FORBIDDEN = [
    ("worker", "developer.response.T1"),
    ("worker", "developer.response.T1.ada"),
    ("worker", "$JS.API.STREAM.CREATE.MINE"),
    ("worker", "$JS.API.STREAM.DELETE.RUNS"),
    ("worker", "$JS.API.STREAM.PURGE.ANSWERS"),
    ("worker", "$JS.API.STREAM.MSG.DELETE.ANSWERS"),
    ("worker", "$JS.API.CONSUMER.DELETE.ANSWERS.answers-developer"),
    ("ada", "developer.response.T1"),
    ("ada", "developer.response.T1.bob"),
    ("ada", "developer.question.T1"),
    ("ada", "developer.receipt.T1"),
    ("ada", "to.0.workflow-x.0run.1"),
    ("ada", "$JS.API.DIRECT.GET.RUNS"),
    ("helpdesk", "developer.response.T1"),
    ("helpdesk", "to.0.workflow-x.0run.1"),
    ("helpdesk", "$JS.API.DIRECT.GET.RUNS"),
    ("observer", "support.ticket.created"),
    ("observer", "developer.response.T1"),
    ("observer", "to.0.workflow-x.0run.1"),
    ("observer", "$JS.API.STREAM.PURGE.RUNS"),
    ("operator", "developer.response.T1"),
    ("operator", "$JS.API.STREAM.DELETE.RUNS"),
    ("operator", "$JS.API.STREAM.PURGE.RUNS"),
    ("operator", "$JS.API.STREAM.MSG.DELETE.DEAD"),
    ("operator", "to.0.workflow-x.0run.1"),
    ("operator", "support.ticket.created"),
    ("operator", "layby.do.cancel.boss"),
    ("operator", "layby.done.operator.1"),
    ("observer", "layby.do.cancel.observer"),
    ("ada", "layby.do.cancel.ada"),
    ("helpdesk", "layby.do.cancel.helpdesk"),
    ("worker", "layby.do.cancel.operator"),
    ("worker", "$JS.API.STREAM.PURGE.AUDIT"),
    ("worker", "$JS.API.STREAM.MSG.DELETE.AUDIT"),
    ("provisioner", "$JS.API.STREAM.UPDATE.AUDIT"),
    ("provisioner", "layby.do.cancel.operator"),
    ("provisioner", "to.0.workflow-x.0run.1"),
    ("provisioner", "developer.response.T1"),
    ("provisioner", "$JS.API.STREAM.DELETE.RUNS"),
    ("provisioner", "$JS.API.DIRECT.GET.RUNS"),
]


def noting(denied: list[str]) -> Callable[[PermissionDenied], None]:
    return lambda error: denied.append(error.subject)


async def test_nobody_may_do_more_than_that(house: House) -> None:
    for user in USERS:
        async with house.connection(user) as connection:
            denied: list[str] = []
            connection.on_denied.append(noting(denied))
            subjects = [subject for name, subject in FORBIDDEN if name == user]
            for subject in subjects:
                await connection.nc.publish(subject, b"")
            await connection.nc.subscribe("_INBOX_somebody_else.>")

            async def all_denied(wanted: int = len(subjects) + 1, denied: Any = denied) -> bool:
                return len(denied) >= wanted

            await until(all_denied)
            assert [s.lower() for s in [*subjects, "_INBOX_somebody_else.>"]] == denied


@pytest.mark.parametrize("name", ["permissions.conf", "accounts.conf"])
def test_it_fits_into_the_production_config(name: str, tmp_path: Path) -> None:
    included = re.sub(
        r'^include ".*"$', f'include "{name}"', CONFIG.read_text(), flags=re.MULTILINE
    )
    assert f'\ninclude "{name}"\n' in included
    (tmp_path / "nats-server.conf").write_text(included)
    (tmp_path / name).write_text((CONFIG.parent / name).read_text())
    command = [find_binary(), "-t", "-c", str(tmp_path / "nats-server.conf")]
    passwords = {f"LAYBY_{user.upper()}_PASSWORD": f"of-{user}" for user in USERS}
    for environ, code in ((passwords, 0), ({}, 1)):
        done = subprocess.run(command, capture_output=True, check=False, env=environ)  # noqa: S603
        assert done.returncode == code, done.stderr


async def test_nobody_gets_in_without_a_password(house: House) -> None:
    with pytest.raises(BusError, match="refuses the login"):
        await connect(ConnectionSettings(servers=(house.url,)))
