"""`layby rota`, as an operator uses it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from layby import App, Role
from layby.actors.people.rota import Window
from layby.cli.entry import run
from layby.commands import Command, StoredCommand
from layby.operations.provisioning import provision
from layby.views.rows import AuditRow
from layby.worker.command_actor import CommandTask
from layby.worker.rota_handler import RotaEdits
from tests.engine import Engine, app_of, until

pytestmark = pytest.mark.nats


async def nothing(event: Any, step: Any) -> None:
    """A workflow that does nothing."""


def app() -> App:
    return app_of(nothing, roles=[Role("developer", rota="dev")])


def rota(engine: Engine, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    """The exit code, and the JSON that was printed."""
    code = run(["--server", engine.settings.servers[0], "--json", "rota", *arguments])
    return code, json.loads(capsys.readouterr().out)


async def test_shifts_and_absences_are_edited_and_shown(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    async with engine.works(app()):
        await edited(engine, capsys)


async def edited(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    async def do(*arguments: str) -> tuple[int, Any]:
        return await asyncio.to_thread(rota, engine, capsys, *arguments)

    window = ["--from", "2000-01-01T00:00", "--until", "2100-01-01T00:00"]
    assert (await do("list")) == (0, [])
    code, document = await do("add", "dev", "ada", *window)
    assert (code, [each["person"] for each in document["shifts"]]) == (0, ["ada"])
    _, document = await do("list")
    assert document == [{"rota": "dev", "told": ["ada"], "absent": {}, "nobody": False}]
    await do("away", "ada", *window, "--delegate", "bob")
    code, document = await do("away", "bob", *window, "--delegate", "ada")
    assert (code, document["error"]["type"]) == (1, "StandInCircle")
    _, document = await do("show", "dev")
    assert (document["told"], document["absent"]) == (["bob"], {"bob": "ada"})
    await do("back", "ada")
    assert (await do("list"))[1][0]["told"] == ["ada"]
    code, document = await do("remove", "dev", "2")
    assert (code, "no shift 2" in document["error"]["message"]) == (1, True)
    assert (await do("remove", "dev", "1"))[1]["shifts"] == []
    assert (await do("show", "dev"))[1]["nobody"] is True
    rows = await engine.client.audit(20, verb="rota")
    assert [row.what.split("  ")[0] for row in rows] == [
        "shifts of dev: - ada",
        "absences: - ada",
        "absences: + bob",
        "absences: + ada",
        "shifts of dev: + ada",
    ]
    assert [row.outcome for row in rows] == ["done", "done", "refused", "done", "done"]


async def test_without_a_worker_an_edit_waits_and_is_done_once_one_starts(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    await provision(app(), engine.settings)
    window = ["--from", "2000-01-01T00:00", "--until", "2100-01-01T00:00", "--as", "eve"]
    code, document = await asyncio.to_thread(rota, engine, capsys, "add", "dev", "ada", *window)
    assert (code, document["error"]["type"]) == (2, "NotDoneYet")
    async with engine.works(app()):

        async def done() -> bool:
            return bool(await engine.client.rotas.shifts("dev"))

        await until(done)
    [row] = await engine.client.audit(5)
    assert (row.by, row.outcome) == ("eve", "done")


async def test_concurrent_edits_are_all_kept(engine: Engine) -> None:
    async with engine.works(app()), engine.works(app()):
        shifts = [shift(f"p{number}") for number in range(12)]
        edits = [engine.client.rotas.change("dev", add=[each]) for each in shifts]
        await asyncio.gather(*edits)
        assert set(await engine.client.rotas.shifts("dev")) == set(shifts)


def shift(person: str) -> Window:
    return Window(person=person, start="2000-01-01", end="2100-01-01")


async def test_an_edit_that_is_delivered_again_does_not_undo_a_later_one(engine: Engine) -> None:
    await provision(app(), engine.settings)
    edits = RotaEdits(engine.wire)
    first, second = task(7, add=(shift("ada"),)), task(8, remove=(shift("ada"),))
    await edits.edit(first)
    await edits.edit(second)
    assert not (await edits.edit(first))["windows"]
    assert await engine.client.rotas.shifts("dev") == ()


def task(seq: int, **what: Any) -> CommandTask:
    command = Command(rota="dev", **what)
    return CommandTask(
        StoredCommand(verb="rota", by="ada", seq=seq, at=1.0, command=command), again=False
    )


@pytest.mark.parametrize(
    ("body", "outcome", "reason"),
    [
        ({"rota": "dev"}, "invalid", "say what to `add`"),
        (
            {"rota": "d.v", "add": [{"person": "ada", "start": "2000-01-01", "end": "2100-01-01"}]},
            "invalid",
            "cannot be the name",
        ),
        (
            {"rota": "dev", "add": [{"person": "a.b", "start": "2000-01-01", "end": "2100-01-01"}]},
            "invalid",
            "not a command",
        ),
        (
            {"rota": "dev", "add": [{"person": "ada", "start": "soon", "end": "2100-01-01"}]},
            "invalid",
            "not a command",
        ),
    ],
)
async def test_an_edit_that_changes_nothing_is_refused_and_in_the_trail(
    engine: Engine, body: dict[str, Any], outcome: str, reason: str
) -> None:
    async with engine.works(app()):
        await engine.wire.store("layby.do.rota.ada", json.dumps(body).encode())

        async def ended() -> list[AuditRow]:
            rows = await engine.client.audit(5)
            return [row for row in rows if row.outcome != "waiting"]

        [row] = await until(ended)
        assert (row.outcome, reason in row.reason) == (outcome, True)
        assert await engine.client.rotas.shifts("dev") == ()


async def test_an_app_without_a_rota_says_so(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    async with engine.works(app_of(nothing, roles=["developer"])):
        arguments = ["--from", "2000-01-01", "--until", "2100-01-01"]
        code, document = await asyncio.to_thread(
            rota, engine, capsys, "add", "dev", "ada", *arguments
        )
        assert (code, document["error"]["type"]) == (1, "NoRota")
        body = {"rota": "dev", "add": [msgspec.to_builtins(shift("ada"))]}
        await engine.wire.store("layby.do.rota.ada", json.dumps(body).encode())

        async def refused() -> bool:
            return any(row.outcome == "refused" for row in await engine.client.audit(5))

        await until(refused)


@pytest.mark.parametrize(
    "arguments",
    [
        ["add", "dev", "ada", "--from", "soon", "--until", "2100-01-01"],
        ["add", "dev", "a.b", "--from", "2000-01-01", "--until", "2100-01-01"],
        ["add", "d.v", "ada", "--from", "2000-01-01", "--until", "2100-01-01"],
        ["away", "ada", "--from", "2100-01-01", "--until", "2000-01-01"],
        ["away", "ada", "--from", "2000-01-01", "--until", "2100-01-01", "--zone", "Mars"],
    ],
)
async def test_an_impossible_edit_is_refused_before_anything_is_sent(
    engine: Engine, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    code, document = rota(engine, capsys, *arguments)
    assert (code, document["error"]["type"]) == (2, "UsageError")
