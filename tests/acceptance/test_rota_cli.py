"""`layby rota`, as an operator uses it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from layby import App, Role
from layby.cli.entry import run
from layby.operations.provisioning import provision
from tests.engine import Engine, app_of

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
    await provision(app(), engine.settings)

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
async def test_what_cannot_be_is_refused_before_anything_is_sent(
    engine: Engine, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    code, document = rota(engine, capsys, *arguments)
    assert (code, document["error"]["type"]) == (2, "UsageError")
