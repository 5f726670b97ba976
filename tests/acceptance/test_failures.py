"""What a user's exception leaves in the log and on the screen: its type, message and place."""

from __future__ import annotations

from typing import Any

import pytest

from layby import Agent, Retry, Step, tool
from layby.actors.workflows.workflow import RunFailure, WorkflowStep
from layby.runtime.entry import Failure
from layby.views.rows import PlaceRow
from tests.engine import Engine, app_of, desk
from tests.scripted import Scripted, calls, says

pytestmark = pytest.mark.nats

HERE = "tests/acceptance/test_failures.py"
ONCE = Retry(attempts=1)


class Mixed(ExceptionGroup[Exception]):
    """A group of somebody's own."""


class Silent(Exception):
    """Says nothing."""


def pay(order: dict[str, Any]) -> int:
    secret = "sk-very-secret"  # noqa: S105  a value that nobody may read
    return int(order["amount"]) + len(secret)


async def divide(by: int) -> float:
    return 1 / by


async def several() -> None:
    raise Mixed("two of them", [KeyError("a"), ValueError("b is wrong")])


async def silent() -> None:
    raise Silent


async def caused() -> None:
    try:
        pay({})
    except KeyError as error:
        raise RuntimeError("cannot pay") from error


STEPS: dict[str, Any] = {
    "thread": lambda: pay({}),
    "divide": lambda: divide(0),
    "several": several,
    "silent": silent,
    "caused": caused,
}


async def handle(event: dict[str, Any], step: Step) -> Any:
    if event["fails"] == "body":
        return pay(event)
    if event["fails"] == "exit":
        raise SystemExit(3)
    return await step.run(event["fails"], STEPS[event["fails"]], retry=ONCE)


async def failure(engine: Engine, run: str) -> Failure:
    state = await engine.ended(run)
    assert state.status == "failed"
    assert state.failure is not None
    return state.failure


@pytest.mark.parametrize(
    ("fails", "type_", "message", "function"),
    [
        ("body", "KeyError", "'amount'", "pay"),
        ("thread", "KeyError", "'amount'", "pay"),
        ("divide", "ZeroDivisionError", "division by zero", "divide"),
        (
            "several",
            "Mixed",
            "two of them (2 sub-exceptions): KeyError: 'a'; ValueError: b is wrong",
            "several",
        ),
        ("silent", "Silent", "Silent", "silent"),
        ("caused", "RuntimeError", "cannot pay", "caused"),
        ("exit", "Exited", "user code tried to end the worker's process: SystemExit(3)", "handle"),
    ],
)
async def test_the_log_keeps_type_message_and_place(
    engine: Engine, fails: str, type_: str, message: str, function: str
) -> None:
    async with engine.works(app_of(handle)):
        found = await failure(engine, await engine.start(fails=fails))
    assert (found.type, found.message) == (type_, message)
    assert found.place is not None
    assert (found.place.file, found.place.function) == (HERE, function)
    assert found.place.line > 0


async def test_the_causes_are_named_by_their_types(engine: Engine) -> None:
    async with engine.works(app_of(handle)):
        found = await failure(engine, await engine.start(fails="caused"))
    assert found.causes == ["KeyError"]


async def test_no_value_of_a_variable_is_kept(engine: Engine) -> None:
    async with engine.works(app_of(handle)):
        run = await engine.start(fails="thread")
        await engine.ended(run)
    assert not any(b"sk-very-secret" in message.data for message in await engine.log.load(run))


async def test_a_failed_step_that_is_read_from_the_log_has_its_place(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Step) -> None:
        del event
        try:
            await step.run("pay", pay, {}, retry=ONCE)
        except Exception:
            await step.sleep(0.05)  # from here on the failure is the log's
            raise

    async with engine.works(app_of(handle)):
        found = await failure(engine, await engine.start())
    assert found.type == "KeyError"
    assert found.place is not None
    assert (found.place.file, found.place.function) == (HERE, "pay")


async def test_a_failed_tool_is_reported_with_its_place(engine: Engine) -> None:
    @tool
    def charge(amount: int) -> int:
        return pay({"much": amount})

    model = Scripted(calls(("charge", {"amount": 3})), says("ok"))
    async with engine.works(desk(Agent("A", tools=[charge]), model=model)):
        run = await engine.start()
        await engine.result(run)
    [line] = [line for line in await engine.lines(run) if line.kind == "step.failed"]
    assert line.title == "charge"
    assert line.detail.startswith(f"KeyError: 'amount' in pay ({HERE}:")


async def test_a_failed_hook_is_reported_with_its_place(engine: Engine) -> None:
    def audit(*_: Any) -> None:
        pay({})

    agent = Agent("A", on_start=audit)
    async with engine.works(desk(agent, model=Scripted(says("ok")))):
        line = await engine.told(await engine.start(), "step.failed")
    assert line.detail.startswith(f"KeyError: 'amount' in pay ({HERE}:")


async def test_a_failed_router_is_reported_with_its_place(engine: Engine) -> None:
    def route(_: Any) -> str:
        return str(pay({}))

    async with engine.works(desk(Agent("A"), router=route, model=Scripted())):
        line = await engine.told(await engine.start(), "step.failed")
    assert line.detail.startswith(f"KeyError: 'amount' in pay ({HERE}:")


async def test_a_refusal_is_reported_with_the_line_that_asked_for_it(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Step) -> None:
        del event
        await step.workflow("nobody", {})

    async with engine.works(app_of(handle)):
        block = await engine.blocked(await engine.start())
    assert block.kind == "setup"
    assert "the app has no workflow 'nobody'" in block.reason
    assert f"handle ({HERE}:" in block.reason


async def test_a_child_tells_its_parent_where_it_failed(engine: Engine) -> None:
    async def parent(event: dict[str, Any], step: Step) -> None:
        await step.workflow("handle", {**event, "fails": "thread"})

    app = app_of(handle)
    app.workflow(on="desk.parents", key="ticket")(parent)
    async with engine.works(app):
        run = await engine.start(on="desk.parents", workflow="parent")
        found = await failure(engine, run)
    assert (found.type, found.message) == ("KeyError", "'amount'")
    assert found.place is not None
    assert found.place.function == "pay"


async def test_people_and_scripts_see_it_everywhere(engine: Engine) -> None:
    async with engine.works(app_of(handle)):
        run = await engine.start(fails="thread")
        await engine.ended(run)
        detail = await engine.client.show(run)
        [row] = [row for row in await engine.client.runs() if row.id == run]
    assert detail.error == "'amount'"
    assert detail.failure is not None
    assert detail.failure.type == "KeyError"
    line = pay.__code__.co_firstlineno + 2
    assert detail.failure.place == PlaceRow(file=HERE, line=line, function="pay")
    whole = f"KeyError: 'amount' in pay ({HERE}:{line})"
    assert row.reason == detail.reason == whole
    last = detail.steps[-1]
    assert (last.kind, last.detail) == ("run.ended", whole)


async def test_on_failure_is_told_the_place(engine: Engine) -> None:
    seen: list[RunFailure] = []

    async def on_failure(failure: RunFailure, step: WorkflowStep) -> None:
        del step
        seen.append(failure)

    app = app_of(handle)
    app.workflow(on="desk.watched", key="ticket", name="watched", on_failure=on_failure)(handle)
    async with engine.works(app):
        run = await engine.start(on="desk.watched", workflow="watched", fails="body")
        await engine.ended(run)
    assert seen[-1].place.startswith(f"pay ({HERE}:")
