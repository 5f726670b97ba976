"""A dead letter that is handled again is the event that it was, and nobody else hears of it."""

from __future__ import annotations

from typing import Any

import pytest

from layby import App, Step
from layby.bus.dead import CannotRetry, DeadLetters
from layby.bus.mailbox import Delivery, Mailbox
from layby.client import NotDoneYet
from layby.runtime.ids import run_id
from tests.engine import Engine, until

pytestmark = pytest.mark.nats


def app(*, mended: bool) -> App:
    app = App("desk")

    @app.workflow(on="desk.paid", key="ticket", name="fine")
    async def fine(event: dict[str, Any], step: Step) -> str:
        del event, step
        return "fine"

    @app.workflow(on="desk.paid", key="ticket" if mended else "order", name="broken")
    async def broken(event: dict[str, Any], step: Step) -> str:
        del event, step
        return "mended"

    return app


@pytest.mark.parametrize("event_id", ["", "paid-1"])
async def test_it_starts_the_run_that_it_would_have_started_and_no_other(
    engine: Engine, event_id: str
) -> None:
    async with engine.works(app(mended=False)):
        await engine.client.send("desk.paid", {"ticket": "T1"}, event_id=event_id or None)

        async def given_up() -> list[Any]:
            return await engine.client.dead()

        [letter] = await until(given_up)

        async def runs() -> list[Any]:
            return await engine.client.runs("completed")

        await until(runs)
    async with engine.works(app(mended=True)):
        await engine.client.retry_dead(letter.id)

        async def both() -> bool:
            return len(await runs()) > 1

        await until(both)
        assert sorted(run.workflow for run in await runs()) == ["broken", "fine"]
        if event_id:
            wanted = {run_id(workflow, event_id) for workflow in ("broken", "fine")}
            assert {run.id for run in await runs()} == wanted
        info = await engine.wire.api("STREAM.INFO.EVENTS")
        assert info["state"]["messages"] == 1


# -- events of a stream that others read, too --------------------------------------------------


CORP = {"name": "CORP", "subjects": ["corp.>"], "storage": "file", "allow_direct": True}


def shared(*, mended: bool) -> App:
    app = App("desk", events=["corp.paid"], streams={"corp.paid": "CORP"})

    @app.workflow(on="corp.opened", key="ticket" if mended else "order", stream="CORP")
    async def handle(event: dict[str, Any], step: Step) -> str:
        paid = await step.wait_for_event("corp.paid", match={"ticket": event["ticket"]})
        return str(paid["to"]) if paid else ""

    @app.workflow(on="desk.other", key="ticket")
    async def other(event: dict[str, Any], step: Step) -> None:
        del event, step

    return app


async def stored(engine: Engine) -> int:
    found: int = (await engine.wire.api("STREAM.INFO.CORP"))["state"]["messages"]
    return found


@pytest.mark.parametrize("event_id", ["", "opened-1"])
async def test_an_event_that_others_read_too_is_for_its_workflow_alone(
    engine: Engine, event_id: str
) -> None:
    await engine.wire.api("STREAM.CREATE.CORP", CORP)
    async with engine.works(shared(mended=False)):
        sent = await engine.client.send("corp.opened", {"ticket": "T1"}, event_id=event_id or None)
        [letter] = await until(engine.client.dead)
        with pytest.raises(CannotRetry, match=r"still cannot be handled, and stays: .*'order'"):
            await engine.client.retry_dead(letter.id, by="ada")
        assert await engine.client.dead() != [], "it is still there"
    # Stored between the event and its run: it is the run's, as it would have been.
    await engine.wire.store("corp.paid", b'{"ticket":"T1","to":"ada"}')
    async with engine.works(shared(mended=True)):
        told = await engine.client.retry_dead(letter.id, by="ada", reason="mended")
        assert await engine.result(told.run) == "ada"
        if event_id:
            assert told.run == run_id("handle", event_id)
        assert (told.stream, told.seq) == ("CORP", sent.seq)
        assert await stored(engine) == 2
        [row, _] = await engine.client.audit()
        assert (row.outcome, row.why, row.result["run"]) == ("done", "mended", told.run)


async def test_a_letter_of_a_workflow_that_this_worker_has_not_waits_for_another(
    engine: Engine,
) -> None:
    await engine.wire.api("STREAM.CREATE.CORP", CORP)
    async with engine.works(shared(mended=False)):
        await engine.client.send("corp.opened", {"ticket": "T1"})
        [letter] = await until(engine.client.dead)
    async with engine.works(app(mended=True)):  # another app, of the same names
        with pytest.raises(NotDoneYet):
            await engine.client.retry_dead(letter.id, by="ada")
    async with engine.works(shared(mended=True)):
        await until(lambda: engine.client.runs("waiting"))
    assert await stored(engine) == 1


async def test_an_event_for_runs_that_wait_goes_to_them_alone(engine: Engine) -> None:
    await engine.wire.api("STREAM.CREATE.CORP", CORP)
    async with engine.works(shared(mended=True)):
        run = await engine.start(on="corp.opened")
        await until(lambda: engine.client.runs("waiting"))
    paid = await engine.client.send("corp.paid", {"ticket": "T1", "to": "bob"})
    await given_up(engine, paid.seq)
    async with engine.works(shared(mended=True)):
        [letter] = await until(engine.client.dead)
        told = await engine.client.retry_dead(letter.id)
        assert (told.seq, told.run) == (paid.seq, "")
        assert await engine.result(run) == "bob"
        assert await stored(engine) == 2


async def given_up(engine: Engine, seq: int) -> None:
    """Make the event a dead letter of the mailbox for those who wait, as six failures would."""
    mailbox = shared(mended=True).waiting_consumer("corp.paid")
    box: list[Delivery] = []

    async def keep(delivery: Delivery) -> None:
        box.append(delivery)
        await DeadLetters(engine.wire).put(delivery, mailbox, "a bug")
        await delivery.ack()

    reader = Mailbox(engine.connection.nc, "CORP", mailbox, keep)
    await reader.start()
    await until(lambda: _any(box))
    reader.stop()
    await reader.drain(1.0)
    assert box[0].seq == seq


async def _any(box: list[Delivery]) -> bool:
    return bool(box)
