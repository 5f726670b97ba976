"""Tools of real MCP servers, over standard streams and over HTTP."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import structlog

pytest.importorskip("mcp")

from layby import Agent, App, Route, RoutingAgent
from layby.bus.bucket import Bucket
from layby.runtime.errors import InvalidSetup
from layby.tools import mcp_server
from layby.tools.mcp import McpLost, McpServer
from layby.tools.mcp_wire import name_of
from tests import mcp_desk
from tests.engine import Engine, desk, until
from tests.scripted import Scripted, calls, done, results, routes, says

pytestmark = [pytest.mark.nats, pytest.mark.slow, pytest.mark.timeout(240)]

TOKEN = "s3cret-token"  # noqa: S105  a made-up one
COMMAND = [sys.executable, str(Path(mcp_desk.__file__))]


def over_stdio(**more: Any) -> McpServer:
    return mcp_server("desk", command=COMMAND, env={"DESK_TOKEN": TOKEN}, timeout="20s", **more)


def using(server: McpServer, *lines: Any) -> tuple[App, Scripted]:
    model = Scripted(*lines, says("Done."))
    return desk(Agent("Clerk", tools=[server]), model=model), model


async def outcomes(engine: Engine, run: str) -> list[list[Any]]:
    result = await engine.result(run)
    return list(result["calls"])


async def test_an_agent_calls_the_tools_of_a_child_process(engine: Engine) -> None:
    app, model = using(
        over_stdio(only=["add", "secret", "fail"]),
        calls(("desk-add", {"a": 1, "b": 2}), ("desk-secret", {})),
        calls(("desk-add", {"a": "one"}), ("desk-fail", {"why": "x"}), ("desk-leave", {})),
    )
    with structlog.testing.capture_logs() as logged:
        async with engine.works(app):
            run = await engine.start()
            first, second, *failed = await outcomes(engine, run)
    assert [first, second] == [["desk-add", "3", False], ["desk-secret", "known", False]]
    assert [is_error for _, _, is_error in failed] == [True, True, True]
    assert "a: 'one' is not of type 'integer'" in failed[0][1]
    assert "'b' is a required property" in failed[0][1]
    assert "Error executing tool fail" in failed[1][1]
    assert "no tool named 'desk-leave'" in failed[2][1]
    specs = {spec.name: spec for spec in model.requests[0].tools}
    assert set(specs) == {"desk-add", "desk-secret", "desk-fail"}
    assert specs["desk-add"].description == "Add two numbers."
    stored = [message.data for message in await engine.log.load(run)]
    assert TOKEN not in f"{stored}{logged}{model.requests}"


async def test_a_worker_that_drains_ends_the_child_process(engine: Engine) -> None:
    app, _ = using(over_stdio(), calls(("desk-process", {})))
    async with engine.works(app):
        [[_, pid, _]] = await outcomes(engine, await engine.start())
        os.kill(int(pid), 0)
    await gone(int(pid))


async def gone(pid: int) -> None:
    """Return when the process has ended."""

    async def look() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    await until(look)


@pytest.mark.parametrize("returned", [[], ["by a function"]])
async def test_a_routing_agent_has_them_too(engine: Engine, returned: list[str]) -> None:
    boss = Scripted(calls(("desk-process", {})), routes("Clerk"), done())
    router = RoutingAgent("Boss", tools=[over_stdio(only=["process"])], model=boss)

    def choose(_route: Route) -> RoutingAgent:
        return router

    model = Scripted(says("Hi."))
    app = desk(Agent("Clerk"), model=model, router=choose if returned else router)
    async with engine.works(app):
        result = await engine.result(await engine.start())
        assert result["text"] == "Hi."
        [seen] = results(boss.requests[1])
        pid = int(seen.content)
        os.kill(pid, 0)
    assert [spec.name for spec in boss.requests[0].tools] == [
        "desk-process",
        "route_to_agent",
        "done",
    ]
    await gone(pid)


async def test_the_death_of_a_server_reaches_the_model_and_it_is_restarted(engine: Engine) -> None:
    app, _ = using(
        over_stdio(),
        calls(("desk-process", {})),
        calls(("desk-leave", {})),
        calls(("desk-process", {})),
    )
    async with engine.works(app):
        before, lost, after = await outcomes(engine, await engine.start())
    assert lost[2]
    assert "the MCP server 'desk' was lost during the call" in lost[1]
    assert not after[2]
    assert before[1] != after[1]


async def test_a_person_is_asked_for_the_input_of_a_server(engine: Engine) -> None:
    async with mcp_desk.serving() as url:
        server = mcp_server("desk", url=url, headers={"Authorization": f"Bearer {TOKEN}"})
        app, model = using(server, calls(("desk-refund", {"order": "A1"})))
        async with engine.works(app):
            run = await engine.start("T9")
            question = await engine.question(run=run)
        assert question.question == "How much may be refunded?"
        assert "amount (integer)" in question.context
        async with engine.works(app):  # another worker; the first one has ended
            refused = await engine.answer("T9", "a lot")
            assert refused.outcome == "invalid"
            await engine.answer("T9", "40")
            [[name, content, is_error]] = await outcomes(engine, run)
    assert (name, content, is_error) == ("desk-refund", "refunded 40 for A1", False)
    assert mcp_desk.calls.count("refund A1 40") == 1
    assert set(mcp_desk.headers) == {f"Bearer {TOKEN}"}
    assert model.paid == 2
    stored = [message.data for message in await engine.log.load(run)]
    stored += [item.value async for item in Bucket(engine.wire, "parked").items()]
    assert TOKEN not in str(stored)


async def test_a_person_may_decline(engine: Engine) -> None:
    async with mcp_desk.serving() as url:
        app, _ = using(mcp_server("desk", url=url), calls(("desk-refund", {"order": "B2"})))
        async with engine.works(app):
            run = await engine.start()
            await engine.question(run=run)
            await engine.answer("T1", "decline")
            [[_, _, is_error]] = await outcomes(engine, run)
    assert is_error
    assert not [call for call in mcp_desk.calls if call.startswith("refund B2")]


async def test_silence_is_not_a_yes(engine: Engine) -> None:
    async with mcp_desk.serving() as url:
        app, _ = using(mcp_server("desk", url=url), calls(("desk-refund", {"order": "C3"})))
        app.ask_timeout = 0.2
        async with engine.works(app):
            [[_, content, is_error]] = await outcomes(engine, await engine.start())
    assert is_error
    assert "nobody" in content
    assert not [call for call in mcp_desk.calls if call.startswith("refund C3")]


async def test_an_agent_in_a_script_has_them_too() -> None:
    model = Scripted(calls(("desk-add", {"a": 1, "b": 2})), says("3."))
    agent = Agent("Clerk", tools=[over_stdio()], model=model)
    turn = await agent.run("What is 1 + 2?")
    assert [(call.name, call.content) for call in turn.calls] == [("desk-add", "3")]


async def test_the_list_of_tools_is_kept_for_a_while() -> None:
    server = over_stdio()
    try:
        first = await server.list_tools()
        assert await server.list_tools() is first
        assert await server.refresh() is not first
    finally:
        await server.aclose()


async def test_an_unreachable_server_is_reported() -> None:
    with pytest.raises(McpLost, match="'desk' cannot be reached"):
        await mcp_server("desk", command=["no-such-server", TOKEN]).list_tools()
    with pytest.raises(McpLost, match="'desk' cannot be reached") as seen:
        await mcp_server("desk", url=f"http://127.0.0.1:9/{TOKEN}").list_tools()
    assert TOKEN not in str(seen.value)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str, package: str | None = None) -> None:
        del name, package

    monkeypatch.setattr(importlib.util, "find_spec", nothing)
    with pytest.raises(InvalidSetup, match=r"pip install -e .*\[mcp\]'"):
        over_stdio()


@pytest.mark.parametrize(
    ("settings", "seen"),
    [
        ({}, "either command"),
        ({"command": ["a"], "url": "http://b"}, "either command"),
        ({"command": "uvx server"}, "command is a list"),
        ({"url": "http://b", "env": {"A": "b"}}, "env and cwd are for a command"),
        ({"command": ["a"], "headers": {"A": "b"}}, "headers are for a url"),
        ({"command": ["a"], "retries": -1}, "give 0 or more"),
        ({"command": ["a"], "name": "a b"}, "letters, digits"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], seen: str) -> None:
    with pytest.raises(InvalidSetup, match=seen):
        mcp_server(settings.pop("name", "desk"), **settings)


def test_two_tools_with_the_same_name_are_refused() -> None:
    with pytest.raises(InvalidSetup, match="two tools named"):
        Agent("Clerk", tools=[_add(), _add()])
    Agent("Clerk", tools=[over_stdio()], tool_choice="desk-add")


def test_every_name_is_one_that_models_accept() -> None:
    assert name_of("desk", "files/read.one") == "desk-files_read_one"
    names = [name_of("desk", "x" * length) for length in (80, 81)]
    assert [len(name) for name in names] == [64, 64]
    assert len(set(names)) == 2


def test_nothing_shows_a_secret() -> None:
    server = over_stdio()
    assert TOKEN not in f"{server!r}{server._endpoint!r}{json.dumps(str(vars(server)))}"


def _add() -> Any:
    from layby import tool  # noqa: PLC0415

    @tool
    def add(a: int) -> int:
        """Add."""
        return a

    return add
