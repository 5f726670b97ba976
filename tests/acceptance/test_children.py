"""Children end with their parents, and are found under them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import pytest

from layby import App, Step
from layby.actors.workflows import children
from layby.actors.workflows.children import ChildRuns
from layby.bus.opened import opened
from layby.cli.screen.tables import with_depth
from layby.runtime.entry import ROOT
from layby.runtime.ids import run_id
from layby.runtime.state import RunState
from layby.testing import TestRuntime
from layby.worker.assembly import assemble
from tests.engine import WORKFLOW, Engine, app_of, until

pytestmark = pytest.mark.nats

Running = Callable[..., AbstractAsyncContextManager[TestRuntime]]


def family(parent: Any, **options: Any) -> App:
    """An app whose workflow starts `child`, which starts `grandchild`, which asks."""
    app = app_of(parent, **options)

    @app.workflow(on="desk.child", key="ticket", name="child")
    async def child(event: dict[str, Any], step: Step) -> str:
        return str(await step.workflow("grandchild", event))

    @app.workflow(on="desk.grandchild", key="ticket", name="grandchild")
    async def grandchild(event: dict[str, Any], step: Step) -> str:
        return (await step.ask("developer", f"And {event['ticket']}?")).text

    return app


async def waits(event: dict[str, Any], step: Step) -> str:
    return str(await step.workflow("child", event))


async def races(event: dict[str, Any], step: Step) -> str:
    async def patience() -> str:
        await step.wait_for_event("desk.enough", match={"ticket": event["ticket"]})
        return "enough"

    child = step.workflow("child", event, detached=bool(event.get("detached")))
    won = await step.first(child, patience())
    await step.ask("developer", f"{won}?")
    return str(won)


async def _ended(engine: Engine, *runs: str) -> list[RunState]:
    async def look() -> list[RunState]:
        states = [await engine.state(run) for run in runs]
        return states if all(state.ended for state in states) else []

    return await until(look)


async def _descent(engine: Engine, run: str) -> tuple[str, str]:
    """The child and the grandchild of a run, once both are there and somebody is asked."""
    await until(lambda: _asked(engine))
    [child] = (await engine.state(run)).children()
    [grandchild] = (await engine.state(child)).children()
    return child, grandchild


async def _asked(engine: Engine) -> bool:
    return bool(await engine.client.questions())


async def test_cancelling_a_ticket_ends_its_run_and_all_below_it(engine: Engine) -> None:
    async with engine.works(family(waits)):
        run = await engine.start("1002")
        child, grandchild = await _descent(engine, run)
        assert (await engine.client.show("1002")).id == run
        rows = {row.id: row.parent for row in await engine.client.runs(ticket="1002")}
        assert rows == {run: None, child: run, grandchild: child}
        assert [each.id for each in (await engine.client.show(child)).children] == [grandchild]
        listed = await engine.client.runs()
        assert [(depth, row.id) for depth, row in with_depth(listed)] == [
            (0, run),
            (1, child),
            (2, grandchild),
        ]
        assert (await engine.client.cancel("1002")).id == run
        of_child, of_grandchild = await _ended(engine, child, grandchild)
        assert (of_child.status, of_grandchild.status) == ("cancelled", "cancelled")
        assert of_child.error == f"its parent, run {run}, has ended: cancelled"
        assert f"run {child}" in of_grandchild.error
        await until(lambda: _no_question(engine))


async def _no_question(engine: Engine) -> bool:
    return not await engine.client.questions()


async def test_a_child_that_lost_a_race_is_ended_and_its_question_closed(engine: Engine) -> None:
    app = family(races, events=["desk.enough"])
    async with engine.works(app):
        run = await engine.start("T1")
        child, grandchild = await _descent(engine, run)
        await engine.client.send("desk.enough", {"ticket": "T1"})
        of_child, _ = await _ended(engine, child, grandchild)
        assert of_child.error == f"its parent, run {run}, no longer waits for it"
        [question] = await until(lambda: _asked_by(engine, run))
        assert question.question == "enough?"
        await until(lambda: _only(engine, question.id))
        await engine.answer()
        assert await engine.result(run) == "enough"


@pytest.mark.parametrize("over", [False, True], ids=["goes on", "ended"])
async def test_a_slow_worker_does_not_bring_back_a_child_that_its_parent_has_left(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, *, over: bool
) -> None:
    """It goes on with what it knew of the parent, and comes to where that starts the child."""
    made: list[ChildRuns] = []
    init = ChildRuns.__init__

    def noted(children: ChildRuns, *arguments: Any) -> None:
        init(children, *arguments)
        made.append(children)

    monkeypatch.setattr(ChildRuns, "__init__", noted)
    app = family(races, events=["desk.enough"])
    async with engine.works(app), opened(engine.settings) as bus:
        run = await engine.start("T1")
        child, _ = await _descent(engine, run)
        assemble(app, bus.connection, bus.requests)
        slow = made[-1]
        await slow._host.open(run)
        await engine.client.send("desk.enough", {"ticket": "T1"})
        [left] = await _ended(engine, child)
        await until(lambda: _asked_by(engine, run))
        if over:
            await engine.answer()
            await engine.result(run)
        assert left.parent is not None
        await slow.ensure(*slow.prepare("child", {"ticket": "T1"}, left.parent))
        assert (await engine.state(child)).ended


async def _asked_by(engine: Engine, run: str) -> list[Any]:
    return [q for q in await engine.client.questions() if q.run == run]


async def _only(engine: Engine, question: str) -> bool:
    return [q.id for q in await engine.client.questions()] == [question]


async def test_a_detached_child_goes_on_without_its_parent(engine: Engine) -> None:
    app = family(races, events=["desk.enough"])
    async with engine.works(app):
        run = await engine.start("T1", detached=True)
        child, grandchild = await _descent(engine, run)
        await engine.client.send("desk.enough", {"ticket": "T1"})
        [question] = await until(lambda: _asked_by(engine, run))
        await engine.answer(question_id=question.id)
        assert await engine.result(run) == "enough"
        [question] = await _asked_by(engine, grandchild)
        await engine.answer(question_id=question.id, text="fine")
        assert await engine.result(child) == "fine"


@pytest.mark.slow
async def test_a_crash_before_the_parent_is_tidied_leaves_no_child(layby_running: Running) -> None:
    async with layby_running("tests.testkit_app:app", workers=0) as rt:
        async with rt.worker():
            run = await rt.send("testkit.parent", {"order": "A1"})
            [child] = await until(lambda: _children(rt, run))
            await until(lambda: _is(rt, child, "waiting"))
        async with rt.crashing("before_ended_tidy"):
            asked = asyncio.create_task(rt.client.cancel(run))
        asked.cancel()  # its worker is dead, and may not have said that it is done
        with suppress(asyncio.CancelledError):
            await asked
        async with rt.worker():
            await until(lambda: _is(rt, child, "cancelled"))


async def _children(rt: TestRuntime | Engine, run: str) -> list[str]:
    return (await rt.state(run)).children()


async def _is(rt: TestRuntime, run: str, status: str) -> bool:
    return (await rt.state(run)).status == status


async def test_no_event_takes_the_place_of_a_child(engine: Engine) -> None:
    """Somebody knows the event that starts the parent, and sends the child's before it."""
    async with engine.works(family(waits)):
        run = run_id(WORKFLOW, "e1")
        planted = f"{run}/{ROOT}/child"
        ack = await engine.wire.store(
            "desk.child", b'{"ticket": "theirs"}', {"Nats-Msg-Id": planted}
        )
        assert not ack.duplicate
        await until(lambda: _children(engine, run_id("child", planted)))
        await engine.start("T1", event_id="e1")
        [child] = await until(lambda: _children(engine, run))
        [grandchild] = await until(lambda: _children(engine, child))
        assert (await engine.question(run=grandchild)).ticket == "T1"
        assert (await engine.answer("T1", "ours")).outcome == "accepted"
        assert await engine.result(run) == "ours"


def _earlier_id(workflow: str, *place: str) -> str:
    return run_id(workflow, "/".join(place))


async def test_a_child_that_an_earlier_release_named_goes_on_with_its_parent(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def app(*, mended: bool) -> App:
        made = app_of(waits)

        @made.workflow(on="desk.child", key="ticket", name="child", version="1")
        async def child(event: dict[str, Any], step: Step) -> str:
            await step.run("look", lambda: event["ticket"])
            if not mended:
                raise ValueError("not yet")
            return "done"

        return made

    with monkeypatch.context() as earlier:
        earlier.setattr(children, "child_id", _earlier_id)
        async with engine.works(app(mended=False)):
            run = await engine.start("T1")
            assert (await engine.ended(run)).status == "failed"
    async with engine.works(app(mended=True)):
        await engine.client.retry(run)
        assert await engine.result(run) == "done"
        assert {row.id for row in await engine.client.runs()} == {
            run,
            run_id("child", f"{run}/{ROOT}/child"),
        }
