"""The test kit, as users' tests use it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from examples.support_agent.app import app as support
from layby import App, Step
from layby.bus.errors import LaybyError
from layby.models import Message, ModelError, ModelRequest, Text
from layby.testing import (
    CRASH_POINTS,
    History,
    RunFailed,
    ScriptedModel,
    TestRuntime,
    WorkflowChanged,
    calls,
    record,
    replay,
    running,
    says,
    server,
)
from tests.engine import is_handled, until
from tests.examples import proofs_but
from tests.testkit_app import app

pytestmark = pytest.mark.nats

Running = Callable[..., AbstractAsyncContextManager[TestRuntime]]
HISTORIES = Path(__file__).parent.parent / "histories"
TARGET = "tests.testkit_app:app"


# -- a runtime in one context


async def test_a_run_from_its_event_to_its_result(layby_running: Running) -> None:
    async with layby_running(app) as rt:
        run = await rt.send("testkit.order", {"order": "A1"})
        slept = await rt.advance("A1")
        assert (slept.kind, slept.name) == ("sleep", "sleep")
        question = await rt.question(run)
        assert question.question == "Ship A1?"
        assert (await rt.answer("A1", "yes", by="ada")).outcome == "accepted"
        assert await rt.result() == "charged A1, yes"
        assert (await rt.ended(run)).status == "completed"


async def test_a_server_of_its_own() -> None:
    async with running(app) as rt:
        await rt.send("testkit.silent", {"order": "A1"})
        fired = await rt.advance()
        assert (fired.kind, fired.name) == ("question", "Anybody?")
        assert await rt.result() == "nobody"
        assert await rt.client.questions() == []


async def test_agents_with_a_script(layby_running: Running) -> None:
    async with layby_running(app) as rt:
        await rt.send("testkit.asks", {"order": "A1"})
        question = await rt.question()
        assert (question.question, question.agent) == ("Is it x?", "Clerk")
        await rt.answer(None, "It is.")
        assert "It is." in await rt.result()


async def test_back_offs_and_waits_for_events_come_early(
    layby_running: Running, tmp_path: Path
) -> None:
    async with layby_running(app) as rt:
        await rt.send("testkit.retried", {"order": "A1", "marker": str(tmp_path / "marker")})
        fired = await rt.advance()
        assert (fired.kind, fired.name) == ("step", "flaky")
        assert await rt.result() == "done"
        await rt.send("testkit.waits", {"order": "A2"})
        assert (await rt.advance()).kind == "event"
        assert await rt.result("A2") == "nothing came"


async def test_a_failure_that_a_person_fixes(layby_running: Running, tmp_path: Path) -> None:
    async with layby_running(app) as rt:
        marker = tmp_path / "marker"
        await rt.send("testkit.mended", {"order": "A1", "marker": str(marker)})
        assert "FileNotFoundError: the marker is missing" in (await rt.question()).question
        marker.touch()
        await rt.answer(None, "retry")
        assert await rt.result() == "charged A1, there"
        await replay(app, await rt.record())


async def test_a_failure_that_nobody_answers(layby_running: Running, tmp_path: Path) -> None:
    async with layby_running(app) as rt:
        marker = tmp_path / "marker"
        await rt.send("testkit.mended", {"order": "A1", "marker": str(marker)})
        assert (await rt.advance(kind="question")).kind == "question"
        assert (await rt.ended()).status == "failed"
        await replay(app, await rt.record())
        marker.touch()
        await rt.client.retry("A1", by="ada")
        assert await rt.result() == "charged A1, there"
        await replay(app, await rt.record())


async def mail_handled(rt: TestRuntime) -> bool:
    """Whether the mail with the question is acknowledged: a moment after it was published."""
    return await is_handled(rt._requests, "RUNS.human-developer")


@pytest.mark.slow
@pytest.mark.parametrize("subject", proofs_but(1, ["testkit.mended", "testkit.finds"]))
@pytest.mark.parametrize(
    "point",
    proofs_but(
        1,
        [
            "before_append",
            "after_append",
            "after_effect",
            "before_ack",
        ],
    ),
)
async def test_a_worker_is_killed_with_the_decision_about_a_failure(
    layby_running: Running,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    point: str,
    subject: str,
) -> None:
    charges, marker = tmp_path / "charges", tmp_path / "marker"
    monkeypatch.setenv("TESTKIT_CHARGES", str(charges))
    async with layby_running(TARGET, workers=0) as rt:
        await rt.send(subject, {"order": "A1", "marker": str(marker)})
        async with rt.worker():
            await rt.question()
            await until(lambda: mail_handled(rt))  # or the next worker would die with this mail
        marker.touch()
        async with rt.crashing(point):
            assert (await rt.answer(None, "retry")).outcome == "accepted"
        async with rt.worker():
            assert await rt.result() == "charged A1, there"
        again = [step.kind for step in (await rt.client.show("A1")).steps]
    assert again.count("step.retried") == 1
    assert charges.read_text().split() == ["A1"]


def limited() -> App:
    """An app whose workflow may take half an hour."""
    app = App("limited")

    async def hang() -> None:
        await asyncio.Event().wait()

    @app.workflow(on="limited.work", key="order", timeout="30m")
    async def work(event: dict[str, Any], step: Step) -> str:
        for nap in event.get("naps", []):
            await step.sleep(nap)
        if event.get("asks"):
            return (await step.ask("developer", "Well?", timeout="1d")).text
        if event.get("hangs"):
            await step.run("hang", hang)
        return "rested"

    return app


TIMED_OUT = "it took longer than 30 min, without the time people took"


async def test_a_workflows_own_timeout_comes_when_it_would(layby_running: Running) -> None:
    async with layby_running(limited()) as rt:
        await rt.send("limited.work", {"order": "A1", "naps": ["10m", "2h"]})
        first, second = await rt.advance(), await rt.advance()
        assert (first.kind, second.kind, second.name) == ("sleep", "timeout", "work")
        assert abs((second.due - first.due).total_seconds() - 20 * 60) < 60
        ended = await rt.ended()
        assert (ended.status, ended.error) == ("timed_out", TIMED_OUT)
        await rt.send("limited.work", {"order": "A2", "naps": ["10m"]})
        assert (await rt.advance()).kind == "sleep"
        assert await rt.result() == "rested"


async def test_a_step_that_hangs_meets_the_workflows_timeout(layby_running: Running) -> None:
    async with layby_running(limited()) as rt:
        await rt.send("limited.work", {"order": "A1", "hangs": True})
        assert (await rt.advance(kind="timeout")).kind == "timeout"
        assert (await rt.ended()).status == "timed_out"


async def test_a_persons_time_is_not_the_workflows(
    layby_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with layby_running(limited()) as rt:
        await rt.send("limited.work", {"order": "A1", "asks": True})
        await rt.question()
        monkeypatch.setattr(rt, "_within", 0.5)
        with pytest.raises(RunFailed, match="not come to a timeout whose time passes"):
            await rt.advance(kind="timeout")
        with pytest.raises(RunFailed, match="not come to a sleep"):
            await rt.advance(kind="sleep")
        monkeypatch.undo()
        assert (await rt.advance()).kind == "question"
        ended = await rt.ended()
        assert ended.error != TIMED_OUT


async def test_an_event_that_is_waited_for_starts_no_run(layby_running: Running) -> None:
    async with layby_running(app) as rt:
        await rt.send("testkit.waits", {"order": "A1"})
        assert await rt.send("testkit.paid", {"order": "A1"}) == ""
        assert await rt.result() == "paid"


async def test_a_missing_event_is_reported_with_the_runs_history(
    layby_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with layby_running(app) as rt:
        with pytest.raises(LaybyError, match="no run was started here"):
            await rt.question()
        run = await rt.send("testkit.order", {"order": "A1"})

        async def charged() -> bool:
            return "charge" in await rt.story(run)

        await until(charged)
        monkeypatch.setattr(rt, "_within", 0.5)
        with pytest.raises(RunFailed, match=r"(?s)not come to a question:\n.*charge"):
            await rt.question()
        monkeypatch.undo()
        await rt.advance()
        monkeypatch.setattr(rt, "_within", 0.5)
        with pytest.raises(RunFailed, match="not come to its end"):
            await rt.result()


async def test_a_run_that_ends_is_not_waited_for(layby_running: Running) -> None:
    async with layby_running(app, within=60) as rt:
        await rt.send("testkit.fails", {"order": "A1"})
        with pytest.raises(RunFailed, match="failed: no"):
            await rt.result()
        for verb in (rt.question, rt.advance):
            with pytest.raises(RunFailed, match="has not come to"):
                await verb()


async def test_an_app_by_its_name(layby_running: Running) -> None:
    async with layby_running(TARGET) as rt:
        assert rt.app is app
    with pytest.raises(LaybyError, match="is a function, not a layby App"):
        async with layby_running("tests.testkit_app:charge"):
            pass


# -- crashes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("point", "charges"),
    proofs_but(
        1,
        [
            ("before_effect", 1),
            ("after_effect", 2),
        ],
    ),
)
async def test_another_worker_takes_over_from_one_that_is_killed(
    layby_running: Running,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    point: str,
    charges: int,
) -> None:
    ledger = tmp_path / "charges"
    monkeypatch.setenv("TESTKIT_CHARGES", str(ledger))
    async with layby_running(TARGET, workers=0) as rt:
        await rt.send("testkit.order", {"order": "A1"})
        await rt.crash(point)
        async with rt.worker():
            await rt.advance()
            await rt.answer("A1", "yes")
            assert await rt.result() == "charged A1, yes"
    assert len(ledger.read_text().splitlines()) == charges


@pytest.mark.slow
async def test_a_crash_in_the_middle_of_an_answer(layby_running: Running) -> None:
    async with layby_running(TARGET, workers=0) as rt:
        await rt.send("testkit.silent", {"order": "A1"})
        async with rt.crashing("after_record_closed"):
            assert (await rt.answer("A1", "me")).outcome == "accepted"
        async with rt.worker():
            assert await rt.result() == "me"


@pytest.mark.slow
async def test_a_crash_that_does_not_happen(layby_running: Running) -> None:
    async with layby_running(TARGET, workers=0, within=2) as rt:
        with pytest.raises(RunFailed, match="after_receipt"):
            await rt.crash("after_receipt")
        with pytest.raises(LaybyError, match="no crash point 'lunch'; there are: event_taken"):
            await rt.crash("lunch")
    async with layby_running(app, workers=0) as rt:
        with pytest.raises(LaybyError, match='running\\("module:name"\\)'):
            await rt.crash(CRASH_POINTS[0])


# -- histories


def order_of(body: Callable[..., Any]) -> App:
    """An app whose workflow `order` has another body."""
    other = App("testkit", events=["testkit.paid"])
    other.workflow(on="testkit.order", key="order", name="order", version="1")(body)
    return other


@pytest.mark.parametrize("path", sorted(HISTORIES.glob("*.json")), ids=lambda path: path.stem)
async def test_recorded_runs_still_match(path: Path) -> None:
    if path.stem.startswith("must_fail_"):
        with pytest.raises(WorkflowChanged, match="recorded step 'bill' is no longer reached"):
            await replay(app, path)
    else:
        await replay(app, path)


@pytest.mark.parametrize("ticket", ["T123", "T124", "T125"])
async def test_the_support_agent_matches_its_recorded_runs(ticket: str) -> None:
    await replay(support, HISTORIES / "support_agent" / f"{ticket}.json")


def test_there_are_recorded_runs_of_both_kinds() -> None:
    failing = [path.stem.startswith("must_fail_") for path in HISTORIES.glob("*.json")]
    assert len(failing) > sum(failing) > 0


async def test_a_run_is_recorded_and_replayed(layby_running: Running, tmp_path: Path) -> None:
    async with layby_running(app) as rt:
        run = await rt.send("testkit.order", {"order": "A1", "note": "x" * 100_000})
        await rt.advance()
        await rt.question()
        waiting = await rt.record()
        await rt.answer(None, "yes")
        await rt.result()
        over = await record(rt.settings, run)
        with pytest.raises(LaybyError, match="there is no run"):
            await record(rt.settings, "aaaaaaaaaaaaaaaa")
    over.save(tmp_path / "order.json")
    assert History.load(tmp_path / "order.json") == over
    assert len(waiting.messages) < len(over.messages)
    await replay(app, waiting)
    await replay(app, tmp_path / "order.json")


async def renamed(event: dict[str, Any], step: Step) -> str:
    await step.run("bill", str, event["order"])
    await step.sleep("3d")
    return (await step.ask("developer", "Ship?")).text


async def shortened(event: dict[str, Any], step: Step) -> str:
    return await step.run("charge", str, event["order"])


async def extended(event: dict[str, Any], step: Step) -> str:
    charged = await step.run("charge", str, event["order"])
    await step.sleep("3d")
    await step.ask("developer", "Ship?")
    return await step.run("ship", str, charged)


async def swapped(event: dict[str, Any], step: Step) -> str:
    charged = await step.run("charge", str, event["order"])
    await step.ask("developer", "Ship?")
    await step.sleep("3d")
    return charged


async def other_kind(event: dict[str, Any], step: Step) -> str:
    charged = await step.run("charge", str, event["order"])
    await step.run("sleep", str, charged)
    return (await step.ask("developer", "Ship?")).text


async def raises(event: dict[str, Any], step: Step) -> str:
    await step.run("charge", str, event["order"])
    raise KeyError("order")


async def retyped(event: dict[str, Any], step: Step) -> str:
    def charge(order: str) -> int:
        raise NotImplementedError(order)

    await step.run("charge", charge, event["order"])
    await step.sleep("3d")
    return (await step.ask("developer", "Ship?")).text


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (renamed, "recorded step 'charge'"),
        (shortened, "recorded step 'sleep'"),
        (extended, "goes on to step 'ship'"),
        (swapped, "recorded step 'sleep'"),
        (other_kind, "recorded step 'sleep'"),
        (raises, "raises KeyError .* after step 'charge'"),
        (retyped, "raises BadValue"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_changed_body_fails_and_the_step_is_named(
    body: Callable[..., Any], named: str
) -> None:
    with pytest.raises(WorkflowChanged, match=named):
        await replay(order_of(body), HISTORIES / "order_completed.json")


async def refactored(event: dict[str, Any], step: Step) -> str:
    """The same steps, by other means; the text of a question may change."""
    parts = [await step.run("charge", str, event["order"])]
    for days in (2,):
        await step.sleep(f"{days}d")
    parts.append((await step.ask("developer", "Off it goes?")).text)
    return ", ".join(parts)


async def test_what_is_not_recorded_may_change() -> None:
    await replay(order_of(refactored), HISTORIES / "order_completed.json")
    await replay(order_of(refactored), HISTORIES / "order_waiting.json")
    await replay(order_of(extended), HISTORIES / "order_waiting.json")


async def test_an_app_without_the_workflow() -> None:
    with pytest.raises(LaybyError, match="no longer has a workflow 'order'"):
        await replay(App("testkit"), HISTORIES / "order_completed.json")


# -- scripted models


def ask(text: str = "Hi") -> ModelRequest:
    return ModelRequest(system="", messages=[Message(role="user", parts=[Text(text=text)])])


async def test_a_script_is_played_line_by_line() -> None:
    model = ScriptedModel(
        ["one", calls("look", q=1), ValueError("no"), lambda r: r.messages[0].text]
    )
    heard: list[str] = []
    assert (await model.respond(ask(), heard.append)).message.text == "one"
    assert "".join(heard) == "one"
    [call] = (await model.respond(ask())).message.tool_calls
    assert (call.name, call.arguments) == ("look", {"q": 1})
    with pytest.raises(ValueError, match="no"):
        await model.respond(ask())
    assert model.left == 1
    assert (await model.respond(ask("Hello there"))).message.text == "Hello there"
    with pytest.raises(ModelError, match="model 'scripted' is at its end") as caught:
        await model.respond(ask())
    assert not caught.value.retryable
    assert len(model.requests) == 5


async def test_a_script_that_is_a_function_and_words_that_stream() -> None:
    model = ScriptedModel(lambda request: says(request.messages[0].text.upper()), name="loud")
    heard: list[str] = []
    response = await model.respond(ask("a b c"), heard.append)
    assert (model.name, heard, "".join(heard)) == ("loud", ["A ", "B ", "C"], response.message.text)


def test_several_calls_in_one_response() -> None:
    made = calls(("look", {"q": 1}), ("look", {"q": 2})).message.tool_calls
    assert [call.arguments["q"] for call in made] == [1, 2]
    assert len({call.id for call in made}) == 2


async def test_a_server_keeps_its_data_where_it_is_told(tmp_path: Path) -> None:
    async with server(folder=tmp_path) as first:
        assert first.running
    assert (tmp_path / "nats-server.conf").exists()
