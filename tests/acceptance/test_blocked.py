"""What people can mend blocks a run and never ends it: with real workers, deploys and kills."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from layby import Agent, App, Network, NonRetriableError, RoutingAgent, Step, Tokens, tool
from layby.actors.models.model import ModelError, ModelRequest, ModelResponse, OnText
from layby.actors.workflows.workflow import WorkflowStep
from layby.bus.bucket import Bucket
from layby.bus.errors import NotConnected
from layby.client import NotRetryable
from layby.runtime.blocked_runs import BlockedRow
from layby.runtime.blockers import MISSING_KEY
from layby.runtime.ids import run_id
from layby.runtime.index import key_of
from layby.runtime.state import RunState
from tests.engine import WORKFLOW, Engine, app_of, desk, until
from tests.scripted import Scripted, calls, says

pytestmark = pytest.mark.nats


class Locked:
    """A model that lets nobody in without a key."""

    name = "locked"

    def __init__(self, key: str) -> None:
        self._key = key
        self.asked = 0

    @property
    def key_missing(self) -> str:
        return "" if self._key else "there is no key"

    @property
    def key_mark(self) -> str:
        return self._key

    async def respond(self, request: ModelRequest, on_text: OnText | None = None) -> ModelResponse:
        del request, on_text
        self.asked += 1
        if not self._key:
            raise ModelError("there is no key", need=MISSING_KEY)
        return says("done")


def apps(effects: list[str], *, name: str) -> App:
    async def reserve() -> str:
        effects.append(name)
        return name

    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        await step.run(name, reserve)
        answer = await step.ask("developer", "Ready?")
        effects.append("after")
        return answer.text

    return app_of(handle, version="1")


def blocks(state: RunState) -> list[str]:
    return [block.kind for _, block in state.blocked]


async def test_a_renamed_step_blocks_the_run_until_it_is_put_back(engine: Engine) -> None:
    effects: list[str] = []
    async with engine.works(apps(effects, name="reserve")):
        run = await engine.start()
        await engine.question(run=run)
    async with engine.works(apps(effects, name="book")):
        await engine.answer(text="go")
        block = await engine.blocked(run)
        assert (block.kind, "'reserve'" in block.reason) == ("code", True)
        [row] = await engine.client.runs("blocked")
        assert (row.id, row.reason, row.needs) == (run, block.reason, block.needs)
    assert effects == ["reserve"]


async def test_a_worker_with_the_key_takes_up_what_one_without_has_blocked(
    engine: Engine,
) -> None:
    without, with_ = Locked(""), Locked("k")
    async with engine.works(desk(Agent("A", model=without))):
        run = await engine.start()
        block = await engine.blocked(run)
        assert (block.kind, block.key, without.asked) == ("key", "model#0", 1)
        assert (await engine.client.show(run)).status == "blocked"
    async with engine.works(desk(Agent("A", model=with_))):
        assert (await engine.result(run))["text"] == "done"
    assert (without.asked, with_.asked) == (1, 1)


async def test_a_worker_that_is_up_takes_it_at_once(engine: Engine) -> None:
    without, with_ = Locked(""), Locked("k")
    async with (
        engine.works(desk(Agent("A", model=with_))),
        engine.works(desk(Agent("A", model=without))),
    ):
        for n in range(6):
            run = await engine.start(f"T{n}")
            assert (await engine.result(run))["text"] == "done"


async def test_a_block_that_could_not_be_announced_is_announced_with_its_redelivered_mail(
    engine: Engine,
) -> None:
    """A connection that is lost, or a worker that dies, after the block and before the word."""
    without, with_ = Locked(""), Locked("k")
    async with (
        engine.works(desk(Agent("A", model=with_))),
        engine.works(desk(Agent("A", model=without))) as lost,
    ):
        ports = lost.host.ports
        tell, told = ports.announce_blocked, set[str]()

        async def late(run: str) -> None:
            if run not in told:
                told.add(run)
                raise NotConnected("there is no connection now")
            if tell is not None:
                await tell(run)

        ports.announce_blocked = late
        for n in range(6):
            run = await engine.start(f"T{n}")
            assert (await engine.result(run))["text"] == "done"


async def test_rows_that_others_planted_stop_neither_a_worker_nor_a_run(engine: Engine) -> None:
    without, with_ = Locked(""), Locked("k")
    buckets = {name: Bucket(engine.wire, name) for name in ("blocked", "runs")}
    async with engine.works(desk(Agent("A", model=without))):
        for key, value in (("junk", b"{}"), ("more", b"\xff"), ("other", b'{"run":1}')):
            await buckets["blocked"].put(key, value)
        run = run_id(WORKFLOW, "planted")
        await buckets["blocked"].put(run, b"\xff")
        await buckets["runs"].put(key_of("T1", run), b"{}")
        await engine.start(event_id="planted")
        await engine.blocked(run)
        await until(lambda: engine.client.runs("blocked"))
    async with engine.works(desk(Agent("A", model=with_))):
        assert (await engine.result(run))["text"] == "done"


async def test_a_blocked_run_with_a_log_of_rubbish_is_reported_and_stops_no_search(
    engine: Engine,
) -> None:
    without, with_ = Locked(""), Locked("k")
    wrecked = run_id(WORKFLOW, "wrecked")
    async with engine.works(desk(Agent("A", model=without))):
        row = msgspec.json.encode(BlockedRow(run=wrecked, workflow=WORKFLOW, pos=1))
        await Bucket(engine.wire, "blocked").put(wrecked, row)
        await engine.log.append(wrecked, 1, "log", b"junk")
        run = await engine.start("T1")
        await engine.blocked(run)
    with capture_logs() as logs:
        async with engine.works(desk(Agent("A", model=with_))):
            assert (await engine.result(run))["text"] == "done"
            looked = await until(lambda: _told(logs, "blocked.looked"))
    assert looked["blocked"] == 2
    assert wrecked in [each["run"] for each in logs if each["event"] == "entry.skipped"]


async def _told(logs: list[Any], event: str) -> Any:
    return next((each for each in logs if each["event"] == event), None)


# -- retried -----------------------------------------------------------------------------------


class Till:
    """A step that fails while it is out of order, and counts what it did."""

    def __init__(self) -> None:
        self.broken = True
        self.keys: list[str] = []
        self.paid = 0

    async def pay(self, key: str) -> str:
        self.keys.append(key)
        if self.broken:
            raise NonRetriableError("the till is out of order")
        self.paid += 1
        return "paid"


def shop(till: Till, counted: list[str]) -> App:
    async def count() -> int:
        counted.append("counted")
        return 7

    async def handle(event: dict[str, Any], step: Step) -> list[Any]:
        del event
        number = await step.run("count", count)
        paid = await step.run("pay", till.pay, step.idempotency_key("pay"))
        return [number, paid]

    return app_of(handle)


async def test_a_failed_run_is_retried_at_the_step_that_failed(engine: Engine) -> None:
    till, counted = Till(), list[str]()
    async with engine.works(shop(till, counted)):
        run = await engine.start()
        assert (await engine.ended(run)).status == "failed"
        till.broken = False
        row = await engine.client.retry(run, by="ada", reason="mended")
        assert row.status in {"running", "completed"}
        assert await engine.result(run) == [7, "paid"]
        with pytest.raises(NotRetryable, match="is completed"):
            await engine.client.retry(run)
    assert (counted, till.paid) == (["counted"], 1)
    assert len(set(till.keys)) == 1
    lines = await engine.lines(run)
    [told] = [line for line in lines if line.kind == "run.reopened"]
    assert told.data == {"by": "ada", "why": "mended"}
    assert [line.kind for line in lines].count("run.ended") == 2


async def test_two_people_who_retry_a_run_have_it_retried_once(engine: Engine) -> None:
    till, counted = Till(), list[str]()
    async with engine.works(shop(till, counted)), engine.works(shop(till, counted)):
        run = await engine.start()
        await engine.ended(run)
        till.broken = False
        ends = await asyncio.gather(
            *(engine.client.retry(run, by=str(n)) for n in range(5)), return_exceptions=True
        )
        assert sum(isinstance(end, NotRetryable) for end in ends) == 4
        assert await engine.result(run) == [7, "paid"]
    assert (till.paid, len(till.keys)) == (1, 2)


async def test_an_agent_that_failed_goes_on_in_its_turn(engine: Engine) -> None:
    class Fickle:
        name = "fickle"
        broken = True
        asked = 0

        async def respond(
            self, request: ModelRequest, on_text: OnText | None = None
        ) -> ModelResponse:
            del request, on_text
            Fickle.asked += 1
            if Fickle.broken:
                raise ModelError("no")
            return says("done")

    async with engine.works(desk(Agent("A", model=Fickle()))):
        run = await engine.start()
        assert (await engine.ended(run)).status == "failed"
        Fickle.broken = False
        await engine.client.retry(run, by="ada")
        assert (await engine.result(run))["text"] == "done"
    assert Fickle.asked == 2


async def test_an_expired_question_is_asked_again_under_a_new_id(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        timeout = "1h" if asked else "1s"
        return (await step.ask("developer", "Ready?", timeout=timeout)).text

    asked: list[str] = []
    async with engine.works(app_of(handle)):
        run = await engine.start()
        asked.append((await engine.question(run=run)).id)
        asked.clear()
        assert (await engine.ended(run)).status == "timed_out"
        asked.append("once")
        await engine.client.retry(run, by="ada")
        again = await engine.question(run=run)
        await engine.answer(text="now")
        assert await engine.result(run) == "now"
    assert set((await engine.state(run)).questions) > {again.id}


async def test_a_child_whose_parent_has_gone_on_is_not_retried(engine: Engine) -> None:
    till = Till()

    async def child(event: dict[str, Any], step: Step) -> str:
        del event
        return str(await step.run("pay", till.pay, "k"))

    async def handle(event: dict[str, Any], step: Step) -> str:
        return str(await step.workflow("child", event))

    app = app_of(handle)
    app.workflow(on="desk.child", key="ticket")(child)
    async with engine.works(app):
        run = await engine.start()
        await engine.ended(run)
        [inner] = (await engine.state(run)).children()
        with pytest.raises(NotRetryable, match=f"run {run}, which has gone on"):
            await engine.client.retry(inner, by="ada")
        till.broken = False
        await engine.client.retry(run, by="ada")
        assert await engine.result(run) == "paid"
    assert till.paid == 1


# -- on_failure="ask" --------------------------------------------------------------------------


def paying(till: Till) -> App:
    async def pay(amount: int) -> str:
        till.keys.append(str(amount))
        if till.broken or amount > 100:
            raise NonRetriableError(f"{amount} cannot be paid")
        till.paid += 1
        return f"paid {amount}"

    async def handle(event: dict[str, Any], step: Step) -> str:
        return await step.run("pay", pay, event["amount"], on_failure="ask")

    return app_of(handle)


@pytest.mark.parametrize(
    ("said", "result", "tried"),
    [
        ('{"edit": [7]}', "paid 7", ["500", "7"]),
        ('{"skip": "by cheque"}', "by cheque", ["500"]),
    ],
)
async def test_a_person_decides_about_a_failure(
    engine: Engine, said: str, result: str, tried: list[str]
) -> None:
    till = Till()
    till.broken = False
    async with engine.works(paying(till)):
        run = await engine.start(amount=500)
        asked = await engine.question(run=run)
        assert "NonRetriableError: 500 cannot be paid" in asked.question
        assert "[500]" in asked.context
        assert (await engine.answer(text="maybe")).outcome == "invalid"
        await engine.answer(text=said)
        assert await engine.result(run) == result
    assert till.keys == tried


async def test_a_person_has_a_failure_retried_or_accepts_it(engine: Engine) -> None:
    till = Till()
    async with engine.works(paying(till)):
        run = await engine.start(amount=5)
        first = await engine.question(run=run)
        await engine.answer(text="retry")

        async def another() -> bool:
            return any(each.id != first.id for each in await engine.client.questions())

        await until(another)
        await engine.answer(text="fail")
        assert (await engine.ended(run)).status == "failed"
    assert till.keys == ["5", "5"]


async def test_an_edited_input_that_does_not_fit_is_asked_for_again(engine: Engine) -> None:
    till = Till()
    till.broken = False
    async with engine.works(paying(till)):
        run = await engine.start(amount=500)
        first = await engine.question(run=run)
        await engine.answer(text='{"edit": ["much"]}')

        async def another() -> bool:
            return any(each.id != first.id for each in await engine.client.questions())

        await until(another)
        await engine.answer(text='{"edit": [7]}')
        assert await engine.result(run) == "paid 7"


async def test_a_person_who_let_a_step_fail_is_asked_again_when_the_run_is_retried(
    engine: Engine,
) -> None:
    till = Till()
    async with engine.works(paying(till)):
        run = await engine.start(amount=5)
        first = await engine.question(run=run)
        await engine.answer(text="fail")
        assert (await engine.ended(run)).status == "failed"
        await engine.client.retry(run, by="ada")
        again = await until(lambda: another(engine, first.id))
        till.broken = False
        await engine.answer(text="retry", question_id=again.id)
        assert await engine.result(run) == "paid 5"


async def test_a_value_that_does_not_fit_a_step_is_asked_for_again(engine: Engine) -> None:
    till = Till()
    async with engine.works(paying(till)):
        run = await engine.start(amount=5)
        first = await engine.question(run=run)
        await engine.answer(text='{"skip": 7}')
        again = await until(lambda: another(engine, first.id))
        assert "the last answer does not fit" in again.context
        await engine.answer(text='{"skip": "by cheque"}', question_id=again.id)
        assert await engine.result(run) == "by cheque"


# -- on_failure="ask" of a workflow ------------------------------------------------------------


def refund(till: Till, counted: list[str], **options: Any) -> App:
    async def count() -> int:
        counted.append("counted")
        return 7

    async def handle(event: dict[str, Any], step: Step) -> str:
        number = await step.run("count", count)
        if event["amount"] < 0:
            raise ValueError("less than nothing")
        key = step.idempotency_key("pay")
        if event["amount"] < 100:
            return f"{number}: {await step.run('pay', till.pay, key)}"
        await step.run("pay much", till.pay, key)
        return "much"

    app = App("desk", **options)
    app.workflow(on="desk.opened", key="ticket", name="handle", on_failure="ask")(handle)
    return app


async def test_a_person_has_a_failed_run_retried_at_the_step_that_failed(engine: Engine) -> None:
    till, counted = Till(), list[str]()
    async with engine.works(refund(till, counted)), engine.works(refund(till, counted)):
        run = await engine.start(amount=5)
        first = await engine.question(run=run)
        assert "A run of workflow 'handle' failed" in first.question
        assert "NonRetriableError: the till is out of order in Till.pay (" in first.question
        assert '"amount": 5' in first.context
        assert (await engine.answer(text="sure")).outcome == "invalid"
        assert (await engine.answer(text='{"skip": 1, "edit": {}}')).outcome == "invalid"
        await engine.answer(text="retry")
        second = await until(lambda: another(engine, first.id))
        till.broken = False
        await engine.answer(text="retry", question_id=second.id)
        assert await engine.result(run) == "7: paid"
    assert (counted, till.paid, len(till.keys), len(set(till.keys))) == (["counted"], 1, 3, 1)
    lines = await engine.lines(run)
    assert [line.title for line in lines if line.kind == "step.retried"] == ["pay", "pay"]
    assert [line.kind for line in lines].count("run.ended") == 1


async def another(engine: Engine, than: str) -> Any:
    return next((each for each in await engine.client.questions() if each.id != than), None)


async def test_an_edited_event_takes_the_place_of_the_runs(engine: Engine) -> None:
    till, counted = Till(), list[str]()
    async with engine.works(refund(till, counted)):
        run = await engine.start(amount=500)
        first = await engine.question(run=run)
        till.broken = False
        await engine.answer(text='{"edit": {"ticket": "T2", "amount": 5}}')
        second = await until(lambda: another(engine, first.id))
        assert "its ticket is 'T2', but the run is about 'T1'" in second.context
        await engine.answer(text='{"edit": {"ticket": "T1", "amount": 5}}')
        assert await engine.result(run) == "7: paid"
        assert (await engine.state(run)).status == "completed"
    assert (counted, till.paid) == (["counted"], 1)


async def test_a_body_that_failed_by_itself_is_entered_again(engine: Engine) -> None:
    till, counted = Till(), list[str]()
    till.broken = False
    async with engine.works(refund(till, counted)):
        run = await engine.start(amount=-1)
        first = await engine.question(run=run)
        assert "ValueError: less than nothing" in first.question
        await engine.answer(text="retry")
        second = await until(lambda: another(engine, first.id))
        text = '{"edit": {"ticket": "T1", "amount": 1}}'
        await engine.answer(text=text, question_id=second.id)
        assert await engine.result(run) == "7: paid"
    assert (counted, till.paid) == (["counted"], 1)


async def test_code_that_was_fixed_meanwhile_continues_a_retried_run(engine: Engine) -> None:
    till, counted = Till(), list[str]()

    async def by_cheque(event: dict[str, Any], step: Step) -> str:
        del event
        number = await step.run("count", lambda: 8)
        return f"{number}: {await step.run('write a cheque', asyncio.sleep, 0, 'paid')}"

    mended = App("desk")
    mended.workflow(on="desk.opened", key="ticket", name="handle", on_failure="ask")(by_cheque)
    async with engine.works(refund(till, counted)):
        run = await engine.start(amount=5)
        await engine.question(run=run)
    async with engine.works(mended):
        await engine.answer(text="retry")
        assert await engine.result(run) == "7: paid"


async def test_a_person_ends_a_failed_run_with_a_value_or_lets_it_fail(engine: Engine) -> None:
    till = Till()
    async with engine.works(refund(till, [])):
        run = await engine.start("T1", amount=5)
        other = await engine.start("T2", amount=5)
        await engine.questions(2)
        await engine.answer("T1", text='{"skip": "by cheque"}')
        await engine.answer("T2", text="fail")
        assert await engine.result(run) == "by cheque"
        ended = await engine.ended(other)
        assert (ended.status, "out of order" in ended.error) == ("failed", True)
        till.broken = False
        await engine.client.retry(other, by="ada")
        assert await engine.result(other) == "7: paid"


async def test_a_failed_child_goes_on_when_its_parents_failure_is_retried(engine: Engine) -> None:
    till = Till()

    async def child(event: dict[str, Any], step: Step) -> str:
        del event
        return str(await step.run("pay", till.pay, "k"))

    async def handle(event: dict[str, Any], step: Step) -> str:
        return str(await step.workflow("child", event))

    app = App("desk")
    app.workflow(on="desk.opened", key="ticket", on_failure="ask")(handle)
    app.workflow(on="desk.child", key="ticket")(child)
    async with engine.works(app):
        run = await engine.start()
        await engine.question(run=run)
        till.broken = False
        await engine.answer(text="retry")
        assert await engine.result(run) == "paid"
    assert till.paid == 1


# -- limits that were raised -------------------------------------------------------------------


def limited(model: Scripted, thinks: Scripted, *, max_turns: int = 5, budget: int = 100) -> App:
    @tool
    async def look() -> str:
        return "seen"

    network = Network(
        "team",
        agents=[Agent("A", tools=[look], model=model)],
        router=RoutingAgent("R", tools=[look], model=thinks),
        max_turns=max_turns,
        budget=Tokens(budget),
    )

    async def handle(event: dict[str, Any], step: WorkflowStep) -> str:
        return (await step.network(network, str(event["ticket"]))).text

    return app_of(handle, network)


ROUTE, DONE = calls(("route_to_agent", {"agent": "A"})), calls(("done", {"summary": "over"}))
LOOK = calls(("look", {}))


async def test_a_decision_that_ran_out_of_tokens_goes_on_with_a_raised_budget(
    engine: Engine,
) -> None:
    model, thinks = Scripted(says("hello")), Scripted(LOOK, ROUTE, DONE)
    async with engine.works(limited(model, thinks, budget=11)):
        run = await engine.start()
        assert (await engine.ended(run)).status == "budget_spent"
        await engine.client.retry(run, by="ada")
        assert (await engine.ended(run)).status == "budget_spent"
    assert (thinks.paid, model.paid) == (1, 0)
    async with engine.works(limited(model, thinks)):
        await engine.client.retry(run, by="ada")
        assert await engine.result(run) == "hello"
    assert (thinks.paid, model.paid) == (3, 1)


async def test_a_turn_that_ran_out_of_tokens_stays_and_the_network_goes_on(engine: Engine) -> None:
    model, thinks = Scripted(LOOK, says("hello")), Scripted(ROUTE, ROUTE, DONE)
    async with engine.works(limited(model, thinks, budget=22)):
        run = await engine.start()
        assert (await engine.ended(run)).status == "budget_spent"
    async with engine.works(limited(model, thinks)):
        await engine.client.retry(run, by="ada")
        assert await engine.result(run) == "hello"
    assert (thinks.paid, model.paid) == (3, 2)


async def test_a_network_out_of_turns_goes_on_with_raised_max_turns(engine: Engine) -> None:
    model, thinks = Scripted(says("one"), says("two")), Scripted(ROUTE, ROUTE, DONE)
    async with engine.works(limited(model, thinks, max_turns=1)):
        run = await engine.start()
        assert (await engine.ended(run)).status == "max_turns"
    async with engine.works(limited(model, thinks, max_turns=2)):
        await engine.client.retry(run, by="ada")
        assert await engine.result(run) == "two"
    assert (thinks.paid, model.paid) == (3, 2)
